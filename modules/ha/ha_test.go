package ha

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// scenery returns high availability with vm:100 started on pve1, and with vm:101 not managed.
func scenery() pve.HA {
	return pve.HA{
		Resources: map[string]pve.Resource{"vm:100": {State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true}},
		Groups:    map[string]pve.Group{}, Rules: map[string]pve.Rule{},
		Nodes:    map[string]string{"pve1": "online", "pve2": "online", "pve3": "online"},
		Services: map[string]pve.Service{"vm:100": {Node: "pve1", State: "started", Running: true}},
	}
}

func host(major int, ha pve.HA, more ...observe.Expectation) *observe.Host {
	node := pve.Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}
	if major == 8 {
		node.Codename, node.Version = "bookworm", "8.4.1"
	}
	cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{}}
	for i, name := range []string{"pve1", "pve2", "pve3"} {
		cluster.Members[name] = pve.Member{ID: i + 1, Votes: 1, Online: true}
	}
	known := []observe.Expectation{
		pve.Nodes.Expect("", node), pve.Clusters.Expect("", cluster), pve.HAs.Expect("", ha),
		pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve1", Type: "qemu"}, 101: {Node: "pve2", Type: "qemu"}, 200: {Node: "pve1", Type: "lxc"}}),
		pve.Storages.Expect("", map[string]pve.Storage{"local": {Type: "dir"}, "vm-disks": {Type: "rbd"}}),
		pve.GuestConfigs.Expect("100", pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve1", Type: "qemu"}, Options: map[string]string{"name": "sso"}}),
		pve.GuestConfigs.Expect("101", pve.GuestConfig{Exists: true, Options: map[string]string{"scsi0": "vm-disks:vm-101-disk-0", "scsihw": "local:x"}}),
		pve.GuestConfigs.Expect("200", pve.GuestConfig{Exists: true, Options: map[string]string{"rootfs": "local:200/disk.raw"}}),
	}
	return observe.NewRecorded("pve1", append(known, more...)...)
}

func text(s string) *string { return &s }

func resource(change func(*Resource)) *Module {
	r := &Resource{SID: "vm:100"}
	if change != nil {
		change(r)
	}
	return &Module{Resource: r}
}

func placement(change func(*Placement)) *Module {
	p := &Placement{Name: "keep", Nodes: map[string]string{"pve2": "1", "pve1": "2"}, Resources: []string{"vm:100"}}
	if change != nil {
		change(p)
	}
	return &Module{Placement: p}
}

func with(change func(*pve.HA)) pve.HA {
	ha := scenery()
	change(&ha)
	return ha
}

func inError(ha *pve.HA) {
	ha.Services["vm:100"] = pve.Service{Node: "pve1", State: "error", Failed: []string{"pve1", "pve2"}}
}

// locked expects a guest that an operation has locked.
func locked(id, by string) observe.Expectation {
	return pve.GuestConfigs.Expect(id, pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve1", Type: "qemu"}, Options: map[string]string{"lock": by}})
}

func TestPlans(t *testing.T) {
	two, yes, no := 2, true, false
	group := pve.Group{Nodes: map[string]int{"pve1": 2, "pve2": 1}}
	rule := pve.Rule{Type: "node-affinity", Nodes: map[string]int{"pve1": 2, "pve2": 1}, Resources: map[string]bool{"vm:100": true}}
	disabled := rule
	disabled.Disabled = true

	tests := []struct {
		name  string
		m     *Module
		host  *observe.Host
		want  []string // the commands
		note  string
		waits bool
	}{
		{name: "resource there", m: resource(nil), host: host(9, scenery())},
		{name: "resource new", m: resource(func(r *Resource) { r.SID, r.Failback, r.Comment = "vm:101", &no, text("two words") }), host: host(9, scenery()),
			want: []string{"ha-manager add vm:101 --state started --max_restart 1 --max_relocate 1 --failback 0 --comment two words"}},
		{name: "resource new on 8", m: resource(func(r *Resource) { r.SID, r.State = "vm:101", "stopped" }), host: host(8, scenery()),
			want: []string{"ha-manager add vm:101 --state stopped --max_restart 1 --max_relocate 1"}},
		{name: "container with a local disk", m: resource(func(r *Resource) { r.SID = "ct:200" }), host: host(9, scenery()),
			want: []string{"ha-manager add ct:200 --state started --max_restart 1 --max_relocate 1"}, note: "on one node only"},
		{name: "container with a directory of its node", m: resource(func(r *Resource) { r.SID = "ct:200" }),
			host: host(9, scenery(), pve.GuestConfigs.Expect("200", pve.GuestConfig{Exists: true, Options: map[string]string{"mp0": "/srv/data,mp=/data", "mp1": "/srv/all,mp=/all,shared=1"}})),
			want: []string{"ha-manager add ct:200 --state started --max_restart 1 --max_relocate 1"}, note: "ct:200 mounts /srv/data of its node (mp0)"},
		{name: "only what differs", m: resource(func(r *Resource) { r.MaxRestart = &two }), host: host(9, scenery()),
			want: []string{"ha-manager set vm:100 --max_restart 2"}},
		{name: "starting is waited for", m: resource(nil), host: host(9, with(func(ha *pve.HA) { ha.Services = map[string]pve.Service{} })), waits: true},
		{name: "done means running", m: resource(nil), host: host(9, with(func(ha *pve.HA) { ha.Services["vm:100"] = pve.Service{Node: "pve1", State: "started"} })), waits: true},
		{name: "a locked guest is told while it is waited for", m: resource(nil),
			host: host(9, with(func(ha *pve.HA) { ha.Services["vm:100"] = pve.Service{Node: "pve1", State: "started"} }), locked("100", "backup")), waits: true, note: "guest 100 is locked (backup)"},
		{name: "a locked guest is told before it is added", m: resource(func(r *Resource) { r.SID = "vm:101" }), host: host(9, scenery(), locked("101", "migrate")),
			want: []string{"ha-manager add vm:101 --state started --max_restart 1 --max_relocate 1"}, note: "`qm unlock 101`"},
		{name: "a lock does not matter to what is stopped", m: resource(func(r *Resource) { r.SID, r.State = "vm:101", "stopped" }), host: host(9, scenery(), locked("101", "migrate")),
			want: []string{"ha-manager add vm:101 --state stopped --max_restart 1 --max_relocate 1"}},
		{name: "disabling is the repair", m: resource(func(r *Resource) { r.State = "disabled" }), host: host(9, with(inError)),
			want: []string{"ha-manager set vm:100 --state disabled"}},
		{name: "disabled and still in error is waited for", m: resource(func(r *Resource) { r.State = "disabled" }),
			host: host(9, with(func(ha *pve.HA) {
				inError(ha)
				ha.Resources["vm:100"] = pve.Resource{State: "disabled", MaxRestart: 1, MaxRelocate: 1, Failback: true}
			})), waits: true},
		{name: "an empty comment clears", m: resource(func(r *Resource) { r.Comment = text("") }),
			host: host(9, with(func(ha *pve.HA) {
				ha.Resources["vm:100"] = pve.Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true, Comment: "old"}
			})), want: []string{"ha-manager set vm:100 --delete comment"}},
		{name: "a comment that is not said stays", m: resource(nil),
			host: host(9, with(func(ha *pve.HA) {
				ha.Resources["vm:100"] = pve.Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true, Comment: "old"}
			}))},
		{name: "an empty group takes it out", m: resource(func(r *Resource) { r.Group = text("") }),
			host: host(8, with(func(ha *pve.HA) {
				ha.Groups["gg"] = group
				ha.Resources["vm:100"] = pve.Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Group: "gg"}
			})), want: []string{"ha-manager set vm:100 --delete group"}},
		{name: "an empty comment of a new one", m: resource(func(r *Resource) { r.SID, r.Comment = "vm:101", text("") }), host: host(9, scenery()),
			want: []string{"ha-manager add vm:101 --state started --max_restart 1 --max_relocate 1"}},
		{name: "a service that moves is the manager's business", m: resource(nil),
			host: host(9, with(func(ha *pve.HA) { ha.Services["vm:100"] = pve.Service{State: "migrate"} }))},

		{name: "rule", m: placement(func(p *Placement) { p.Strict = true }), host: host(9, scenery()),
			want: []string{"ha-manager rules add node-affinity keep --resources vm:100 --nodes pve1:2,pve2:1 --strict 1"}},
		{name: "rule there", m: placement(nil), host: host(9, with(func(ha *pve.HA) { ha.Rules["keep"] = rule }))},
		{name: "rule differs", m: placement(func(p *Placement) { p.Nodes = map[string]string{"pve3": "0"} }), host: host(9, with(func(ha *pve.HA) { ha.Rules["keep"] = rule })),
			want: []string{"ha-manager rules set node-affinity keep --resources vm:100 --nodes pve3:0 --strict 0"}},
		{name: "rule disabled", m: placement(nil), host: host(9, with(func(ha *pve.HA) { ha.Rules["keep"] = disabled })),
			want: []string{"ha-manager rules set node-affinity keep --resources vm:100 --nodes pve1:2,pve2:1 --strict 0 --delete disable"}},
		{name: "rule and failback", m: placement(func(p *Placement) { p.NoFailback = &yes }), host: host(9, scenery()),
			want: []string{"ha-manager rules add node-affinity keep --resources vm:100 --nodes pve1:2,pve2:1 --strict 0", "ha-manager set vm:100 --failback 0"}},

		{name: "group on 8", m: placement(func(p *Placement) { p.NoFailback = &yes }), host: host(8, scenery()),
			want: []string{"ha-manager groupadd keep --nodes pve1:2,pve2:1 --restricted 0 --nofailback 1", "ha-manager set vm:100 --group keep"}},
		{name: "group there", m: placement(nil), host: host(8, with(func(ha *pve.HA) {
			ha.Groups["keep"] = group
			ha.Resources["vm:100"] = pve.Resource{State: "started", Group: "keep"}
		}))},
		{name: "group differs", m: placement(func(p *Placement) { p.Strict = true }), host: host(8, with(func(ha *pve.HA) {
			ha.Groups["keep"] = group
			ha.Resources["vm:100"] = pve.Resource{State: "started", Group: "keep"}
		})), want: []string{"ha-manager groupset keep --nodes pve1:2,pve2:1 --restricted 1 --nofailback 0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := modulestest.Decoded(test.m).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, test.m, test.host)
			var got []string
			waits := false
			for _, step := range plan.Steps {
				if run, ok := step.Action.(modules.Run); ok {
					got = append(got, strings.Join(run.Argv, " "))
				} else {
					waits = step.Refresh && step.Settle > 0
				}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") || waits != test.waits {
				t.Errorf("commands %q, waits %v; want %q, %v", got, waits, test.want, test.waits)
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	yes := true
	tests := []struct {
		name string
		m    *Module
		host *observe.Host
		want string
	}{
		{"no guest", resource(func(r *Resource) { r.SID = "vm:999" }), host(9, scenery()), "no guest 999"},
		{"not a machine", resource(func(r *Resource) { r.SID = "vm:200" }), host(9, scenery()), "guest 200 is a container"},
		{"group on 9", resource(func(r *Resource) { r.Group = text("gg") }), host(9, scenery()), "no HA groups"},
		{"unknown group on 8", resource(func(r *Resource) { r.Group = text("gg") }), host(8, scenery()), "no HA group gg"},
		{"failback on 8", resource(func(r *Resource) { r.Failback = &yes }), host(8, scenery()), "nofailback"},
		{"in error", resource(nil), host(9, with(func(ha *pve.HA) { ha.Services["vm:100"] = pve.Service{State: "error"} })), "state error"},
		{"in error, with what is known of the reason", resource(nil), host(9, with(inError), locked("100", "backup")), "could not be started on pve1, pve2; guest 100 is locked (backup)"},
		{"ignoring is no repair", resource(func(r *Resource) { r.State = "ignored" }), host(9, with(inError)), "--state disabled"},
		{"groups on 9 while a node is in maintenance", placement(nil), host(9, with(func(ha *pve.HA) { ha.Groups["old"] = pve.Group{}; ha.Nodes["pve2"] = "maintenance" })),
			"still has HA groups (old), which Proxmox VE 9 converts to rules automatically, but not while the HA manager reports pve2 in state maintenance"},
		{"not managed", placement(func(p *Placement) { p.Resources = []string{"vm:101"} }), host(9, scenery()), "vm:101 is not highly available yet"},
		{"unknown node", placement(func(p *Placement) { p.Nodes = map[string]string{"pve9": "1"} }), host(8, scenery()), "no node pve9"},
		{"in another rule", placement(nil), host(9, with(func(ha *pve.HA) {
			ha.Rules["other"] = pve.Rule{Type: "node-affinity", Resources: map[string]bool{"vm:100": true}}
		})), "already in node-affinity rule other"},
		{"priorities and resource affinity", placement(nil), host(9, with(func(ha *pve.HA) {
			ha.Rules["apart"] = pve.Rule{Type: "resource-affinity", Resources: map[string]bool{"vm:100": true}}
		})), "same priority"},
		{"another kind of rule", placement(nil), host(9, with(func(ha *pve.HA) { ha.Rules["keep"] = pve.Rule{Type: "resource-affinity"} })), "as a resource-affinity rule"},
		{"in another group", placement(nil), host(8, with(func(ha *pve.HA) { ha.Resources["vm:100"] = pve.Resource{Group: "gg"} })), "already in HA group gg"},
		{"no cluster", resource(nil), host(9, scenery(), pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true})), "not in a cluster"},
		{"no quorum", resource(nil), host(9, scenery(), pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream"})), "no quorum"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := modulestest.Decoded(test.m).Plan(context.Background(), test.host); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want a refusal that mentions %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	minus, blank := -1, "a comment "
	tests := map[string]struct {
		m        *Module
		argument string
	}{
		"no block":   {&Module{}, "ha"},
		"two blocks": {&Module{Resource: &Resource{SID: "vm:100"}, Placement: &Placement{}}, "ha"},
		"sid":        {resource(func(r *Resource) { r.SID = "100" }), "resource.sid"},
		"restart":    {resource(func(r *Resource) { r.MaxRestart = &minus }), "resource.max_restart"},
		"comment":    {resource(func(r *Resource) { r.Comment = &blank }), "resource.comment"},
		"name":       {placement(func(p *Placement) { p.Name = "1st" }), "placement.name"},
		"no nodes":   {placement(func(p *Placement) { p.Nodes = nil }), "placement.nodes"},
		"priority":   {placement(func(p *Placement) { p.Nodes = map[string]string{"pve1": "high"} }), "placement.nodes.pve1"},
		"no sids":    {placement(func(p *Placement) { p.Resources = nil }), "placement.resources"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var fault *modules.ArgumentError
			if err := modulestest.Decoded(test.m).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
				t.Errorf("%v, want a fault in %s", err, test.argument)
			}
		})
	}
}
