package command

import (
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (c *Command) Advise() []modules.Advice {
	if c.Shell != "" {
		return wrongform.Command("shell", c.Shell)
	}
	return wrongform.Command("argv", strings.Join(c.Argv, " "))
}
