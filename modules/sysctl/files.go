package sysctl

import (
	"path"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// bootFiles observes the files from which systemd-sysctl configures the kernel at boot (sysctl.d(5)). Its only name is "".
// Masked files appear as empty.
var bootFiles = observe.TextFiles("sysctl-files", "/etc/sysctl.d/*.conf", "/run/sysctl.d/*.conf", "/usr/local/lib/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf")

// placed returns the expectations that follow from placing a file that systemd-sysctl reads.
func placed(h modules.Host, name string, f observe.File) []observe.Expectation {
	if dir, base := path.Split(name); dir != "/etc/sysctl.d/" || path.Ext(base) != ".conf" {
		return nil
	}
	return []observe.Expectation{observe.ExpectTextFile(h, bootFiles, name, f)}
}
