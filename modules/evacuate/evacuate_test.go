package evacuate

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// machine is a guest of pve1.
type machine struct {
	kind    string // "qemu" if empty
	options map[string]string
	off     bool
	state   string // of the resource; empty if it is not highly available
}

// cluster returns pve1 with guests, one of three nodes; pve2 has 8 GiB free and pve3 16 GiB. Further expectations override
// this.
func cluster(guests map[int]machine, more ...observe.Expectation) *observe.Host {
	ha := pve.HA{Resources: map[string]pve.Resource{}, Services: map[string]pve.Service{}, Nodes: map[string]string{}, Rules: map[string]pve.Rule{}, Groups: map[string]pve.Group{}}
	list, running := map[int]pve.Guest{}, map[int]bool{}
	known := []observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}),
		pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{
			"pve1": {ID: 1, Votes: 1, Online: true}, "pve2": {ID: 2, Votes: 1, Online: true}, "pve3": {ID: 3, Votes: 1, Online: true}}}),
		pve.Storages.Expect("", map[string]pve.Storage{"ceph": {Type: "rbd"}, "local": {Type: "dir"}, "nfs": {Type: "nfs", Options: map[string]string{"nodes": "pve1,pve2"}}}),
		pve.Mappings.Expect("", map[string]pve.Mapping{"pci/gpu": {Devices: []map[string]string{{"node": "pve1"}, {"node": "pve2"}}}}),
	}
	for id, m := range guests {
		guest := pve.Guest{Node: "pve1", Type: m.kind}
		if m.kind == "" {
			guest.Type = "qemu"
		}
		list[id], running[id] = guest, !m.off
		known = append(known, pve.GuestConfigs.Expect(strconv.Itoa(id), pve.GuestConfig{Exists: true, Guest: guest, Options: m.options}))
		if m.off {
			delete(running, id)
		}
		if m.state != "" {
			sid := map[string]string{"qemu": "vm:", "lxc": "ct:"}[guest.Type] + strconv.Itoa(id)
			ha.Resources[sid], ha.Services[sid] = pve.Resource{State: m.state}, pve.Service{Node: "pve1", State: m.state, Running: !m.off}
		}
	}
	known = append(known, pve.GuestLists.Expect("", list), pve.Running.Expect("", running), pve.HAs.Expect("", ha))
	h := observe.NewRecorded("pve1", append(known, more...)...)
	hosts := map[string]*observe.Host{
		"pve1": h,
		"pve2": observe.NewRecorded("pve2", pve.Nodes.Expect("", pve.Node{Name: "pve2"}), pve.FreeMemory.Expect("", 8<<30)),
		"pve3": observe.NewRecorded("pve3", pve.Nodes.Expect("", pve.Node{Name: "pve3"}), pve.FreeMemory.Expect("", 16<<30)),
	}
	h.SetPeers(func() []*observe.Host { return []*observe.Host{h} }, func(name string) (*observe.Host, error) { return hosts[name], nil })
	return h
}

func mib(n int, more ...string) map[string]string {
	options := map[string]string{"memory": strconv.Itoa(n), "scsi0": "ceph:disk,size=8G"}
	for i := 0; i < len(more); i += 2 {
		options[more[i]] = more[i+1]
	}
	return options
}

func TestGuestsMove(t *testing.T) {
	for name, c := range map[string]struct {
		module Module
		guests map[int]machine
		want   []string // the commands
	}{
		"nothing there": {},
		"highly available": {guests: map[int]machine{100: {options: mib(1024), state: "started"}},
			want: []string{"ha-manager crm-command node-maintenance enable pve1"}},
		"the largest first, each to where most is free": {guests: map[int]machine{
			101: {options: mib(1024)}, 102: {options: mib(10240)}, 103: {options: mib(6144)}},
			want: []string{"qm migrate 102 pve3 --online 1", "qm migrate 103 pve2 --online 1", "qm migrate 101 pve3 --online 1"}},
		"a container is restarted":                {guests: map[int]machine{101: {kind: "lxc", options: map[string]string{"memory": "512", "rootfs": "ceph:root"}}}, want: []string{"pct migrate 101 pve3 --restart 1"}},
		"where its storage is":                    {guests: map[int]machine{101: {options: mib(512, "scsi1", "nfs:101/d.qcow2")}}, want: []string{"qm migrate 101 pve2 --online 1"}},
		"its disks are copied where that is said": {Module{LocalDisks: true}, map[int]machine{101: {options: mib(512, "scsi1", "local:101/d.qcow2")}}, []string{"qm migrate 101 pve3 --online 1 --with-local-disks 1"}},
		"one that is off stays":                   {guests: map[int]machine{101: {options: mib(512), off: true}, 102: {options: mib(512), state: "stopped", off: true}}, want: []string{"ha-manager crm-command node-maintenance enable pve1"}},
		"one that is off goes where that is said": {Module{Stopped: true}, map[int]machine{101: {options: mib(65536), off: true}}, []string{"qm migrate 101 pve3"}},
		"ignored by the manager":                  {guests: map[int]machine{101: {options: mib(512), state: "ignored"}}, want: []string{"ha-manager crm-command node-maintenance enable pve1", "qm migrate 101 pve3 --online 1"}},
		"stopped, with a mapped device":           {Module{Stopped: true}, map[int]machine{101: {options: mib(512, "hostpci0", "mapping=gpu"), off: true}}, []string{"qm migrate 101 pve2"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &c.module, cluster(c.guests))
			var got []string
			for _, step := range plan.Steps {
				got = append(got, strings.Join(step.Action.(modules.Run).Argv, " "))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the commands are %q, want %q", got, c.want)
			}
		})
	}
}

func TestCannotMove(t *testing.T) {
	rule := func(r pve.Rule) func(ha *pve.HA) {
		return func(ha *pve.HA) { ha.Rules = map[string]pve.Rule{"r": r} }
	}
	for name, c := range map[string]struct {
		module Module
		guest  machine
		ha     func(*pve.HA)
		want   string
	}{
		"a raw device":                  {guest: machine{options: mib(512, "usb0", "host=1-2")}, want: "virtual machine 100: usb0 is a device of pve1"},
		"a local disk":                  {guest: machine{options: mib(512, "scsi1", "local:d")}, want: "scsi1 is on local of pve1, which other nodes cannot reach; local_disks = true copies it"},
		"an ISO even so":                {module: Module{LocalDisks: true}, guest: machine{options: mib(512, "ide2", "local:iso/a.iso,media=cdrom")}, want: "ide2 is on local of pve1"},
		"a highly available local disk": {module: Module{LocalDisks: true}, guest: machine{options: mib(512, "scsi1", "local:d"), state: "started"}, want: "scsi1 is on local of pve1"},
		"a lock":                        {guest: machine{options: mib(512, "lock", "backup")}, want: "it is locked (backup)"},
		"a mapped device in use":        {guest: machine{options: mib(512, "hostpci0", "mapping=gpu")}, want: "it cannot be migrated live with mapped devices (hostpci0)"},
		"memory":                        {guest: machine{options: mib(20480)}, want: "it needs 20480 MiB, and no node has that much memory free: pve2 8192 MiB, pve3 16384 MiB"},
		"a mapping of no other":         {module: Module{Stopped: true}, guest: machine{options: mib(512, "hostpci0", "mapping=other"), off: true}, want: "no node that accepts guests has what it needs, which is on none"},
		"state error":                   {guest: machine{options: mib(512), state: "started"}, ha: func(ha *pve.HA) { ha.Services = map[string]pve.Service{"vm:100": {Node: "pve1", State: "error"}} }, want: "in state error"},
		"a strict rule":                 {guest: machine{options: mib(512), state: "started"}, ha: rule(pve.Rule{Type: "node-affinity", Strict: true, Nodes: map[string]int{"pve1": 1}, Resources: map[string]bool{"vm:100": true}}), want: "rule r is strict"},
		"stopped and highly available":  {module: Module{Stopped: true}, guest: machine{options: mib(512), off: true, state: "stopped"}, want: "maintenance mode leaves it here"},
	} {
		t.Run(name, func(t *testing.T) {
			h := cluster(map[int]machine{100: c.guest, 101: {options: mib(512, "lock", "snapshot")}})
			if c.ha != nil {
				ha, _ := pve.HAs.Observe(t.Context(), h, "")
				c.ha(&ha)
				h.Predict([]observe.Expectation{pve.HAs.Expect("", ha)})
			}
			plan, err := c.module.Plan(t.Context(), h)
			for _, want := range []string{c.want, "virtual machine 101: it is locked (snapshot)", "nothing was moved from pve1"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the plan is %q, the error %v; want one that says %q", modulestest.Summaries(plan), err, want)
				}
			}
		})
	}
}
