package ceph_test

import (
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// TestAwayIsNotEmpty runs the queries on /etc/pve in a real shell: on a host without Proxmox VE, on
// one whose pve-cluster is stopped (live-9.2/pve-cluster-stopped.txt: an empty directory, and dangling links into it),
// and on a standalone one. A wrong "no cluster" would turn an OSD's disk into a foreign disk, and a guest's id into a
// free one.
func TestAwayIsNotEmpty(t *testing.T) {
	kinds := map[string]func(root string) error{
		"OSDs":           func(root string) error { return ask(t, root, ceph.OSDs, "pve1") },
		"monitors":       func(root string) error { return ask(t, root, ceph.Monitors, "pve1") },
		"pools":          func(root string) error { return ask(t, root, ceph.Pools, "") },
		"ceph.conf":      func(root string) error { return ask(t, root, ceph.Confs, "") },
		"guests":         func(root string) error { return ask(t, root, pve.GuestLists, "") },
		"a guest":        func(root string) error { return ask(t, root, pve.GuestConfigs, "100") },
		"storages":       func(root string) error { return ask(t, root, pve.Storages, "") },
		"HA":             func(root string) error { return ask(t, root, pve.HAs, "") },
		"authorized key": func(root string) error { return ask(t, root, pve.Trusts, "") },
	}
	hosts := map[string]struct {
		files map[string]string
		away  bool
	}{
		"no Proxmox VE":                {nil, false},
		"its directory is left":        {map[string]string{"/etc/pve/": ""}, false},
		"pve-cluster stopped":          {map[string]string{"/usr/bin/pmxcfs": "", "/etc/pve/": "", "/root/.ssh/authorized_keys": "-> /etc/pve/priv/authorized_keys"}, true},
		"standalone, without Ceph":     {map[string]string{"/usr/bin/pmxcfs": "", "/etc/pve/.members": "{}", "/etc/pve/local": "-> nodes/pve1"}, false},
		"Ceph without a monitor":       {map[string]string{"/usr/bin/pmxcfs": "", "/etc/pve/.members": "{}", "/etc/pve/local": "-> nodes/pve1", "/etc/pve/ceph.conf": "[global]\nfsid = x\nmon_host =\n"}, false},
		"mounted after the first look": {map[string]string{"/usr/bin/pmxcfs": "", "/etc/pve/.members": "{}"}, true},
	}
	for host, test := range hosts {
		root := t.TempDir()
		modulestest.Place(t, root, test.files)
		for kind, ask := range kinds {
			err := ask(root)
			if kind == "authorized key" && test.files["/root/.ssh/authorized_keys"] == "" {
				continue // a file that is not a link either exists or not
			}
			if away := errors.Is(err, pve.ErrNotMounted); away != test.away || err != nil && !away {
				t.Errorf("%s: %s: error %v, want %v for the cluster file system being away", host, kind, err, test.away)
			}
		}
	}
}

// ask observes a name of a kind in a real shell, below root.
func ask[T any](t *testing.T, root string, kind *observe.Kind[T], name string) error {
	_, err := modulestest.FetchBelow(t, kind, root, []string{"/etc/pve", pve.PmxcfsProgram, "/root/.ssh"}, name)
	if err != nil && strings.Contains(err.Error(), pve.ErrNotMounted.Error()) {
		return pve.ErrNotMounted // some report it through the shell
	}
	return err
}
