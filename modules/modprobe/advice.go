package modprobe

import (
	"maps"
	"slices"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (m *Module) Advise() []modules.Advice {
	if m.State == "absent" {
		return nil
	}
	var options []string
	for _, name := range slices.Sorted(maps.Keys(m.Options)) {
		options = append(options, "options "+name+" "+m.Options[name])
	}
	all := wrongform.Content("modules", LoadFile, strings.Join(m.Modules, "\n"))
	return append(all, wrongform.Content("options", OptionsFile, strings.Join(options, "\n"))...)
}
