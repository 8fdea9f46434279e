package observe

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"hlplay/engine/remote"
)

// KernelModule describes a module of the running kernel.
type KernelModule struct {
	// Loaded is set if the module is in the kernel now, loaded or built in.
	Loaded bool
	// Builtin is set if the module is part of the kernel image and can be neither loaded nor removed.
	Builtin bool
	// Available is set if modprobe can load the module, or if it is loaded.
	Available bool
}

// KernelModules observes modules of the running kernel by name. Dashes and underscores in names are equivalent, as for
// modprobe(8). Aliases are not resolved.
var KernelModules = &Kind[KernelModule]{
	Holds: holdsModules,
	Name:  "kmod", What: "whether the kernel module %s is loaded",
	Ask: func(names []string) []remote.Query {
		patterns := make([]string, 0, 2*len(names))
		plain := make([]string, len(names))
		for i, name := range names {
			plain[i] = ModuleName(name)
			patterns = append(patterns, "-e", modulePattern(name))
		}
		return []remote.Query{
			{Script: `cat /proc/modules`, Inline: true},
			{Script: `for _m; do if [ -d "/sys/module/$_m" ]; then printf '%s\n' "$_m"; fi; done`, Args: plain, Inline: true},
			{Script: `grep -E "$@" "/lib/modules/$(uname -r)/modules.builtin"`, Args: patterns, Inline: true},
			{Script: `grep -E "$@" "/lib/modules/$(uname -r)/modules.dep"`, Args: patterns, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, KernelModule, error)) {
		err := moduleListsUnread(answers)
		loaded := map[string]bool{}
		for line := range strings.Lines(string(answers[0].Stdout)) {
			name, _, _ := strings.Cut(line, " ")
			loaded[ModuleName(name)] = true
		}
		sys := map[string]bool{}
		for line := range strings.Lines(string(answers[1].Stdout)) {
			sys[ModuleName(strings.TrimSpace(line))] = true
		}
		builtin, loadable := moduleFiles(answers[2].Stdout), moduleFiles(answers[3].Stdout)
		for _, name := range names {
			plain := ModuleName(name)
			m := KernelModule{Builtin: builtin[plain] || sys[plain] && !loaded[plain]}
			m.Loaded = loaded[plain] || m.Builtin
			m.Available = m.Loaded || loadable[plain]
			if name == "" {
				tell(name, m, errors.New("a kernel module needs a name"))
				continue
			}
			tell(name, m, err)
		}
	},
}

// moduleListsUnread returns an error if a list exists and cannot be read. A missing list counts as empty: the kernel
// has no modules, or its package was removed. grep(1) exits with status 1 if nothing matches.
func moduleListsUnread(answers []remote.Answer) error {
	for i, a := range []remote.Answer{answers[0], answers[2], answers[3]} {
		if i == 0 && a.Exit != 0 || a.Exit > 1 {
			if complaint := LastLine(a.Stderr); !isAbsence(complaint) {
				return fmt.Errorf("the kernel's modules cannot be read: %s: %s", remote.Ending(a.Exit), complaint)
			}
		}
	}
	return nil
}

// ModuleName returns a module's name as the kernel writes it, with underscores.
func ModuleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// modulePattern matches a module's line in modules.builtin and modules.dep, where file names may have dashes or
// underscores: "kernel/drivers/vfio/pci/vfio-pci.ko.zst: …".
func modulePattern(name string) string {
	quoted := regexp.QuoteMeta(ModuleName(name))
	return `^([^:]*/)?` + strings.ReplaceAll(quoted, "_", "[-_]") + `\.ko`
}

// moduleFiles returns the names of the modules at the beginning of each line.
func moduleFiles(out []byte) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		file = file[strings.LastIndexByte(file, '/')+1:]
		if base, _, ok := strings.Cut(file, ".ko"); ok {
			names[ModuleName(base)] = true
		}
	}
	return names
}
