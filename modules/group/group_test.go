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
	return observe.NewRecorded("host", observe.Groups.Expect("web", g))
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
	_, err := (&group{Name: "web", State: "present", GID: id(1)}).Plan(t.Context(), host(there))
	if err == nil || !strings.Contains(err.Error(), "has the id 990 and not 1") {
		t.Errorf("another id: %v", err)
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
