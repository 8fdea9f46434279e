package timezone

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// host returns a host with one zone set and two to choose from.
func host(link string) modules.Host {
	return observe.NewRecorded("pve1",
		observe.Files.Expect("/etc/localtime", observe.File{Type: observe.Symlink, Target: link}),
		observe.Files.Expect("/usr/share/zoneinfo/Europe/Berlin", observe.File{Type: observe.Regular}),
		observe.Files.Expect("/usr/share/zoneinfo/Mars/Phobos", observe.File{}),
	)
}

func TestPlan(t *testing.T) {
	tests := []struct{ name, zone, link, want string }{
		{"another zone", "Europe/Berlin", "/usr/share/zoneinfo/Etc/UTC", "set the time zone to Europe/Berlin"},
		{"the same zone", "Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", ""},
		{"the same zone by a relative link", "Europe/Berlin", "../usr/share/zoneinfo/Europe/Berlin", ""},
		{"no zone set", "Europe/Berlin", "", "set the time zone to Europe/Berlin"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &timezone{Name: test.zone}, host(test.link))
			if got := strings.TrimSpace(modulestest.Summaries(plan)); got != test.want {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlanRefusesAZoneThatTheHostLacks(t *testing.T) {
	_, err := (&timezone{Name: "Mars/Phobos"}).Plan(context.Background(), host(""))
	if err == nil {
		t.Error("no error for a zone that does not exist")
	}
}

func TestValidate(t *testing.T) {
	for name, ok := range map[string]bool{"Europe/Berlin": true, "UTC": true, "": false, "../../etc/passwd": false, "/etc": false, "Europe/": false} {
		if err := (&timezone{Name: name}).Validate(); (err == nil) != ok {
			t.Errorf("Validate(%q) = %v, want ok %v", name, err, ok)
		}
	}
}
