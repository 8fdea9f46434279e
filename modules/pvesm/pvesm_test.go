package pvesm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/modulestest"
	"hlplay/modules/pve"
)

func host(more ...observe.Expectation) *observe.Host {
	conf := pve.CephConf{Exists: true, Folder: true}.With("global", "mon_host", "10.0.0.1")
	known := []observe.Expectation{
		pve.CephConfs.Expect("", conf),
		pve.Pools.Expect("", map[string]pve.Pool{"vm-disks": {ID: 2}}),
		pve.FileSystems.Expect("", map[string]pve.FileSystem{"cephfs": {Active: true}, "asleep": {}}),
		pve.Storages.Expect("", map[string]pve.Storage{
			"local":    {Type: "dir", Options: map[string]string{"path": "/var/lib/vz", "content": "iso"}},
			"vm-disks": {Type: "rbd", Options: map[string]string{"pool": "vm-disks", "content": "rootdir,images", "krbd": "0"}},
		}),
	}
	return observe.NewRecorded("pve1", append(known, more...)...)
}

func TestPlans(t *testing.T) {
	tests := []struct {
		name string
		m    Module
		want string
	}{
		{"there, in another order", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Content: []string{"images", "rootdir"}}, ""},
		{"options that are not said stay", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks"}, ""},
		{"only what differs", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Content: []string{"images"}, Options: map[string]string{"krbd": "1"}},
			"pvesm set vm-disks --content images --krbd 1"},
		{"new", Module{ID: "bb", Type: "rbd", Pool: "vm-disks", Content: []string{"rootdir", "images"}, Nodes: []string{"pve2", "pve1"}},
			"pvesm add rbd bb --content images,rootdir --nodes pve1,pve2 --pool vm-disks"},
		{"cephfs", Module{ID: "cephfs", Type: "cephfs", Content: []string{"iso"}, Options: map[string]string{"fs-name": "cephfs"}},
			"pvesm add cephfs cephfs --content iso --fs-name cephfs"},
		{"directory", Module{ID: "data", Type: "dir", Options: map[string]string{"path": "/srv/data", "is_mountpoint": "yes"}},
			"pvesm add dir data --is_mountpoint yes --path /srv/data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.m, host())
			got := ""
			if len(plan.Steps) > 0 {
				got = strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " ")
			}
			if got != test.want {
				t.Errorf("command %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		m    Module
		host *observe.Host
		want string
	}{
		{"other type", Module{ID: "vm-disks", Type: "dir", Options: map[string]string{"path": "/x"}}, host(), "is of type rbd"},
		{"fixed option", Module{ID: "local", Type: "dir", Options: map[string]string{"path": "/srv"}}, host(), "cannot be changed"},
		{"no such pool", Module{ID: "x", Type: "rbd", Pool: "nosuch"}, host(), "no Ceph pool nosuch; there are: vm-disks"},
		{"no file system", Module{ID: "x", Type: "cephfs"}, host(pve.FileSystems.Expect("", map[string]pve.FileSystem{})), "no CephFS"},
		{"file system asleep", Module{ID: "x", Type: "cephfs", Options: map[string]string{"fs-name": "asleep"}}, host(), "no metadata server is active"},
		{"no Ceph", Module{ID: "x", Type: "rbd", Pool: "p"}, host(pve.CephConfs.Expect("", pve.CephConf{})), "no Ceph cluster yet"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.m.Plan(context.Background(), test.host); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want a refusal that mentions %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		m        Module
		argument string
	}{
		"id":           {Module{ID: "1", Type: "dir"}, "id"},
		"type":         {Module{ID: "ok", Type: ""}, "type"},
		"content":      {Module{ID: "ok", Type: "dir", Content: []string{"disks"}}, "content"},
		"cephfs disks": {Module{ID: "ok", Type: "cephfs", Content: []string{"images"}}, "content"},
		"no pool":      {Module{ID: "ok", Type: "rbd"}, "pool"},
		"pool of dir":  {Module{ID: "ok", Type: "dir", Pool: "p"}, "pool"},
		"node":         {Module{ID: "ok", Type: "dir", Nodes: []string{"a_b"}}, "nodes"},
		"secret":       {Module{ID: "ok", Type: "cifs", Options: map[string]string{"password": "x"}}, "options.password"},
		"dashes":       {Module{ID: "ok", Type: "dir", Options: map[string]string{"--path": "/x"}}, "options.--path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var fault *modules.ArgumentError
			if err := test.m.Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
				t.Errorf("%v, want a fault in %s", err, test.argument)
			}
		})
	}
}
