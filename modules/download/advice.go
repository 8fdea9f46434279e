package download

import (
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (d *download) Advise() []modules.Advice { return wrongform.Path("path", d.Path, false) }
