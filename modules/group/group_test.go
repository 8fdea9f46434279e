package group

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func id(n int) *int { return &n }

func host(g observe.Group) modules.Host {
	recorded := []observe.Expectation{
		observe.Groups.Expect("web", g), observe.Groups.Expect("ada", observe.Group{Name: "ada", GID: 1000}),
		observe.Users.Expect("ada", observe.User{Name: "ada", UID: 1000, GID: 1000, Group: "ada"}),
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n",
		"/etc/group":  "root:x:0:\nada:x:1000:\n",
	} {
		recorded = append(recorded, observe.Files.Expect(name, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(text)), Content: []byte(text)}))
	}
	return observe.NewRecorded("host", recorded...)
}

func TestPlan(t *testing.T) {
	there := observe.Group{Name: "web", GID: 990}
	for name, test := range map[string]struct {
		group group
		now   observe.Group
		want  string
		argv  string
	}{
		"new":                {group{State: "present"}, observe.Group{}, "  create group web\n", "groupadd web"},
		"new, of the system": {group{State: "present", System: true}, observe.Group{}, "  create group web\n", "groupadd --system web"},
		"new, with an id":    {group{State: "present", GID: id(1234)}, observe.Group{}, "  create group web\n", "groupadd --gid 1234 web"},
		"as wanted":          {group{State: "present"}, there, "", ""},
		"that id":            {group{State: "present", GID: id(990)}, there, "", ""},
		"an id to come":      {group{State: "present", GID: id(990)}, observe.Group{Name: "web", GID: -1}, "", ""},
		"removed":            {group{State: "absent"}, there, "  remove group web\n", "groupdel web"},
		"absent":             {group{State: "absent"}, observe.Group{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.group.Name = "web"
			plan := modulestest.Converges(t, &test.group, host(test.now))
			if got := modulestest.Summaries(plan); got != test.want {
				t.Errorf("steps:\n%s\nwant:\n%s", got, test.want)
			}
			for _, step := range plan.Steps {
				if got := strings.Join(step.Action.(modules.Run).Argv, " "); got != test.argv {
					t.Errorf("it runs %q, want %q", got, test.argv)
				}
			}
		})
	}
}

// The plan rejects what groupadd and groupdel would reject, so that check mode reports it too.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		group group
		now   observe.Group
		want  string
	}{
		"another id":    {group{State: "present", GID: id(1)}, observe.Group{Name: "web", GID: 990}, "has id 990, not 1"},
		"an id in use":  {group{State: "present", GID: id(1000)}, observe.Group{}, "gid: group ada already has id 1000"},
		"primary group": {group{State: "absent"}, observe.Group{Name: "web", GID: 1000}, "web is the primary group of ada"},
	} {
		test.group.Name = "web"
		if _, err := test.group.Plan(t.Context(), host(test.now)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		group group
		want  string
	}{
		{group{Name: "web"}, ""},
		{group{Name: "web", GID: id(0)}, ""},
		{group{Name: "12"}, "name"},
		{group{Name: "-x"}, "name"},
		{group{Name: "web", GID: id(-1)}, "gid"},
		{group{Name: "web", GID: id(1 << 32)}, "gid"},
		{group{Name: "root", State: "absent"}, "state"},
		{group{Name: "web", State: "absent", GID: id(1)}, "gid"},
	} {
		err := test.group.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want+":") {
			t.Errorf("Validate(%+v) = %v, want a fault of %q", test.group, err, test.want)
		}
	}
}
