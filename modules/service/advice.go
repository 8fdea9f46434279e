package service

import (
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (s *Service) Advise() []modules.Advice {
	if s.State != "restarted" && s.State != "stopped" {
		return nil
	}
	return wrongform.Restart("name", s.Name)
}
