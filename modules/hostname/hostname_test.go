package hostname

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func file(text string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(text)), Content: []byte(text)}
}

// host returns a host with one name set for the next boot and one in the kernel.
func host(static, running string, more ...observe.Expectation) modules.Host {
	all := []observe.Expectation{
		observe.Files.Expect("/etc", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/etc/hostname", file(static)),
		observe.Files.Expect("/proc/sys/kernel/hostname", file(running)),
		observe.Packages.Expect("pve-cluster", observe.Package{}),
	}
	return observe.NewRecorded("host", append(all, more...)...)
}

func TestPlan(t *testing.T) {
	const keep, set = "  keep the host name pve1 in /etc/hostname\n", "  set the host name to pve1\n"
	tests := []struct{ name, static, running, want string }{
		{"as wanted", "pve1\n", "pve1\n", ""},
		{"another name", "debian\n", "debian\n", keep + set},
		{"only until the next boot", "debian\n", "pve1\n", keep},
		{"only from the next boot on", "pve1\n", "debian\n", set},
		{"comments and blanks", "# ours\n\n pve1 \n", "pve1\n", ""},
		{"the first name counts", "debian\npve1\n", "pve1\n", keep},
		{"empty", "", "(none)\n", keep + set},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &hostname{Name: "pve1"}, host(test.static, test.running))
			if got := modulestest.Summaries(plan); got != test.want {
				t.Errorf("steps:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestPlanDoesNotRenameANode(t *testing.T) {
	installed := observe.Packages.Expect("pve-cluster", observe.Package{Status: observe.InstalledStatus, Version: "8.1.2"})
	_, err := (&hostname{Name: "pve2"}).Plan(t.Context(), host("pve1\n", "pve1\n", installed))
	if err == nil || !strings.Contains(err.Error(), "pve1 is a Proxmox VE node") {
		t.Errorf("got %v, want a refusal to rename a node", err)
	}
	if plan, err := (&hostname{Name: "pve1"}).Plan(t.Context(), host("pve1\n", "pve1\n", installed)); err != nil || len(plan.Steps) > 0 {
		t.Errorf("a node of that name: %v, %v", plan.Steps, err)
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, ok := range map[string]bool{
		"pve1": true, "a": true, "a-b": true, "7": true, long: true,
		"": false, long + "a": false, "pve1.example.org": false, "-a": false, "a-": false, "PVE1": false, "a_b": false, "a\n": false, "a b": false,
	} {
		if err := (&hostname{Name: name}).Validate(); (err == nil) != ok {
			t.Errorf("Validate(%q) = %v, want ok %v", name, err, ok)
		}
	}
}
