package boot

import (
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (m *Module) Advise() []modules.Advice {
	return wrongform.Content("cmdline", cmdlineFile, strings.Join(m.Cmdline, " "))
}
