package conffile

import (
	"time"

	"hlplay/modules"
)

// ReloadUnits is the step that makes systemd read its units again, after a change of a file that it makes them of.
func ReloadUnits(file string) modules.Step {
	return modules.Step{
		Summary: "reload systemd for " + file,
		Action:  modules.Run{Argv: []string{"systemctl", "daemon-reload"}, Limit: time.Minute},
		Exact:   true,
	}
}
