package systemd_unit

import (
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (u *unit) Advise() []modules.Advice {
	if u.State == absent {
		return nil
	}
	return wrongform.Content("content", u.path(), u.Content)
}
