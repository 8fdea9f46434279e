// Package reboot implements the module that reboots a host if there is a reason to.
package reboot

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "reboot",
	Summary: "Reboots a host if there is a reason to, and waits until it is back",
	Doc: `Reboots if one of the given reasons applies, waits until the host answers again, and checks by the kernel's boot ID
that it has really rebooted. If no reason applies, nothing is done, so the task can stay in the playbook.

when_kernel = "*-pve" reboots into a kernel whose release matches. It fails if no such kernel is installed, because the
reboot would change nothing. It also fails if the host comes back with a kernel that does not match: the boot loader then prefers
that one.

when_required = true reboots if an installed package requires it (/run/reboot-required).

always = true reboots every time the task runs; it is meant for handlers.

The host is back once the units that it needs run as well: those in units and, with Proxmox VE, its services, corosync and the
Ceph daemons that are running before the reboot. A node of a cluster must have its quorum again.

Nodes of a cluster are rebooted one at a time, and none after one that did not come back. It is refused if the other nodes
would have no quorum meanwhile, or if that is unknown because the node's cluster file system is not mounted (pve-cluster).`,
	Example: `task "boot the Proxmox kernel" {
  reboot {
    when_kernel = "*-pve"
    message     = "hlplay: booting the Proxmox kernel"
    limit       = "15m"
  }
}`,
	New: func() modules.Module { return &Module{} },
}

// Module holds the reasons to reboot a host.
type Module struct {
	WhenKernel   string        `hcl:"when_kernel,optional" doc:"Reboot unless the release of the running kernel (uname -r) matches this glob pattern, such as *-pve."`
	WhenRequired bool          `hcl:"when_required,optional" default:"false" doc:"Reboot if an installed package requires it (/run/reboot-required)."`
	Always       bool          `hcl:"always,optional" default:"false" doc:"Reboot every time the task runs; for handlers."`
	Message      string        `hcl:"message,optional" doc:"The message on the host's console; by default the reason."`
	Limit        time.Duration `hcl:"limit,optional" default:"10m" doc:"How long to wait for the host to come back, with all that is waited for."`
	Units        []string      `hcl:"units,optional" doc:"Units to wait for after the reboot, such as docker.service."`
	LosesQuorum  bool          `hcl:"loses_quorum,optional" default:"false" doc:"Reboot although the rest of the cluster has no quorum meanwhile."`
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if m.WhenKernel == "" && !m.WhenRequired && !m.Always {
		return &modules.ArgumentError{Argument: "when_kernel", Problem: "the task gives no reason to reboot", Want: "at least one of when_kernel, when_required, always"}
	}
	if _, err := path.Match(m.WhenKernel, ""); err != nil {
		return &modules.ArgumentError{Argument: "when_kernel", Problem: fmt.Sprintf("%q is not a glob pattern", m.WhenKernel), Want: `a pattern such as "*-pve"`}
	}
	if m.Limit == 0 {
		return &modules.ArgumentError{Argument: "limit", Problem: "is zero", Want: `a duration such as "10m"`}
	}
	return nil
}

// Resident implements modules.Resident.
func (m *Module) Resident() string {
	return "a reboot needs a play for the host, which notices that it went away"
}

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	if m.WhenRequired {
		observe.RebootDemands.Want(h, "")
	}
	observe.Kernels.Want(h, "")
	observe.InstalledKernels.Want(h, "")
}

// MayRead implements modules.Forecaster.
func (m *Module) MayRead(h modules.Host) {
	m.Want(h)
	wantMembership(h)
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	m.Want(h)
	running, err := observe.Kernels.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	var reasons []string
	next := running
	if m.WhenKernel != "" && !matches(m.WhenKernel, running.Release) {
		release, err := m.target(ctx, h, running)
		if err != nil {
			return modules.Plan{}, err
		}
		next.Release = release
		reasons = append(reasons, fmt.Sprintf("kernel %s is running, expected %s", running.Release, m.WhenKernel))
	} else if installed, err := observe.InstalledKernels.Observe(ctx, h, ""); err == nil && len(installed) > 0 {
		// Boot loaders prefer the newest kernel, unless one is pinned.
		next.Release = installed[len(installed)-1]
		if m.WhenKernel != "" && !matches(m.WhenKernel, next.Release) {
			next.Release = running.Release
		}
	}
	if m.WhenRequired {
		demand, err := observe.RebootDemands.Observe(ctx, h, "")
		switch {
		case observe.IsUnknown(err) && (len(reasons) > 0 || m.Always): // another reason is enough
		case err != nil:
			return modules.Plan{}, err
		case demand.Required && len(demand.Packages) > 0:
			packages := slices.Clone(demand.Packages)
			slices.Sort(packages)
			reasons = append(reasons, "required by "+strings.Join(slices.Compact(packages), ", "))
		case demand.Required:
			reasons = append(reasons, "required by installed packages")
		}
	}
	if m.Always && len(reasons) == 0 {
		reasons = append(reasons, "requested by the playbook")
	}
	if len(reasons) == 0 {
		return modules.Plan{}, nil
	}
	step := m.step(running, next, strings.Join(reasons, "; "))
	if err := m.amongNodes(ctx, h, &step); err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: []modules.Step{step}, Repeats: m.Always}, nil
}

func (m *Module) step(running, next observe.Kernel, reason string) modules.Step {
	message := m.Message
	if message == "" {
		message = "hlplay: " + reason
	}
	next.BootID = ""
	if next.Release != running.Release {
		next.Version = ""
	}
	step := modules.Step{
		Summary: "reboot: " + reason,
		Action:  modules.Reboot{Reason: message, Limit: m.Limit},
		Expect: []observe.Expectation{
			observe.Kernels.Expect("", next),
			observe.RebootDemands.Expect("", observe.RebootDemand{}),
			observe.AfterReboot(),
		},
	}
	if next.Release != running.Release {
		step.Diff = &modules.Diff{Subject: "running kernel", Before: running.Release, After: next.Release}
		step.Expect = append(step.Expect, observe.Expectation{
			Match:   func(k observe.Key) bool { return k.Kind == observe.KernelModules.Name },
			Unknown: "another kernel will run after the reboot",
		})
	}
	return step
}

// target returns the newest installed kernel that matches. Which one is booted is up to the boot loader, and is verified
// afterwards.
func (m *Module) target(ctx context.Context, h modules.Host, running observe.Kernel) (string, error) {
	installed, err := observe.InstalledKernels.Observe(ctx, h, "")
	if err != nil {
		return "", err
	}
	for _, release := range slices.Backward(installed) {
		if matches(m.WhenKernel, release) {
			return release, nil
		}
	}
	if slices.ContainsFunc(installed, observe.IsComing) {
		return "", &observe.UnknownError{Host: h.Name(), Key: observe.InstalledKernels.Key(""), What: observe.InstalledKernels.What, Because: "the release of the kernel that an earlier task installs decides whether it matches " + m.WhenKernel}
	}
	have := "none"
	if len(installed) > 0 {
		have = strings.Join(installed, ", ")
	}
	return "", fmt.Errorf("%s is running kernel %s, and no installed kernel matches %q (in /boot: %s): a reboot would not change that; install one first, such as proxmox-default-kernel", h.Name(), running.Release, m.WhenKernel, have)
}

// matches reports whether a kernel release matches a pattern; Validate has checked the pattern.
func matches(pattern, release string) bool {
	ok, _ := path.Match(pattern, release)
	return ok
}
