package observe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// Kernel describes the running kernel.
type Kernel struct {
	// Release is the output of `uname -r`, such as "6.1.0-28-amd64".
	Release string
	// Version is the output of `uname -v`: build number, distribution and date. It is empty where check mode predicts
	// a kernel that is not installed yet.
	Version string
	// Architecture is the output of `uname -m`: "x86_64", "aarch64".
	Architecture string
	// BootID changes with every boot (/proc/sys/kernel/random/boot_id). It is empty where check mode predicts a
	// reboot.
	BootID string
}

// Kernels observes the running kernel, under the empty name.
var Kernels = &Kind[Kernel]{
	Complete: func(expected, found Kernel) Kernel { // a reboot creates a new boot ID, and only the kernel itself knows its version
		expected.Version = cmp.Or(expected.Version, found.Version)
		expected.BootID = cmp.Or(expected.BootID, found.BootID)
		return expected
	},
	Name: "kernel", What: "the running kernel",
	Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `read -r _b </proc/sys/kernel/random/boot_id; printf '%s\n' "$_b"; uname -rvm`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Kernel, error)) {
		k, err := parseKernel(answers[0].Stdout)
		for _, name := range names {
			tell(name, k, err)
		}
	},
}

// BootIDs observes Kernel.BootID alone, under the empty name. It is not remembered across steps.
var BootIDs = &Kind[string]{
	Name: "boot-id", What: "the boot ID",
	Ask: func([]string) []remote.Query { return []remote.Query{{Script: "cat " + BootIDFile}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		id, err := ParseBootID(answers[0].Exit, answers[0].Stdout, answers[0].Stderr)
		for _, name := range names {
			tell(name, id, err)
		}
	},
}

// BootIDFile holds the boot ID.
const BootIDFile = "/proc/sys/kernel/random/boot_id"

// ParseBootID returns the boot ID from what cat has printed of BootIDFile.
func ParseBootID(exit int, stdout, stderr []byte) (string, error) {
	id := strings.TrimSpace(string(stdout))
	if exit != 0 || id == "" {
		return "", fmt.Errorf("%s: %s: %s", BootIDFile, remote.Ending(exit), LastLine(stderr))
	}
	return id, nil
}

func parseKernel(out []byte) (Kernel, error) {
	// In the output of uname, only the version contains spaces.
	bootID, names, ok := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\n")
	release, rest, _ := strings.Cut(names, " ")
	last := strings.LastIndexByte(rest, ' ')
	if !ok || last < 0 || strings.Contains(names, "\n") {
		return Kernel{}, fmt.Errorf("boot_id and uname -rvm printed %q, expected a line of each", out)
	}
	return Kernel{Release: release, Version: rest[:last], Architecture: rest[last+1:], BootID: bootID}, nil
}

// CommandLines observes the command line that the running kernel was started with, under the empty name.
var CommandLines = &Kind[string]{
	Name: "kernel-command-line", What: "the command line of the running kernel",
	Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `read -r _l </proc/cmdline && printf '%s\n' "$_l"`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		var err error
		if answers[0].Exit != 0 {
			err = fmt.Errorf("/proc/cmdline: %s: %s", remote.Ending(answers[0].Exit), LastLine(answers[0].Stderr))
		}
		for _, name := range names {
			tell(name, strings.TrimSuffix(string(answers[0].Stdout), "\n"), err)
		}
	},
}

// AfterReboot returns what check mode cannot know after a reboot, whichever kernel runs: the kernel's command line and
// the state of the IOMMU.
func AfterReboot() Expectation {
	return Expectation{
		Match: func(k Key) bool {
			switch k.Kind {
			case CommandLines.Name, PCIUses.Name:
				return true
			case Dirs.Name, Files.Name, Paths.Name:
				return strings.HasPrefix(k.Name, "/sys/kernel/iommu_groups") || strings.HasPrefix(k.Name, "/sys/class/iommu")
			}
			return false
		},
		Unknown: "only the reboot tells",
	}
}

// RebootDemand records whether packages ask for a reboot.
type RebootDemand struct {
	// Required is set if /run/reboot-required exists.
	Required bool
	// Packages holds the packages that asked for the reboot, in their original order, if they recorded it.
	Packages []string
}

// RebootDemands observes the files that Debian's packages leave when they need a reboot: /run/reboot-required and
// /run/reboot-required.pkgs (written by the kernel hook of unattended-upgrades and by notify-reboot-required of
// update-notifier). The name is empty.
var RebootDemands = &Kind[RebootDemand]{
	Name: "reboot-required", What: "whether a package asks for a reboot",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then
echo required
cat /run/reboot-required.pkgs 2>/dev/null || cat /var/run/reboot-required.pkgs 2>/dev/null || true
fi`, Inline: true}}
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

// InstalledKernels observes the releases of the kernels in /boot (vmlinuz-RELEASE), oldest version first, under the
// empty name.
var InstalledKernels = &Kind[[]string]{
	Name: "kernels-installed", What: "the kernels in /boot", Holds: holdsInstalledKernels,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `for _f in /boot/vmlinuz-*; do if [ -e "$_f" ]; then printf '%s\n' "$_f"; fi; done`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		releases := []string{}
		for line := range strings.Lines(string(answers[0].Stdout)) {
			if release, ok := strings.CutPrefix(strings.TrimSpace(line), "/boot/vmlinuz-"); ok && release != "" {
				releases = append(releases, release)
			}
		}
		SortReleases(releases)
		for _, name := range names {
			tell(name, releases, nil)
		}
	},
}

// holdsInstalledKernelsScript compares the kernels in /boot, whose releases are its arguments, each once.
const holdsInstalledKernelsScript = `_n=0
for _f in /boot/vmlinuz-*; do
[ -e "$_f" ] || continue
_n=$((_n+1))
case " $* " in *" ${_f#/boot/vmlinuz-} "*) ;; *) exit 1 ;; esac
done
[ $_n = $# ]`

// plainRelease matches the release of a kernel, without characters that a shell could take for a pattern or for two words.
var plainRelease = pattern.New(`^[0-9A-Za-z.+~_-]+$`)

// holdsInstalledKernels is InstalledKernels.Holds. A kernel that is to come may have any release.
func holdsInstalledKernels(values map[string][]string) ([]remote.Query, bool) {
	for _, releases := range values {
		if slices.ContainsFunc(releases, func(r string) bool { return !plainRelease.MatchString(r) || IsComing(r) }) {
			return nil, false
		}
		return []remote.Query{{Script: holdsInstalledKernelsScript, Args: releases}}, true
	}
	return nil, false
}

// ComingRelease returns a placeholder that check mode uses for the release of a kernel that will be installed but of
// which only the meta package is known. flavour is the suffix of its releases, such as "-amd64". The placeholder
// matches patterns for the flavour and sorts after every real release.
func ComingRelease(flavour string) string { return coming + flavour }

// IsComing reports whether ComingRelease made the release.
func IsComing(release string) bool { return strings.HasPrefix(release, coming) }

const coming = "(new)"

// SortReleases sorts kernel releases by version, so that 6.8.12 is newer than 6.8.9.
func SortReleases(releases []string) {
	slices.SortStableFunc(releases, compareReleases)
}

// compareReleases compares runs of digits as numbers and everything else as text. A placeholder is newer than any
// release.
func compareReleases(a, b string) int {
	if new := IsComing(a); new != IsComing(b) {
		if new {
			return 1
		}
		return -1
	}
	for a != "" && b != "" {
		da, ra := cutDigits(a)
		db, rb := cutDigits(b)
		if da != "" && db != "" {
			da, db = strings.TrimLeft(da, "0"), strings.TrimLeft(db, "0")
			if c := cmp.Or(cmp.Compare(len(da), len(db)), strings.Compare(da, db)); c != 0 {
				return c
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func cutDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// StaleInitramfs observes whether an initramfs image in /boot is older than the given configuration file that such
// images contain (/etc/modprobe.d/…), so that `update-initramfs -u -k all` is due. It is false if the file or the
// images are absent.
var StaleInitramfs = &Kind[bool]{
	Name: "initramfs-stale", What: "whether the initramfs is up to date",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Script: `stat -c '%y %n' "$@" /boot/initrd.img-* /boot/vmlinuz-*`, Args: names, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		times, err := ParseTimes(answers[0])
		for _, name := range names {
			stale := false
			changed, exists := times[name]
			for file, built := range times {
				release, isImage := strings.CutPrefix(file, "/boot/initrd.img-")
				// Copies such as initrd.img-6.1.0-28-amd64.old-dkms do not belong to a kernel, and nothing updates
				// them.
				_, current := times["/boot/vmlinuz-"+release]
				stale = stale || exists && isImage && current && changed.After(built)
			}
			tell(name, stale, err)
		}
	},
}
