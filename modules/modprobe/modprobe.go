// Package modprobe implements the module for kernel modules: loading now and at boot, options, blacklist.
package modprobe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "modprobe",
	Aliases: []string{"kernel_module"},
	Summary: "Kernel modules: loaded now and at boot, options, blacklist",
	Doc: `Loads kernel modules at once and lists them in /etc/modules-load.d/hlplay.conf, from which they are loaded at every
boot. Options, blacklisted modules and soft dependencies are kept in /etc/modprobe.d/hlplay.conf; when that file changes,
the initramfs images of all kernels are rebuilt (update-initramfs -u -k all), because modules may be loaded from
there. Other lines of both files are kept. If another file in modprobe.d takes precedence, because it gives an option of one of
these modules another value, blacklists it or replaces it by a command, a note says so.

A module that the running kernel does not have is an error. Modules come and go with kernels: vfio_virqfd is part of
vfio since kernel 6.2.

Options and the blacklist take effect when the module is next loaded, usually at the next boot; a module that is
already loaded is not removed. Names in the blacklist are exact: modprobe supports no patterns there, and "nvidia*" would
silently do nothing.

Blacklisting the driver of the only graphics card leaves the host without a local console.`,
	Example: `task "PCI passthrough" {
  modprobe {
    modules   = ["vfio", "vfio_iommu_type1", "vfio_pci"]
    options   = { kvm = "ignore_msrs=1" }
    blacklist = ["nouveau", "nvidia", "nvidia_drm", "nvidia_modeset", "nvidiafb"]
    softdep   = { nouveau = "pre: vfio-pci" }
  }
  notify = ["reboot"]
}

handler "reboot" {
  reboot {
    always = true
  }
}`,
	Placed: placed,
	Local:  true,
	New:    func() modules.Module { return &Module{} },
}

const (
	// LoadFile lists the modules to load at boot (modules-load.d(5)).
	LoadFile = "/etc/modules-load.d/hlplay.conf"
	// OptionsFile holds the options, the blacklist and the soft dependencies (modprobe.d(5)).
	OptionsFile = "/etc/modprobe.d/hlplay.conf"
)

// Module is the desired state of some kernel modules.
type Module struct {
	Modules   []string          `hcl:"modules,optional" doc:"Modules to load now and at boot. Dashes and underscores are equivalent."`
	Options   map[string]string `hcl:"options,optional" doc:"Options by module: { kvm = \"ignore_msrs=1 report_ignored_msrs=0\" }."`
	Blacklist []string          `hcl:"blacklist,optional" doc:"Modules that must not be loaded for detected hardware (by alias). Names are exact."`
	Softdep   map[string]string `hcl:"softdep,optional" doc:"Modules to load before or after another: { nouveau = \"pre: vfio-pci\" }."`
	State     string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent removes the lines of these modules from the files; loaded modules stay until the next boot."`
}

var namePattern = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if len(m.Modules)+len(m.Options)+len(m.Blacklist)+len(m.Softdep) == 0 {
		return &modules.ArgumentError{Argument: "modules", Problem: "nothing is asked for", Want: "at least one of modules, options, blacklist, softdep"}
	}
	names := map[string][]string{
		"modules": m.Modules, "blacklist": m.Blacklist,
		"options": slices.Sorted(maps.Keys(m.Options)), "softdep": slices.Sorted(maps.Keys(m.Softdep)),
	}
	for _, argument := range slices.Sorted(maps.Keys(names)) {
		for _, name := range names[argument] {
			if strings.ContainsAny(name, "*?[]") && argument == "blacklist" {
				return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is a pattern, and modprobe compares names exactly: it would silently do nothing", name), Want: `expected each name separately, such as "nvidia", "nvidia_drm", "nvidia_modeset", "nvidiafb"`}
			}
			if !namePattern.MatchString(name) {
				return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not the name of a kernel module", name), Want: "expected a name such as vfio_pci, without path or extension"}
			}
		}
	}
	for argument, texts := range map[string]map[string]string{"options": m.Options, "softdep": m.Softdep} {
		for name, text := range texts {
			if m.State != "absent" && strings.TrimSpace(text) == "" || strings.ContainsAny(text, "\n\\#") {
				return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q for %s is not allowed in a line of %s", text, name, OptionsFile), Want: "one line, such as \"ignore_msrs=1\""}
			}
		}
	}
	for _, name := range m.Blacklist {
		if slices.ContainsFunc(m.Modules, func(other string) bool { return sameModule(name, other) }) {
			return &modules.ArgumentError{Argument: "blacklist", Problem: name + " is in modules too", Want: "each module either loaded or blacklisted"}
		}
	}
	return nil
}

func sameModule(a, b string) bool { return observe.ModuleName(a) == observe.ModuleName(b) }

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	absent := m.State == "absent"
	m.want(h)
	// First, because what is read for them should travel with the rest, even if a module turns out to be missing.
	notes := append(m.pending(ctx, h), m.others(ctx, h)...)
	listed, err := planFile(ctx, h, LoadFile, loadHeader, m.loadLines(), absent, "load "+strings.Join(m.Modules, ", ")+" at boot")
	if err != nil {
		return modules.Plan{}, err
	}
	configured, err := planFile(ctx, h, OptionsFile, optionsHeader, m.optionLines(), absent, "configure "+m.configures())
	if err != nil {
		return modules.Plan{}, err
	}
	var rebuilt []modules.Step
	if len(m.optionLines()) > 0 {
		if rebuilt, err = conffile.RebuildInitramfs(ctx, h, len(configured) > 0, OptionsFile); err != nil {
			return modules.Plan{}, err
		}
	}
	var loaded []modules.Step
	if !absent {
		if loaded, err = m.planLoad(ctx, h, len(listed)+len(configured) > 0); err != nil {
			return modules.Plan{}, err
		}
	}
	// Options come first, because they apply when a module is loaded.
	return modules.Plan{
		Steps: slices.Concat(configured, loaded, listed, rebuilt),
		Notes: notes,
	}, nil
}

// want announces what the plan reads.
func (m *Module) want(h modules.Host) {
	if len(m.Modules) > 0 {
		observe.Files.Want(h, LoadFile)
	}
	if len(m.optionLines()) > 0 {
		observe.Files.Want(h, OptionsFile)
		observe.StaleInitramfs.Want(h, OptionsFile)
	}
	if m.State != "absent" {
		configFiles.Want(h, "")
		observe.KernelModules.Want(h, m.Modules...)
		observe.KernelModules.Want(h, m.Blacklist...)
	}
}

// planFile plans one of the two files.
func planFile(ctx context.Context, h modules.Host, name, header string, lines []line, absent bool, summary string) ([]modules.Step, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	text, exists, err := observe.Text(ctx, h, name)
	if err != nil {
		return nil, err
	}
	if absent {
		left := true
		after := conffile.EditLines(text, func(text string) string {
			for _, l := range lines {
				text = l.removeFrom(text)
			}
			left = strings.TrimSpace(strings.TrimPrefix(text, header)) != ""
			return text
		})
		switch {
		case !exists || after == text:
			return nil, nil
		case !left:
			return conffile.Remove(ctx, h, name, "remove "+name+", in which nothing is left")
		}
		return conffile.Write(ctx, h, name, after, "no longer "+summary)
	}
	after := conffile.EditLines(text, func(text string) string {
		if text == "" {
			text = header
		}
		for _, l := range lines {
			text = l.putInto(text)
		}
		return text
	})
	return conffile.Write(ctx, h, name, after, summary)
}

// configures describes the change of the options file.
func (m *Module) configures() string {
	names := slices.Concat(slices.Sorted(maps.Keys(m.Options)), m.Blacklist, slices.Sorted(maps.Keys(m.Softdep)))
	slices.Sort(names)
	return "kernel modules " + strings.Join(slices.Compact(names), ", ") + " in " + OptionsFile
}

// planLoad plans one modprobe for each module that is not loaded. If check mode cannot know whether a module is loaded
// because of an earlier change, it is loaded if the task is known to change something anyway. All of them are read before any is
// judged: a module that the running kernel does not have may be there after the next reboot, and the others are then read with it.
func (m *Module) planLoad(ctx context.Context, h modules.Host, changes bool) ([]modules.Step, error) {
	var steps []modules.Step
	var unknown, lacking error
	for _, name := range m.Modules {
		state, err := observe.KernelModules.Observe(ctx, h, name)
		switch {
		case observe.IsUnknown(err):
			unknown = err
		case err != nil:
			return nil, err
		case state.Loaded:
			continue
		case !state.Available:
			if lacking == nil {
				lacking = missing(ctx, h, name)
			}
			continue
		}
		steps = append(steps, modules.Step{
			Summary: "load kernel module " + name,
			Action:  modules.Run{Argv: []string{"modprobe", name}, Limit: time.Minute, Brief: true},
			Expect:  loadedExpectations(name),
		})
	}
	switch {
	case lacking != nil:
		return nil, lacking
	case unknown != nil && !changes:
		return nil, unknown
	}
	return steps, nil
}

// loadedExpectations returns what loading a module changes.
func loadedExpectations(name string) []observe.Expectation {
	now := observe.KernelModule{Loaded: true, Available: true}
	expect := []observe.Expectation{observe.KernelModules.Expect(name, now)}
	for _, spelling := range []string{observe.ModuleName(name), strings.ReplaceAll(name, "_", "-")} {
		if spelling != name {
			expect = append(expect, observe.KernelModules.Expect(spelling, now))
		}
	}
	var prefixes []string
	switch observe.ModuleName(name) {
	case "br_netfilter":
		// The kernel's defaults: bridged packets go through the iptables rules.
		for _, family := range []string{"arptables", "ip6tables", "iptables"} {
			expect = append(expect, observe.Sysctls.Expect("net.bridge.bridge-nf-call-"+family, observe.Sysctl{Exists: true, Value: "1"}))
		}
		prefixes = []string{"net.bridge.", "net/bridge/"}
	case "nf_conntrack":
		prefixes = []string{"net.netfilter.", "net/netfilter/", "net.nf_conntrack_max", "net/nf_conntrack_max"}
	default:
		return expect
	}
	return append(expect, observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == observe.Sysctls.Name && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k.Name, p) })
		},
		Unknown: "it may be loaded with the kernel module " + name,
	})
}

// gone are modules that are still named in instructions, with what became of them.
var gone = map[string]string{
	"vfio_virqfd": "since kernel 6.2 it is part of vfio: leave it out",
}

func missing(ctx context.Context, h modules.Host, name string) error {
	kernel, err := observe.Kernels.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	if why, ok := gone[observe.ModuleName(name)]; ok {
		return fmt.Errorf("%s: kernel %s has no module %s: %s", h.Name(), kernel.Release, name, why)
	}
	return fmt.Errorf("%s: kernel %s has no module %s: not found in /lib/modules/%s/modules.dep; check the name, or reboot if another kernel was installed since the last boot", h.Name(), kernel.Release, name, kernel.Release)
}

// pending returns remarks about modules that must be reloaded, or that wait for the next boot.
func (m *Module) pending(ctx context.Context, h modules.Host) []string {
	if m.State == "absent" || len(m.Blacklist) == 0 {
		return nil
	}
	var notes []string
	for _, name := range m.Blacklist {
		if state, err := observe.KernelModules.Observe(ctx, h, name); err == nil && state.Loaded {
			notes = append(notes, fmt.Sprintf("%s is blacklisted but loaded: it stays in use until the next boot", name))
		}
	}
	return notes
}
