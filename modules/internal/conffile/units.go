package conffile

import (
	"time"

	"hlplay/modules"
)

// ReloadUnits returns the step that makes systemd reload its units after a change of a file that units are generated
// from.
func ReloadUnits(file string) modules.Step {
	return modules.Step{
		Summary: "reload systemd for " + file,
		Action:  modules.Run{Argv: []string{"systemctl", "daemon-reload"}, Limit: time.Minute, Brief: true},
		Exact:   true,
	}
}
