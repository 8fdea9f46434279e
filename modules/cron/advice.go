package cron

import (
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (m *cron) Advise() []modules.Advice {
	if m.State == absent {
		return nil
	}
	return wrongform.Job("command", m.Command)
}
