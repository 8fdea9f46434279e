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
func host(link, named string) modules.Host {
	name := observe.File{}
	if named != "" {
		name = observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(named)}
	}
	return observe.NewRecorded("pve1",
		observe.Files.Expect("/etc/timezone", name), observe.Files.Expect("/etc", observe.File{Type: observe.Directory, Owner: "root"}),
		observe.Files.Expect("/etc/localtime", observe.File{Type: observe.Symlink, Target: link}),
		observe.Files.Expect("/usr/share/zoneinfo/Europe/Berlin", observe.File{Type: observe.Regular, Content: []byte("TZif2…")}),
		observe.Files.Expect("/usr/share/zoneinfo/UTC", observe.File{Type: observe.Symlink, Owner: "root", Target: "Etc/UTC"}),
		observe.Files.Expect("/usr/share/zoneinfo/Etc/UTC", observe.File{Type: observe.Regular, Content: []byte("TZif2…")}),
		observe.Files.Expect("/usr/share/zoneinfo/Europe", observe.File{Type: observe.Directory}),
		observe.Files.Expect("/usr/share/zoneinfo/zone.tab", observe.File{Type: observe.Regular, Content: []byte("# tzdb")}),
		observe.Files.Expect("/usr/share/zoneinfo/Mars/Phobos", observe.File{}),
	)
}

func TestPlan(t *testing.T) {
	tests := []struct{ name, zone, link, named, want string }{
		{"another zone", "Europe/Berlin", "/usr/share/zoneinfo/Etc/UTC", "", "set the time zone to Europe/Berlin"},
		{"the same zone", "Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", "", ""},
		{"the same zone by a relative link", "Europe/Berlin", "../usr/share/zoneinfo/Europe/Berlin", "", ""},
		{"a zone that is a link", "UTC", "/usr/share/zoneinfo/Europe/Berlin", "", "set the time zone to UTC"},
		{"no zone set", "Europe/Berlin", "", "", "set the time zone to Europe/Berlin"},
		{"the same zone by both", "Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin\n", ""},
		{"the name of another zone", "Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", "Etc/UTC\n", "name Europe/Berlin in /etc/timezone"},
		{"another zone by both", "Europe/Berlin", "/usr/share/zoneinfo/Etc/UTC", "Etc/UTC\n", "set the time zone to Europe/Berlin\n  name Europe/Berlin in /etc/timezone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &timezone{Name: test.zone}, host(test.link, test.named))
			if got := strings.TrimSpace(modulestest.Summaries(plan)); got != test.want {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
		})
	}
}

// To the C library, a link to anything else means UTC.
func TestPlanRefusesAZoneThatTheHostLacks(t *testing.T) {
	for name, want := range map[string]string{"Mars/Phobos": "does not exist", "Europe": "is a directory of time zones", "zone.tab": "is not one"} {
		if plan, err := (&timezone{Name: name}).Plan(context.Background(), host("", "")); err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%s: %d steps, %v; want %q", name, len(plan.Steps), err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, ok := range map[string]bool{"Europe/Berlin": true, "UTC": true, "": false, "../../etc/passwd": false, "/etc": false, "Europe/": false} {
		if err := (&timezone{Name: name}).Validate(); (err == nil) != ok {
			t.Errorf("Validate(%q) = %v, want ok %v", name, err, ok)
		}
	}
}
