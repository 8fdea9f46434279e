// Package timezone sets a host's time zone.
package timezone

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "timezone",
	Summary: "The host's time zone",
	Doc: `Makes /etc/localtime a link to a zone of the tz database. Clocks of cluster nodes must agree; their zones
should, so that their logs can be read side by side. Running services keep the old zone until they restart.

If the host has the file /etc/timezone, as Debian 12 has, which some programs read instead, it names the same zone.`,
	Example: `task "logs in local time" {
  timezone {
    name = "Europe/Berlin"
  }
}`,
	Local: true,
	New:   func() modules.Module { return &timezone{} },
}

// timezone holds the module's arguments.
type timezone struct {
	Name string `hcl:"name" doc:"Name of the zone below /usr/share/zoneinfo: Europe/Berlin, Etc/UTC."`
}

const (
	localtime = "/etc/localtime" // localtime(5): a symbolic link; its target names the zone
	zones     = "/usr/share/zoneinfo/"
	name      = "/etc/timezone" // Debian up to 12: the name of the zone
)

// Validate rejects names that are not below the tz database.
func (m *timezone) Validate() error {
	if m.Name == "" || path.Clean("/"+m.Name) != "/"+m.Name || strings.HasSuffix(m.Name, "/") {
		return &modules.ArgumentError{Argument: "name", Problem: fmt.Sprintf("%q is not the name of a time zone", m.Name), Want: "expected a name such as Europe/Berlin"}
	}
	return nil
}

// Plan compares the link with the desired zone.
func (m *timezone) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	zone := zones + m.Name
	observe.Files.Want(h, localtime, zone, name)
	_, data, err := observe.Follow(ctx, h, zone)
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case !data.Exists():
		return modules.Plan{}, fmt.Errorf("the host has no time zone %q: %s does not exist (package tzdata)", m.Name, zone)
	case data.Type == observe.Directory:
		return modules.Plan{}, fmt.Errorf("the host has no time zone %q: %s is a directory of time zones; name one of them, as in Europe/Berlin", m.Name, zone)
	case data.Type != observe.Regular || !bytes.HasPrefix(data.Content, []byte("TZif")):
		return modules.Plan{}, fmt.Errorf("the host has no time zone %q: %s is not one, but something else of package tzdata", m.Name, zone)
	}
	now, err := observe.Files.Observe(ctx, h, localtime)
	if err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	if text, there, err := observe.Text(ctx, h, name); err != nil {
		return modules.Plan{}, err
	} else if there && strings.TrimSpace(text) != m.Name {
		if steps, err = conffile.Write(ctx, h, name, m.Name+"\n", "name "+m.Name+" in "+name); err != nil {
			return modules.Plan{}, err
		}
	}
	is := strings.TrimPrefix(now.Target, "..")
	if is == zone {
		return modules.Plan{Steps: steps}, nil
	}
	link := observe.File{Type: observe.Symlink, Mode: 0o777, Owner: "root", Group: "root", Target: zone, Size: int64(len(zone))}
	return modules.Plan{Steps: append([]modules.Step{{
		Summary: "set the time zone to " + m.Name,
		Action:  modules.Link{Path: localtime, Target: zone},
		Diff:    &modules.Diff{Subject: "time zone", Before: strings.TrimPrefix(is, zones), After: m.Name},
		Expect:  observe.Placed(h, localtime, link),
	}}, steps...)}, nil
}
