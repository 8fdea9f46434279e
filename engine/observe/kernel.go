package observe

import (
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// Kernel is the running kernel.
type Kernel struct {
	// Release is `uname -r`, such as "6.8.12-9-pve".
	Release string
	// Version is `uname -v`: build number, distribution and date. It is empty where check mode
	// predicts a kernel that is not installed yet.
	Version string
	// Architecture is `uname -m`: "x86_64", "aarch64".
	Architecture string
	// BootID changes with every boot (/proc/sys/kernel/random/boot_id). It is empty where check mode
	// predicts a reboot.
	BootID string
}

// Kernels observes the running kernel. Its one observation has no name.
var Kernels = &Kind[Kernel]{
	Name: "kernel",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `uname -r; uname -v; uname -m; cat /proc/sys/kernel/random/boot_id`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Kernel, error)) {
		k, err := parseKernel(answers[0].Stdout)
		for _, name := range names {
			tell(name, k, err)
		}
	},
}

func parseKernel(out []byte) (Kernel, error) {
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 4 {
		return Kernel{}, fmt.Errorf("uname and boot_id printed %q, expected four lines", out)
	}
	return Kernel{Release: lines[0], Version: lines[1], Architecture: lines[2], BootID: lines[3]}, nil
}

// RebootDemand says whether packages ask for a reboot.
type RebootDemand struct {
	// Required says that /run/reboot-required exists.
	Required bool
	// Packages are those that asked, if they said so, in their order.
	Packages []string
}

// RebootDemands observes what Debian's packages leave when only a reboot puts them into effect:
// /run/reboot-required and /run/reboot-required.pkgs (written by unattended-upgrades' kernel hook
// and update-notifier's notify-reboot-required). Its one observation has no name.
var RebootDemands = &Kind[RebootDemand]{
	Name: "reboot-required",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then
echo required
cat /run/reboot-required.pkgs 2>/dev/null || cat /var/run/reboot-required.pkgs 2>/dev/null || true
fi`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, RebootDemand, error)) {
		var d RebootDemand
		for i, line := range strings.Split(strings.TrimSpace(string(answers[0].Stdout)), "\n") {
			switch {
			case i == 0:
				d.Required = line == "required"
			case line != "":
				d.Packages = append(d.Packages, line)
			}
		}
		for _, name := range names {
			tell(name, d, nil)
		}
	},
}
