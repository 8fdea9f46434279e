package modprobe

import (
	"path"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// configFiles observes the files that modprobe reads (modprobe.d(5)); masked ones appear as empty. Its only name is "".
var configFiles = observe.TextFiles("modprobe-files", "/etc/modprobe.d/*.conf", "/run/modprobe.d/*.conf", "/usr/local/lib/modprobe.d/*.conf", "/usr/lib/modprobe.d/*.conf")

// placed returns the expectations that follow from placing a file that modprobe reads.
func placed(h modules.Host, name string, f observe.File) []observe.Expectation {
	if dir, base := path.Split(name); dir != "/etc/modprobe.d/" || path.Ext(base) != ".conf" {
		return nil
	}
	return []observe.Expectation{observe.ExpectTextFile(h, configFiles, name, f)}
}
