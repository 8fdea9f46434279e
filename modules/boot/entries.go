package boot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// entry is an entry of systemd-boot for one kernel.
type entry struct {
	Options string
	// MachineID is the machine ID if the entry is named after it: kernel-install then adds it to the options.
	MachineID string
}

// entries observes the entries of systemd-boot by kernel release, in the directories where kernel-install looks for them.
// Its only name is "".
var entries = &observe.Kind[map[string]entry]{
	Name: "boot-entries", What: "the entries of systemd-boot",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `set --
for _f in /efi/loader/entries/*.conf /boot/loader/entries/*.conf /boot/efi/loader/entries/*.conf; do [ ! -f "$_f" ] || set -- "$@" "$_f"; done
[ $# -eq 0 ] || grep -E '^(version|options|machine-id)[[:blank:]]' -- /dev/null "$@"`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]entry, error)) {
		found, err := parseEntries(answers[0])
		for _, name := range names {
			tell(name, found, err)
		}
	},
}

// parseEntries parses the lines of entries, each prefixed with the path of its file and a colon.
func parseEntries(a remote.Answer) (map[string]entry, error) {
	if a.Exit > 1 {
		return nil, fmt.Errorf("cannot read the systemd-boot entries: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	versions, byPath := map[string]string{}, map[string]entry{}
	for line := range strings.Lines(string(a.Stdout)) {
		path, text, ok := strings.Cut(strings.TrimSpace(line), ".conf:")
		if !ok {
			return nil, fmt.Errorf("expected a systemd-boot entry, found %q", line)
		}
		key, value, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
		value = strings.TrimSpace(value)
		e := byPath[path]
		switch key {
		case "version":
			versions[path] = value
		case "options": // several lines are concatenated
			e.Options = strings.TrimSpace(e.Options + " " + value)
		case "machine-id":
			e.MachineID = value
		}
		byPath[path] = e
	}
	all := map[string]entry{}
	for path, version := range versions {
		all[version] = byPath[path]
	}
	return all, nil
}

// planEntries plans a run of kernel-install for each entry that lacks a desired parameter. line is the command line that
// kernel-install will find.
func (m *Module) planEntries(ctx context.Context, h modules.Host, line string) ([]modules.Step, error) {
	observe.InstalledKernels.Want(h, "")
	found, err := entries.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	kernels, err := observe.InstalledKernels.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	kernels = slices.DeleteFunc(slices.Clone(kernels), func(release string) bool { _, ok := found[release]; return !ok })
	if len(kernels) == 0 {
		return nil, fmt.Errorf("%s: systemd-boot has no entry (loader/entries/*.conf in /efi, /boot or /boot/efi) for any kernel in /boot: expected the entries that kernel-install writes; check that the EFI partition is mounted", h.Name())
	}
	after := found
	var steps []modules.Step
	for _, release := range kernels {
		e := after[release]
		if len(m.missing(split(e.Options))) == 0 {
			continue
		}
		e.Options = line
		if e.MachineID != "" && len(named(split(line), "systemd.machine_id")) == 0 {
			e.Options += " systemd.machine_id=" + e.MachineID
		}
		after = maps.Clone(after)
		after[release] = e
		steps = append(steps, modules.Step{
			Risk:    modules.CostsQuorum, // a node may fail to boot with it
			Summary: "write the boot entry of kernel " + release + " (kernel-install add)",
			Action:  modules.Run{Argv: []string{"kernel-install", "add", release, "/boot/vmlinuz-" + release}, Long: true},
			Expect:  []observe.Expectation{entries.Expect("", after)},
			Unmet:   "kernel-install succeeded, but wrote no entry with these parameters: see its output (kernel-install -v add " + release + " /boot/vmlinuz-" + release + "), and layout= in /etc/kernel/install.conf",
			Exact:   true,
		})
	}
	return steps, nil
}

// started returns the running kernel's command line without the parameters that the boot loader added. kernel-install uses
// it if no file has a command line.
func started(line string) []string {
	return slices.DeleteFunc(split(line), func(p string) bool {
		name := nameOf(p)
		return name == "initrd" || name == "BOOT_IMAGE" || name == "systemd.machine_id"
	})
}
