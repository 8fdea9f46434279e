// Package sysctl implements the module for kernel settings, now and at boot.
package sysctl

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "sysctl",
	Summary: "Kernel settings, now and at boot",
	Doc: `Sets kernel settings at once (sysctl -w) and writes them to a file in /etc/sysctl.d, from which they are set at
every boot. Lines of other settings and comments in that file are kept.

Values are compared by what they mean to the kernel: blanks or tabs, decimal or hexadecimal, lists of numbers and
ranges in any order, the first few numbers of several. A value that the kernel stores in another form, or clamps, is an
error that shows the stored value. Settings that reset others (net.ipv4.ip_forward) are written before them.

A setting that the running kernel does not have is an error: usually a kernel module has to be loaded first
(net.bridge.* needs br_netfilter). So is a write-only setting (net.ipv4.route.flush, vm.drop_caches), which is an
action and not a state: use command for it.

With state = "absent" the lines are removed; the running kernel keeps its value until the next boot, because the kernel's own
default is not known. A note reports a file that is read later and sets the same name to another value. A masked file
(one that a file or a link to /dev/null of the same name in /etc/sysctl.d replaces) is not read.`,
	Example: `task "kernel settings for Ceph" {
  sysctl {
    settings = {
      "vm.swappiness"   = 10
      "kernel.pid_max"  = 4194304
      "net.core.rmem_max" = 33554432
    }
    file = "/etc/sysctl.d/90-ceph.conf"
  }
}`,
	Placed: placed,
	Local:  true,
	New:    func() modules.Module { return &Module{} },
}

// Module is the desired state of some kernel settings.
type Module struct {
	Name     string            `hcl:"name,optional" doc:"Name of the setting: net.ipv4.ip_forward. With slashes as separators, dots belong to names: net/ipv4/conf/eth0.100/rp_filter."`
	Value    *string           `hcl:"value,optional" doc:"Value of the setting."`
	Settings map[string]string `hcl:"settings,optional" doc:"Several settings, by name."`
	File     string            `hcl:"file,optional" default:"/etc/sysctl.d/90-hlplay.conf" doc:"File that sets them at boot."`
	State    string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent removes the lines from the file."`
}

// namePattern excludes what sysctl(8) and sysctl.d(5) treat as a pattern, a flag or a separator.
var namePattern = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.,/:@+-]*$`)

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	switch {
	case m.Name == "" && len(m.Settings) == 0:
		return &modules.ArgumentError{Argument: "name", Problem: "the task names no setting", Want: "give name and value, or settings = { NAME = VALUE }"}
	case m.Name == "" && m.Value != nil:
		return &modules.ArgumentError{Argument: "value", Problem: "is given without a name", Want: "give name, too"}
	case m.Name != "" && m.Value == nil && m.State != "absent":
		return &modules.ArgumentError{Argument: "value", Problem: "is missing", Want: "expected the value of " + m.Name}
	case !path.IsAbs(m.File) || path.Ext(m.File) != ".conf":
		return &modules.ArgumentError{Argument: "file", Problem: fmt.Sprintf("%q would not be read at boot", m.File), Want: "expected an absolute path that ends in .conf, such as /etc/sysctl.d/90-ceph.conf"}
	}
	seen := map[string]string{}
	for name, value := range m.all() {
		argument, valued := "settings", "settings"
		if name == m.Name {
			argument, valued = "name", "value"
		}
		if !namePattern.MatchString(name) || strings.Contains(observe.SysctlPath(name), "/../") {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not the name of a setting", name), Want: "expected one name without patterns, such as vm.swappiness"}
		}
		if other, twice := seen[observe.SysctlPath(name)]; twice {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%s and %s are the same setting", other, name), Want: "expected each setting once"}
		}
		seen[observe.SysctlPath(name)] = name
		if strings.ContainsAny(value, "\n\x00") {
			return &modules.ArgumentError{Argument: valued, Problem: fmt.Sprintf("the value of %s has more than one line", name), Want: "expected one line"}
		}
		if m.State != "absent" && observe.NormalSysctl(value) == "" {
			return &modules.ArgumentError{Argument: valued, Problem: fmt.Sprintf("the value of %s is empty", name), Want: "expected a value as printed by sysctl"}
		}
	}
	return m.contradiction()
}

// counterparts lists pairs of settings: when one of them is set, the kernel sets the other one to zero.
var counterparts = [][2]string{
	{"vm.dirty_bytes", "vm.dirty_ratio"},
	{"vm.dirty_background_bytes", "vm.dirty_background_ratio"},
	{"vm.overcommit_kbytes", "vm.overcommit_ratio"},
}

// contradiction returns an error if two settings cannot both hold.
func (m *Module) contradiction() error {
	values := map[string]string{}
	for name, value := range m.all() {
		values[observe.SysctlPath(name)] = value
	}
	for _, pair := range counterparts {
		a, b := values[observe.SysctlPath(pair[0])], values[observe.SysctlPath(pair[1])]
		if m.State != "absent" && a != "" && b != "" && !equal(pair[0], a, "0") && !equal(pair[1], b, "0") {
			return &modules.ArgumentError{Argument: "settings", Problem: fmt.Sprintf("%s and %s are two forms of one limit: the kernel sets one to 0 when the other is set", pair[0], pair[1]), Want: "give only one of them"}
		}
	}
	return nil
}

// all returns the settings in a single map, with the values in the form in which they are written.
func (m *Module) all() map[string]string {
	all := map[string]string{}
	for name, value := range m.Settings {
		all[name] = written(value)
	}
	if m.Name != "" {
		all[m.Name] = ""
		if m.Value != nil {
			all[m.Name] = written(*m.Value)
		}
	}
	return all
}

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	observe.Sysctls.Want(h, slices.Sorted(maps.Keys(m.all()))...)
	bootFiles.Want(h, "")
	observe.Files.Want(h, m.File)
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	file := m.File
	settings := m.all()
	names := slices.SortedFunc(maps.Keys(settings), order)
	if m.State == "absent" {
		return planAbsent(ctx, h, file, names)
	}
	m.Want(h)
	text, _, err := observe.Text(ctx, h, file)
	if err != nil {
		return modules.Plan{}, err
	}
	after := conffile.EditLines(text, func(text string) string {
		if text == "" {
			text = header
		}
		for _, name := range names {
			text = set(text, name, settings[name])
		}
		return ordered(text, names, settings)
	})
	if after == header {
		after = text
	}
	written, err := conffile.Write(ctx, h, file, after, "set "+strings.Join(names, ", ")+" at boot in "+file)
	if err != nil {
		return modules.Plan{}, err
	}
	now, several, err := planNow(ctx, h, settings, names, len(written) > 0)
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{
		// First the kernel: a value that it rejects must not remain in a file that is read at boot.
		Steps: append(now, written...),
		Notes: overrides(ctx, h, file, settings),
		// One setting may have reset another.
		Partial: several,
	}, nil
}

// planNow plans a single sysctl -w for all settings that differ in the running kernel. If, in check mode, an earlier
// change makes a value unknowable, it counts as different if the task is known to change something anyway. several
// reports whether the task has others, which they may reset.
func planNow(ctx context.Context, h modules.Host, settings map[string]string, names []string, changes bool) (steps []modules.Step, several bool, err error) {
	argv := []string{"sysctl", "-w"}
	var before, after, changed, kept []string
	var expect []observe.Expectation
	var unknown error
	for _, name := range names {
		now, err := observe.Sysctls.Observe(ctx, h, name)
		switch {
		case observe.IsUnknown(err):
			unknown = err
			now = observe.Sysctl{Exists: true, Value: "(unknown)"}
		case err != nil:
			return nil, false, err
		case !now.Exists:
			return nil, false, missing(h, name)
		case now.Hidden && now.Fixed:
			return nil, false, fmt.Errorf("only root can read %s; become root", name)
		case now.Hidden:
			return nil, false, fmt.Errorf("%s is write-only: writing it is an action, not a state to keep; do it in a handler: command { argv = [\"sysctl\", \"-w\", %q] }", name, name+"="+settings[name])
		case equal(name, settings[name], now.Value):
			continue
		case now.Fixed:
			return nil, false, fmt.Errorf("%s is %q and cannot be written: become root; in a container, set it on the host; otherwise the kernel does not allow it to be changed", name, now.Value)
		}
		kept = append(kept, fmt.Sprintf("the kernel stores %s as %q: give that value, or another that it stores unchanged", name, now.Value))
		argv = append(argv, name+"="+settings[name])
		changed = append(changed, name+" = "+settings[name])
		before = append(before, name+" = "+now.Value)
		after = append(after, name+" = "+settings[name])
		expect = append(expect, observe.Sysctls.Expect(name, observe.Sysctl{Exists: true, Value: kernelForm(settings[name], now.Value)}))
	}
	if unknown != nil && !changes {
		return nil, false, unknown
	}
	if len(changed) == 0 {
		return nil, false, nil
	}
	return []modules.Step{{
		Summary: "set " + strings.Join(changed, ", "),
		Action:  modules.Run{Argv: argv, Brief: true, Explain: explain},
		Diff:    &modules.Diff{Subject: "kernel settings", Before: strings.Join(before, "\n"), After: strings.Join(after, "\n")},
		Expect:  append(expect, reset(changed)...),
		Unmet:   strings.Join(kept, "; "),
		Exact:   true,
	}}, len(names) > 1, nil
}

// reset returns the settings that change when others are set.
func reset(changed []string) []observe.Expectation {
	var expect []observe.Expectation
	for _, assignment := range changed {
		name, _, _ := strings.Cut(assignment, " = ")
		if rank(name) == len(resetting) {
			continue
		}
		expect = append(expect, observe.Expectation{
			Match:   func(k observe.Key) bool { return k.Kind == observe.Sysctls.Name && resets(name, k.Name) },
			Unknown: "setting " + name + " changes others",
		})
	}
	return append(expect, redirects(changed)...)
}

// redirects returns what the kernel makes of accepting redirects when forwarding is turned on or off: a router does not accept
// them (inet_forward_change in net/ipv4/devinet.c). A value that is set after it counts.
func redirects(changed []string) (expect []observe.Expectation) {
	const accept = "net.ipv4.conf.all.accept_redirects"
	for _, assignment := range changed {
		name, value, _ := strings.Cut(assignment, " = ")
		switch observe.SysctlPath(name) {
		case observe.SysctlPath(accept):
			return nil
		case observe.SysctlPath("net.ipv4.ip_forward"), observe.SysctlPath("net.ipv4.conf.all.forwarding"):
			now := "0"
			if equal(name, "0", value) {
				now = "1"
			}
			expect = []observe.Expectation{observe.Sysctls.Expect(accept, observe.Sysctl{Exists: true, Value: now})}
		}
	}
	return expect
}

// explain names the setting that the kernel rejected.
func explain(_ int, _, stderr []byte) error {
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "Invalid argument"):
			return fmt.Errorf("%s: the kernel does not accept this value", line)
		case strings.Contains(line, "ermission denied"), strings.Contains(line, "Read-only file system"):
			return fmt.Errorf("%s: the setting cannot be written; become root or, in a container, set it on the host", line)
		}
	}
	return nil
}

// providers lists the kernel modules that provide settings, by the beginnings of their names.
var providers = []struct{ prefix, module string }{
	{"net/bridge/", "br_netfilter"},
	{"net/netfilter/", "nf_conntrack"},
	{"net/nf_conntrack_max", "nf_conntrack"},
	{"net/ipv6/", "ipv6"},
	{"net/rds/", "rds"},
	{"sunrpc/", "sunrpc"},
	{"fs/nfs/", "nfs"},
}

func missing(h modules.Host, name string) error {
	rest := strings.TrimPrefix(observe.SysctlPath(name), "/proc/sys/")
	for _, p := range providers {
		if strings.HasPrefix(rest, p.prefix) {
			return fmt.Errorf("the kernel has no setting %s, which kernel module %s provides; load it in an earlier task: modprobe { modules = [%q] }", name, p.module, p.module)
		}
	}
	return fmt.Errorf("the kernel has no setting %s: check the name with `sysctl -a`; if a kernel module provides it, load that in an earlier task", name)
}

func planAbsent(ctx context.Context, h modules.Host, file string, names []string) (modules.Plan, error) {
	text, exists, err := observe.Text(ctx, h, file)
	if err != nil {
		return modules.Plan{}, err
	}
	if !exists {
		return modules.Plan{}, observe.Files.MayAppear(h, file)
	}
	left := true
	after := conffile.EditLines(text, func(text string) string {
		for _, name := range names {
			text = unset(text, name)
		}
		left = strings.TrimSpace(strings.TrimPrefix(text, header)) != ""
		return text
	})
	if after == text {
		return modules.Plan{}, nil
	}
	summary := "no longer set " + strings.Join(names, ", ") + " at boot"
	if !left {
		steps, err := conffile.Remove(ctx, h, file, summary+": remove "+file)
		return modules.Plan{Steps: steps}, err
	}
	steps, err := conffile.Write(ctx, h, file, after, summary)
	return modules.Plan{Steps: steps}, err
}

// overrides returns the other files that set one of the settings to a different value and are read after file: files
// from all directories are read in the order of their names alone (sysctl.d(5)).
func overrides(ctx context.Context, h modules.Host, file string, settings map[string]string) []string {
	files, err := bootFiles.Observe(ctx, h, "")
	if err != nil { // files that cannot be read, or are about to change, yield no remark
		return nil
	}
	var notes []string
	for _, f := range observe.DropIns(files) {
		if path.Base(f.Path) == path.Base(file) && f.Path != file {
			notes = append(notes, fmt.Sprintf("%s overrides %s, which is therefore not read at boot: remove it, or use another file", f.Path, file))
		}
		if path.Base(f.Path) <= path.Base(file) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			if value, ok := get(f.Content, name); ok && !equal(name, settings[name], value) {
				notes = append(notes, fmt.Sprintf("%s sets %s = %s and is read after %s, so it takes precedence at boot; remove the line there, or choose a file name that sorts after it", f.Path, name, value, file))
			}
		}
	}
	return notes
}
