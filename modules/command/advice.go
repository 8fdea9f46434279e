package command

import (
	"slices"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser. What a shell gets on standard input is a script, too; what another program gets may
// end in a file.
func (c *Command) Advise() []modules.Advice {
	argument, text := "argv", strings.Join(c.Argv, " ")
	if c.Shell != "" {
		argument, text = "shell", c.Shell
	}
	all := wrongform.Command(argument, text)
	if len(c.Argv) > 0 && slices.Contains([]string{"sh", "bash", "dash"}, c.Argv[0][strings.LastIndexByte(c.Argv[0], '/')+1:]) {
		return append(all, wrongform.Command("stdin", c.Stdin)...)
	}
	return append(all, wrongform.Content("stdin", "", c.Stdin)...)
}
