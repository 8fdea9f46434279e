package reboot

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

func recorded(running string, demand observe.RebootDemand, installed ...string) modules.Host {
	return observe.NewRecorded("pve1",
		observe.Kernels.Expect("", observe.Kernel{Release: running, Version: "#1", Architecture: "x86_64", BootID: "4ab72829-403a-40e3-abe1-129ff55a738a"}),
		observe.RebootDemands.Expect("", demand),
		observe.InstalledKernels.Expect("", installed),
		pve.Clusters.Expect("", pve.Cluster{}),
		pve.Nodes.Expect("", pve.Node{}),
		observe.Files.Expect(configured, observe.File{}), observe.Files.Expect(pve.PmxcfsProgram, observe.File{}),
	)
}

const (
	debian  = "6.1.0-28-amd64"
	proxmox = "6.8.12-9-pve"
)

func TestPlan(t *testing.T) {
	required := observe.RebootDemand{Required: true, Packages: []string{"libc6", "dbus", "libc6"}}
	for _, c := range []struct {
		name    string
		module  Module
		host    modules.Host
		want    []string
		release string
	}{
		{"into the Proxmox kernel", Module{WhenKernel: "*-pve"}, recorded(debian, observe.RebootDemand{}, debian, "6.8.12-4-pve", proxmox),
			[]string{"reboot: kernel 6.1.0-28-amd64 is running, expected *-pve"}, proxmox},
		{"into a kernel that check mode predicts", Module{WhenKernel: "*-pve"}, recorded(debian, observe.RebootDemand{}, debian, observe.ComingRelease("-pve")),
			[]string{"reboot: kernel 6.1.0-28-amd64 is running, expected *-pve"}, observe.ComingRelease("-pve")},
		{"there already", Module{WhenKernel: "*-pve"}, recorded(proxmox, observe.RebootDemand{}, debian, proxmox), nil, proxmox},
		{"not required", Module{WhenRequired: true}, recorded(proxmox, observe.RebootDemand{}, proxmox), nil, proxmox},
		{"required", Module{WhenRequired: true}, recorded(proxmox, required, proxmox, "6.8.12-10-pve"), []string{"reboot: required by dbus, libc6"}, "6.8.12-10-pve"},
		{"both", Module{WhenKernel: "*-pve", WhenRequired: true}, recorded(debian, observe.RebootDemand{Required: true}, proxmox),
			[]string{"reboot: kernel 6.1.0-28-amd64 is running, expected *-pve; required by installed packages"}, proxmox},
		{"always", Module{Always: true}, recorded(proxmox, observe.RebootDemand{}, proxmox), []string{"reboot: requested by the playbook"}, proxmox},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &c.module, c.host)
			var got []string
			for _, s := range plan.Steps {
				got = append(got, s.Summary)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the steps differ (-want +got):\n%s", diff)
			}
			if plan.Repeats != c.module.Always {
				t.Errorf("Repeats is %v", plan.Repeats)
			}
			kernel, err := observe.Kernels.Observe(t.Context(), c.host, "")
			if err != nil || kernel.Release != c.release {
				t.Errorf("afterwards kernel %q runs (%v), expected %q", kernel.Release, err, c.release)
			}
			if len(got) > 0 && kernel.BootID != "" {
				t.Errorf("the boot id %q is predicted, but a new one cannot be known", kernel.BootID)
			}
		})
	}
}

func TestAction(t *testing.T) {
	plan := modulestest.Converges(t, &Module{Always: true, Message: "maintenance"}, recorded(proxmox, observe.RebootDemand{}, proxmox))
	if diff := cmp.Diff(modules.Reboot{Reason: "maintenance", Limit: 10 * time.Minute}, plan.Steps[0].Action); diff != "" {
		t.Errorf("the action differs (-want +got):\n%s", diff)
	}
}

func TestKernelNotInstalled(t *testing.T) {
	_, err := modulestest.Decoded(&Module{WhenKernel: "*-pve"}).Plan(t.Context(), recorded(debian, observe.RebootDemand{}, debian))
	if err == nil || !strings.Contains(err.Error(), "a reboot would not change that") || !strings.Contains(err.Error(), debian) {
		t.Errorf("expected a refusal that lists what is in /boot, got %v", err)
	}
}

func TestReleaseThatCheckModeCannotKnow(t *testing.T) {
	_, err := modulestest.Decoded(&Module{WhenKernel: "6.14.*-pve"}).Plan(t.Context(), recorded(debian, observe.RebootDemand{}, debian, observe.ComingRelease("-pve")))
	if !observe.IsUnknown(err) {
		t.Errorf("expected the plan to be unknowable, got %v", err)
	}
}

func TestValidate(t *testing.T) {
	for argument, m := range map[string]Module{
		"when_kernel": {},
	} {
		err, ok := modulestest.Decoded(&m).Validate().(*modules.ArgumentError)
		if !ok || err.Argument != argument {
			t.Errorf("%+v: expected a fault in %s, got %v", m, argument, modulestest.Decoded(&m).Validate())
		}
	}
}
