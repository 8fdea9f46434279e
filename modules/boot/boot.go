// Package boot implements the module for the kernel's command line.
package boot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "boot",
	Aliases: []string{"grub", "kernel_cmdline"},
	Summary: "Parameters of the kernel's command line",
	Doc: `Sets and removes parameters of the command line that the boot loader passes to the kernel, and leaves all others as they are.
The boot loader that started the host determines where they are set:

- GRUB: ` + "`GRUB_CMDLINE_LINUX_DEFAULT` and `GRUB_CMDLINE_LINUX`" + ` in /etc/default/grub and /etc/default/grub.d/*.cfg, followed by update-grub.
  The assignment that takes effect is changed. An assignment whose value is known only by running the script is an error.
- proxmox-boot-tool with GRUB: the same files, followed by proxmox-boot-tool refresh.
- proxmox-boot-tool with systemd-boot: /etc/kernel/cmdline, followed by proxmox-boot-tool refresh.
- systemd-boot as Debian's package installs it: /etc/kernel/cmdline, followed by kernel-install for each kernel whose entry lacks a
  change. If that file does not exist, it is created from /usr/lib/kernel/cmdline or else from the running kernel's command line, as kernel-install would use them.

If another boot loader started the host, the task fails and nothing is changed.

Parameters of one name belong together: ` + "`console=tty0` and `console=ttyS0,115200`" + ` in the list become the consoles, in this order, and
` + "`intel_iommu=on`" + ` replaces ` + "`intel_iommu=off`" + `. Dashes and underscores in names are equivalent.

A change takes effect with the next boot. Until then the task registers that a reboot is required (/run/reboot-required), so that a
task with ` + "`reboot { when_required = true }`" + ` reboots the host. If the running kernel lacks a parameter but no reboot has been registered,
because a run was interrupted or the reboot was forgotten, the boot loader is refreshed again.

Parameters that the host needs to find its root file system (root, boot, initrd) are refused.`,
	Example: `task "IOMMU" {
  boot {
    cmdline = ["intel_iommu=on", "iommu=pt"]
  }
}

task "reboot if a task asks for it" {
  reboot {
    when_required = true
  }
}`,
	Result: Result{},
	Facts:  []observe.FactSpec{commandLineFact},
	Placed: placed,
	New:    func() modules.Module { return &Module{} },
}

// Module is the desired state of some kernel parameters.
type Module struct {
	Cmdline []string `hcl:"cmdline,optional" doc:"Parameters to pass: [\"intel_iommu=on\", \"iommu=pt\"]."`
	Remove  []string `hcl:"remove,optional" doc:"Names of parameters to remove: [\"quiet\", \"nomodeset\"]."`
}

// Result is what the module registers.
type Result struct {
	Loader string `cty:"loader" doc:"The boot loader: \"GRUB\", \"systemd-boot\", \"GRUB, kept by proxmox-boot-tool\" or \"systemd-boot, kept by proxmox-boot-tool\"."`
	Reboot bool   `cty:"reboot" doc:"Whether the running kernel was started with other parameters, so that the host must be rebooted."`
}

var (
	// The characters of a value are printable ASCII without blanks, quotes, dollar signs and backslashes.
	parameterPattern = pattern.New(`^[A-Za-z0-9_.-]+(=[!#%&(-\[\]-_a-~]*)?$`)
	namePattern      = pattern.New(`^[A-Za-z0-9_.-]+$`)
)

// demander is the module's entry in the list of packages that require a reboot.
const demander = "kernel-command-line"

// vital are the parameters that a host needs to find its system.
var vital = []string{"root", "boot", "initrd", "BOOT_IMAGE"}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if len(m.Cmdline)+len(m.Remove) == 0 {
		return &modules.ArgumentError{Argument: "cmdline", Problem: "there is nothing to do", Want: "expected at least one of cmdline and remove"}
	}
	for _, p := range m.Cmdline {
		switch {
		case strings.ContainsAny(p, " \t\n"):
			return &modules.ArgumentError{Argument: "cmdline", Problem: fmt.Sprintf("%q is not a single parameter", p), Want: `expected each as a separate element: ["intel_iommu=on", "iommu=pt"]`}
		case strings.HasPrefix(p, "-"):
			return &modules.ArgumentError{Argument: "cmdline", Problem: fmt.Sprintf("%q is not a kernel parameter: the kernel passes everything after -- to init", p), Want: "a name, or name=value"}
		case !parameterPattern.MatchString(p):
			return &modules.ArgumentError{Argument: "cmdline", Problem: fmt.Sprintf("%q is not a parameter that can be written into the files of all boot loaders", p), Want: `a name, or name=value without quotes, dollar signs and backslashes`}
		}
	}
	for _, name := range m.Remove {
		switch {
		case !namePattern.MatchString(name):
			return &modules.ArgumentError{Argument: "remove", Problem: fmt.Sprintf("%q is not the name of a parameter", name), Want: `the name alone, such as "nomodeset"`}
		case len(named(m.Cmdline, nameOf(name))) > 0:
			return &modules.ArgumentError{Argument: "remove", Problem: name + " is also in cmdline", Want: "expected each parameter in only one of the two"}
		}
	}
	for argument, list := range map[string][]string{"cmdline": m.Cmdline, "remove": m.Remove} {
		for _, p := range list {
			if slices.Contains(vital, nameOf(p)) {
				return &modules.ArgumentError{Argument: argument, Problem: nameOf(p) + " tells the host where to find its system at boot", Want: "expected other parameters"}
			}
		}
	}
	return nil
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	observe.CommandLines.Want(h, "")
	observe.RebootDemands.Want(h, "")
	observe.Files.Want(h, cmdlineFile)
	grubDefaults.Want(h, "")
	found, err := loaders.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	l, err := found.loader()
	if err != nil {
		return modules.Plan{}, fmt.Errorf("%s: %w", h.Name(), err)
	}
	written, refresh, err := m.planFiles(ctx, h, l, found.Line)
	if err != nil {
		return modules.Plan{}, err
	}
	missing, unknown := m.running(ctx, h)
	if unknown != nil && !observe.IsUnknown(unknown) {
		return modules.Plan{}, unknown
	}
	pending := unknown != nil || len(missing) > 0
	var demanded []modules.Step
	if pending {
		if demanded, err = conffile.DemandReboot(ctx, h, demander); err != nil {
			return modules.Plan{}, err
		}
	}
	if unknown != nil && len(written) == 0 && len(demanded) > 0 {
		return modules.Plan{}, unknown
	}
	plan := modules.Plan{Data: modules.Data(Result{Loader: l.name, Reboot: pending})}
	if len(written)+len(refresh)+len(demanded) > 0 {
		if len(l.refresh) > 0 {
			refresh = []modules.Step{l.step()}
		}
		plan.Steps = slices.Concat(written, refresh, demanded)
	}
	if len(missing) > 0 {
		plan.Notes = []string{fmt.Sprintf("the running kernel was started %s: reboot to change that", strings.Join(missing, ", "))}
	}
	return plan, nil
}

// step returns the step that applies the files to the next boot.
func (l loader) step() modules.Step {
	return modules.Step{
		Risk:    modules.CostsQuorum, // a node may fail to boot with it
		Summary: "refresh the boot loader (" + strings.Join(l.refresh, " ") + ")",
		Action:  modules.Run{Argv: l.refresh, Long: true},
		Exact:   true,
	}
}

// running returns what the running kernel's command line lacks.
func (m *Module) running(ctx context.Context, h modules.Host) ([]string, error) {
	line, err := observe.CommandLines.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	return m.missing(split(line)), nil
}

// planFiles plans the changes of the boot loader's files and, for a boot loader with an entry per kernel, of its entries.
// running is the running kernel's command line.
func (m *Module) planFiles(ctx context.Context, h modules.Host, l loader, running string) (written, refresh []modules.Step, err error) {
	if l.file != cmdlineFile {
		written, err = m.planGRUB(ctx, h)
		return written, nil, err
	}
	line, written, err := m.planCmdline(ctx, h, l, running)
	if err != nil || len(l.refresh) > 0 {
		return written, nil, err
	}
	refresh, err = m.planEntries(ctx, h, line)
	return written, refresh, err
}

// planGRUB plans the changes of the files that GRUB's menu is made from.
func (m *Module) planGRUB(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	files, err := grubDefaults.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	line, err := parseGRUB(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name(), err)
	}
	leave, added := m.differences(line.parameters())
	if err := beforeInit(h, line.parameters(), added); err != nil {
		return nil, err
	}
	line.edit(leave, added)
	var steps []modules.Step
	for _, f := range line.changes() {
		more, err := conffile.Write(ctx, h, f.Path, f.Content, m.summary(f.Path))
		if err != nil {
			return nil, err
		}
		before := slices.IndexFunc(files, func(old observe.TextFile) bool { return old.Path == f.Path })
		for i, step := range more {
			if write, ok := step.Action.(modules.WriteFile); ok && before >= 0 {
				write.Was = files[before].Content
				more[i].Action = write
			}
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

// planCmdline plans the change of /etc/kernel/cmdline, which holds the command line in one line, and returns the line.
func (m *Module) planCmdline(ctx context.Context, h modules.Host, l loader, running string) (string, []modules.Step, error) {
	text, exists, err := observe.Text(ctx, h, cmdlineFile)
	if err != nil {
		return "", nil, err
	}
	reader := "proxmox-boot-tool"
	if len(l.refresh) == 0 {
		reader = "kernel-install"
		if !exists {
			if text, exists, err = observe.Text(ctx, h, vendorCmdlineFile); err != nil {
				return "", nil, err
			}
		}
		if !exists {
			text, exists = strings.Join(started(running), " "), true
		}
	}
	line := split(text)
	switch {
	case !exists || len(named(line, "root")) == 0:
		return "", nil, fmt.Errorf("%s: %s has no root=…, without which the host does not boot: expected the complete command line, as read by %s; copy the correct parameters from /proc/cmdline", h.Name(), cmdlineFile, reader)
	case strings.Contains(strings.TrimSpace(text), "\n") && len(l.refresh) > 0:
		return "", nil, fmt.Errorf("%s: %s has several lines: expected the complete command line in one line, as read by %s", h.Name(), cmdlineFile, reader)
	}
	leave, added := m.differences(line)
	if len(leave)+len(added) == 0 {
		return strings.Join(line, " "), nil, nil
	}
	if err := beforeInit(h, line, added); err != nil {
		return "", nil, err
	}
	line = slices.DeleteFunc(line, func(p string) bool { return slices.Contains(leave, nameOf(p)) })
	after := strings.Join(append(line, added...), " ")
	steps, err := conffile.Write(ctx, h, cmdlineFile, after+"\n", m.summary(cmdlineFile))
	return after, steps, err
}

// summary describes the change of a file.
func (m *Module) summary(file string) string {
	var parts []string
	if len(m.Cmdline) > 0 {
		parts = append(parts, "pass "+strings.Join(m.Cmdline, " ")+" to the kernel")
	}
	if len(m.Remove) > 0 {
		parts = append(parts, "no longer pass "+strings.Join(m.Remove, " "))
	}
	return strings.Join(parts, ", ") + " in " + file
}
