package pve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/ha"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
	"hlplay/modules/pveceph"
	"hlplay/modules/pvecm"
	"hlplay/modules/pvesm"
	"hlplay/modules/qm"
)

var cephPackages = []string{"ceph", "ceph-common", "ceph-fuse", "ceph-mds", "ceph-volume", "gdisk", "nvme-cli"}

// bareHost returns a host with the answers of a Debian without Proxmox VE to everything that the tasks ask.
func bareHost(n int, codename string) *observe.Host {
	name := fmt.Sprintf("pve%d", n)
	known := []observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: name, Codename: codename}),
		observe.Files.Expect("/var/lib/pve-cluster/config.db", observe.File{}),
		pve.Trusts.Expect("", pve.Trust{
			Authorized: []string{"ssh-ed25519 AAAAoperator" + name + " operator"},
			HostKeys:   []string{"ssh-ed25519 AAAAhost" + name},
		}),
		ceph.Nodes.Expect("", ceph.Node{}),
		ceph.Units.Expect("", map[string]string{}),
		pve.GuestConfigs.Expect("100", pve.GuestConfig{}),
		ceph.Pools.Expect("", map[string]ceph.Pool{}),
		ceph.Holdings.Expect("", ceph.Holding{}),
		ceph.CrushRules.Expect("", map[string]ceph.CrushRule{}),
		ceph.FileSystems.Expect("", map[string]ceph.FileSystem{}),
		ceph.Statuses.Expect("", ceph.Status{}),
		ceph.Healths.Expect("", ceph.Health{}),
		observe.Resolves.Expect(name, []netip.Addr{netip.MustParseAddr(fmt.Sprintf("192.168.1.1%d", n))}), observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{
			{Name: "eno1", Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.168.1.1%d/24", n))}},
			{Name: "eno2", Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.10.10.1%d/24", n))}},
		}}),
		observe.Disks.Expect("", []observe.BlockDevice{
			{Name: "sda", Path: "/dev/sda", Type: "disk", Size: 5e11, PartitionTable: "gpt"},
			{Name: "sdb", Path: "/dev/sdb", Type: "disk", Size: 4e12, Rotational: true, Links: []string{"/dev/disk/by-id/ata-" + name + "-b"}},
			{Name: "sdc", Path: "/dev/sdc", Type: "disk", Size: 4e12, Rotational: true, Links: []string{"/dev/disk/by-id/ata-" + name + "-c"}},
		}),
		observe.Files.Expect("/etc/apt/sources.list.d/ceph.sources", observe.File{}),
		observe.Files.Expect("/etc/apt/sources.list.d/ceph.list", observe.File{}),
		observe.Files.Expect("/etc/ceph/ceph.conf", observe.File{}),
	}
	for _, p := range cephPackages {
		known = append(known, observe.Packages.Expect(p, observe.Package{}))
	}
	for i := 1; i <= 3; i++ {
		peer := fmt.Sprintf("pve%d", i)
		known = append(known, ceph.OSDs.Expect(peer, nil), ceph.Monitors.Expect(peer, ceph.Monitor{}),
			ceph.Managers.Expect(peer, ceph.Manager{}), ceph.MetadataServers.Expect(peer, ceph.MetadataServer{}))
	}
	return observe.NewRecorded(name, known...)
}

// threeHosts returns three hosts that are peers of one another.
func threeHosts(codename string) []*observe.Host {
	var hosts []*observe.Host
	for n := 1; n <= 3; n++ {
		hosts = append(hosts, bareHost(n, codename))
	}
	for _, h := range hosts {
		h.SetPeers(func() []*observe.Host { return hosts }, func(name string) (*observe.Host, error) {
			for _, h := range hosts {
				if h.Name() == name {
					return h, nil
				}
			}
			return nil, errors.New("no such host")
		})
	}
	return hosts
}

// foresee plans and predicts, as check mode does, until nothing is left to do, and returns the summaries.
func foresee(t *testing.T, m modules.Module, h *observe.Host) []string {
	t.Helper()
	modulestest.Decoded(m)
	if v, ok := m.(modules.Validator); ok {
		if err := v.Validate(); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
	}
	var done []string
	for round := 0; ; round++ {
		plan, err := m.Plan(context.Background(), h)
		if err != nil {
			t.Fatalf("%s, round %d: %v", h.Name(), round, err)
		}
		if len(plan.Steps) == 0 {
			return done
		}
		if round > 0 && len(done) > 8 {
			t.Fatalf("%s: still %q after %q", h.Name(), plan.Steps[0].Summary, done)
		}
		for _, step := range plan.Steps {
			done = append(done, step.Summary)
			for _, e := range step.Expect {
				if e.Host == nil {
					e.Host = h
				}
				h.Predict([]observe.Expectation{e})
			}
		}
	}
}

// stage is one step of the way to a cluster: a task on all hosts, or on one on behalf of all.
type stage struct {
	task  string
	build func(h *observe.Host, n int) modules.Module
	// changed is the number of hosts that change.
	changed int
}

func number(n int) *int { return &n }

var stages = []stage{
	{"disks", func(h *observe.Host, n int) modules.Module {
		return &pveceph.Module{Disks: &pveceph.Disks{Devices: []string{"/dev/disk/by-id/ata-" + h.Name() + "-b", "/dev/disk/by-id/ata-" + h.Name() + "-c"}}}
	}, 0},
	{"install Proxmox VE", nil, 0},
	{"membership", func(h *observe.Host, n int) modules.Module {
		return &pvecm.Module{Cluster: "dream", Founder: "pve1", Link0: fmt.Sprintf("192.168.1.1%d", n)}
	}, 3},
	{"install", func(*observe.Host, int) modules.Module {
		return &pveceph.Module{Install: &pveceph.Install{Version: "squid"}}
	}, 3},
	{"init", func(*observe.Host, int) modules.Module {
		return &pveceph.Module{Init: &pveceph.Init{Network: "10.10.10.0/24", ClusterNetwork: "10.10.10.0/24"}}
	}, 1},
	{"mon", func(h *observe.Host, n int) modules.Module {
		return &pveceph.Module{Mon: &pveceph.Mon{Address: fmt.Sprintf("10.10.10.1%d", n)}}
	}, 3},
	// The first monitor has brought the first manager.
	{"mgr", func(*observe.Host, int) modules.Module { return &pveceph.Module{Mgr: &pveceph.Mgr{}} }, 2},
	{"osd b", func(h *observe.Host, n int) modules.Module {
		return &pveceph.Module{OSD: &pveceph.OSD{Device: "/dev/disk/by-id/ata-" + h.Name() + "-b"}}
	}, 3},
	{"osd c", func(h *observe.Host, n int) modules.Module {
		return &pveceph.Module{OSD: &pveceph.OSD{Device: "/dev/disk/by-id/ata-" + h.Name() + "-c", Class: "hdd"}}
	}, 3},
	{"rule", func(*observe.Host, int) modules.Module {
		return &pveceph.Module{Rule: &pveceph.Rule{Name: "by-osd", FailureDomain: "osd", DeviceClass: "hdd"}}
	}, 1},
	{"pool", func(*observe.Host, int) modules.Module {
		return &pveceph.Module{Pool: &pveceph.Pool{Name: "ha-disks", Size: number(5), MinSize: number(3), PGNum: number(64), CrushRule: "by-osd"}}
	}, 1},
	{"storage", func(*observe.Host, int) modules.Module {
		return &pvesm.Module{ID: "ha-disks", Type: "rbd", Pool: "ha-disks", Content: []string{"images", "rootdir"}}
	}, 1},
	{"mds", func(*observe.Host, int) modules.Module { return &pveceph.Module{MDS: &pveceph.MDS{}} }, 3},
	{"fs", func(*observe.Host, int) modules.Module {
		return &pveceph.Module{FS: &pveceph.FS{Name: "cephfs", PGNum: 32}}
	}, 1},
	{"fs storage", func(*observe.Host, int) modules.Module {
		return &pvesm.Module{ID: "cephfs", Type: "cephfs", Content: []string{"backup", "iso"}}
	}, 1},
	{"clean", func(*observe.Host, int) modules.Module { return &pveceph.Module{Clean: &pveceph.Clean{}} }, 0},
	{"guest", func(*observe.Host, int) modules.Module {
		return &qm.Module{ID: 100, Node: "pve1", Name: "sso", Memory: number(2048), Disks: map[string]string{"scsi0": "ha-disks:32"}, Net: map[string]string{"net0": "virtio,bridge=vmbr0"}}
	}, 1},
	{"resource", func(*observe.Host, int) modules.Module {
		return &ha.Module{Resource: &ha.Resource{SID: "vm:100", MaxRestart: number(1), MaxRelocate: number(1)}}
	}, 1},
	{"placement", func(*observe.Host, int) modules.Module {
		return &ha.Module{Placement: &ha.Placement{Name: "prefer-vm-100", Nodes: map[string]string{"pve1": "2", "pve2": "1"}, Resources: []string{"vm:100"}}}
	}, 1},
}

// TestStagesForeseen runs check mode on three bare hosts: every task is predicted, none is uncertain, and
// planning each of them again on any host finds nothing left to do.
func TestStagesForeseen(t *testing.T) {
	for _, codename := range []string{"bookworm", "trixie"} {
		t.Run(codename, func(t *testing.T) {
			hosts := threeHosts(codename)
			for _, stage := range stages {
				if stage.build == nil {
					for _, h := range hosts {
						expect, err := pve.InstalledExpectations(context.Background(), h, ceph.Content)
						if err != nil {
							t.Fatal(err)
						}
						h.Predict(expect)
					}
					continue
				}
				changed := 0
				for i, h := range hosts {
					if done := foresee(t, stage.build(h, i+1), h); len(done) > 0 {
						changed++
						t.Logf("%s on %s:\n  %s", stage.task, h.Name(), strings.Join(done, "\n  "))
					}
				}
				// The other hosts also observe what was done once for the cluster.
				if changed != stage.changed {
					t.Errorf("%s would change %d hosts, want %d", stage.task, changed, stage.changed)
				}
			}
			for _, stage := range stages {
				for i, h := range hosts {
					if stage.build == nil {
						continue
					}
					if done := foresee(t, stage.build(h, i+1), h); len(done) > 0 {
						t.Errorf("a second time %s on %s would: %s", stage.task, h.Name(), strings.Join(done, "; "))
					}
				}
			}
		})
	}
}

// TestOSDsOfManyHostsAreForeseenTogether plans on all hosts before any prediction is made, as check mode does for a
// task that hosts carry out concurrently: no prediction may overwrite another one.
func TestOSDsOfManyHostsAreForeseenTogether(t *testing.T) {
	hosts := threeHosts("trixie")
	for _, stage := range stages[:6] {
		for i, h := range hosts {
			if stage.build == nil {
				expect, err := pve.InstalledExpectations(context.Background(), h, ceph.Content)
				if err != nil {
					t.Fatal(err)
				}
				h.Predict(expect)
				continue
			}
			foresee(t, stage.build(h, i+1), h)
		}
	}
	var plans []modules.Plan
	for _, h := range hosts {
		m := modulestest.Decoded(&pveceph.Module{OSD: &pveceph.OSD{Device: "/dev/disk/by-id/ata-" + h.Name() + "-b"}})
		plan, err := m.Plan(context.Background(), h)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, plan)
	}
	for i, plan := range plans {
		for _, step := range plan.Steps {
			hosts[i].Predict(step.Expect)
		}
	}
	osds, err := ceph.OSDs.ObserveAll(context.Background(), hosts[2], []string{"pve1", "pve2", "pve3"})
	if err != nil {
		t.Fatal(err)
	}
	for node, list := range osds {
		if len(list) != 1 {
			t.Errorf("%s has %d OSDs in the prediction, want 1", node, len(list))
		}
	}
}
