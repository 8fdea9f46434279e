package cron

import (
	"context"
	"errors"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// daemons lists the units of the Debian packages that provide cron-daemon: cron, cronie, bcron and systemd-cron.
var daemons = []string{"cron.service", "cronie.service", "bcron.service", "cron.target"}

// service returns an error if nothing on the host would run jobs, and notes about what is wrong with the services that
// could.
func service(ctx context.Context, h modules.Host) (notes []string, err error) {
	units, err := observe.Units.ObserveAll(ctx, h, daemons)
	if observe.IsUnknown(err) { // a package is about to be installed
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range daemons {
		unit := units[name]
		if !unit.Exists() {
			continue
		}
		problem, mend := "", ""
		switch {
		case unit.Masked():
			problem, mend = "is masked, so the job never runs", "masked = false state = \"started\" enabled = true"
		case !unit.Active():
			problem, mend = "is "+unit.ActiveState+", so the job never runs", "state = \"started\" enabled = true"
		case unit.UnitFileState == "disabled":
			problem, mend = "is not enabled, so the job does not run after a reboot", "enabled = true"
		default: // this one runs the job, whatever the state of the others
			return nil, nil
		}
		notes = append(notes, fmt.Sprintf("%s %s; fix it with service { name = %q %s }", name, problem, name, mend))
	}
	if len(notes) == 0 {
		return nil, errors.New("the host has no cron service to run the job: install package cron in an earlier task, or use a systemd timer")
	}
	return notes, nil
}
