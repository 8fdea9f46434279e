package pvesm

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

func host(more ...observe.Expectation) *observe.Host {
	conf := ceph.Conf{Exists: true, Folder: true}.With("global", "mon_host", "10.0.0.1")
	known := []observe.Expectation{
		pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true, Name: "dream"}),
		ceph.Confs.Expect("", conf),
		ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": {ID: 2}}),
		ceph.FileSystems.Expect("", map[string]ceph.FileSystem{"cephfs": {Active: true}, "asleep": {}}),
		pve.Storages.Expect("", map[string]pve.Storage{
			"local":    {Type: "dir", Options: map[string]string{"path": "/var/lib/vz", "content": "iso"}},
			"vm-disks": {Type: "rbd", Options: map[string]string{"pool": "vm-disks", "content": "rootdir,images", "krbd": "0"}},
			"backups": {Type: "dir", Options: map[string]string{"path": "/srv/backups", "content": "backup", "nodes": "pve2,pve1", "disable": "1", "is_mountpoint": "1",
				"prune-backups": "keep-last=3,keep-daily=7", "max-protected-backups": "5", "shared": "1"}},
			"pbs1": {Type: "pbs", Options: map[string]string{"server": "192.0.2.9", "datastore": "main", "fingerprint": "09:54:EF", "content": "backup"}},
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
		{"a boolean in other words", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Options: map[string]string{"krbd": "false"}}, ""},
		{"a boolean that changes", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Options: map[string]string{"krbd": "true"}}, "pvesm set vm-disks --krbd 1"},
		{"what is off is not written", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Options: map[string]string{"disable": "0"}}, ""},
		{"what is on is not written", Module{ID: "local", Type: "dir", Options: map[string]string{"create-base-path": "yes"}}, ""},
		{"lists, property strings, paths, numbers", Module{ID: "backups", Type: "dir", Nodes: []string{"pve1", "pve2"},
			Options: map[string]string{"path": "/srv//backups/", "disable": "on", "is_mountpoint": "yes", "prune-backups": "keep-daily=7,keep-last=3", "max-protected-backups": "5", "shared": "true"}}, ""},
		{"a property that differs", Module{ID: "backups", Type: "dir", Options: map[string]string{"prune-backups": "keep-last=4,keep-daily=7"}},
			"pvesm set backups --prune-backups keep-last=4,keep-daily=7"},
		{"a fingerprint in small letters", Module{ID: "pbs1", Type: "pbs", Options: map[string]string{"fingerprint": "09:54:ef"}}, ""},
		{"enabled again", Module{ID: "backups", Type: "dir", Options: map[string]string{"disable": "false"}}, "pvesm set backups --disable 0"},
		{"on all nodes again", Module{ID: "backups", Type: "dir", Nodes: []string{}}, "pvesm set backups --delete nodes"},
		{"an empty option is taken away", Module{ID: "backups", Type: "dir", Options: map[string]string{"prune-backups": "", "shared": "0"}},
			"pvesm set backups --shared 0 --delete prune-backups"},
		{"an empty option of a new storage", Module{ID: "data", Type: "dir", Nodes: []string{}, Options: map[string]string{"path": "/srv/data", "prune-backups": ""}},
			"pvesm add dir data --path /srv/data"},
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

// TestPassword checks that a password is only in a file of root's and in no command line, and that an interrupted run is
// completed.
func TestPassword(t *testing.T) {
	file := func(content string) observe.Expectation {
		f := observe.File{}
		if content != "" {
			f = observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "www-data", Content: []byte(content), Size: int64(len(content))}
		}
		return observe.Files.Expect(secretDir+"/pbs1.pw", f)
	}
	folder := observe.Files.Expect(secretDir, observe.File{Type: observe.Directory})
	storages := func(options ...string) observe.Expectation {
		all := map[string]pve.Storage{"local": {Type: "dir", Options: map[string]string{"path": "/var/lib/vz"}}}
		if len(options) > 0 {
			all["pbs1"] = pve.Storage{Type: "pbs", Options: map[string]string{"server": "192.0.2.9", "datastore": "main", "username": "u@pbs!t"}}
			for _, key := range options[1:] {
				all["pbs1"].Options[key] = "1"
			}
		}
		return pve.Storages.Expect("", all)
	}
	const secret = "s3cr3t-of-the-token"
	for name, test := range map[string]struct {
		host *observe.Host
		want string
	}{
		"new":         {host(storages(), file(""), folder), "add storage pbs1 (pbs: backup)\nset the password of storage pbs1\nchange storage pbs1: disable"},
		"no folder":   {host(storages(), file(""), observe.Files.Expect(secretDir, observe.File{})), "add storage pbs1 (pbs: backup)\ncreate directory /etc/pve/priv/storage\nset the password of storage pbs1\nchange storage pbs1: disable"},
		"as desired":  {host(storages("yes"), file(secret+"\n"), folder), "change storage pbs1: content"},
		"another one": {host(storages("yes"), file("old\n"), folder), "set the password of storage pbs1\nchange storage pbs1: content"},
		"halfway":     {host(storages("yes", "disable"), file(secret+"\n"), folder), "change storage pbs1: content, disable"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Module{ID: "pbs1", Type: "pbs", Content: []string{"backup"}, Password: secret, Options: map[string]string{"server": "192.0.2.9", "datastore": "main", "username": "u@pbs!t"}}
			plan := modulestest.Converges(t, m, test.host)
			if got := strings.ReplaceAll(strings.TrimSpace(modulestest.Summaries(plan)), "\n  ", "\n"); got != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", got, test.want)
			}
			for _, step := range plan.Steps {
				if run, ok := step.Action.(modules.Run); ok && strings.Contains(strings.Join(run.Argv, " "), secret) {
					t.Errorf("the password is in the command line of %q", step.Summary)
				}
				if step.Diff != nil && strings.Contains(step.Diff.Before+step.Diff.After, secret) {
					t.Errorf("the password is in the diff of %q", step.Summary)
				}
			}
		})
	}
}

// TestBackupServer checks that secret and fingerprint are read on the server's host, and that the run treats the secret as
// one.
func TestBackupServer(t *testing.T) {
	const token, secret = "pve@pbs!cluster", "d63e505a-e3ec-449a-9bc7-1da610d4ccde"
	kept := observe.Files.Expect(pbs.SecretFile(token), observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Content: []byte("Result: {\n\"tokenid\": \"" + token + "\", \"value\": \"" + secret + "\"}\n")})
	unread := observe.Files.Unknown(pbs.SecretFile(token), "the secret is known only after the token is generated")
	gone := observe.Files.Expect(pbs.SecretFile(token), observe.File{})
	installed := pbs.Servers.Expect("", pbs.Server{Fingerprint: "09:54:ef"})
	const first = "add storage new (pbs)\nset the password of storage new\nchange storage new: disable"
	trusted := map[string]string{"fingerprint": ""}
	for name, test := range map[string]struct {
		server  []observe.Expectation
		options map[string]string
		want    string // the steps, or the error
		secrets int
	}{
		"the secret is kept":           {[]observe.Expectation{installed, kept}, nil, first, 1},
		"the token is not made yet":    {[]observe.Expectation{installed, unread}, nil, first, 0},
		"a certificate that all trust": {[]observe.Expectation{installed, kept}, trusted, first, 1},
		"the secret is lost":           {[]observe.Expectation{installed, gone}, nil, "the module pbs generates the token", 0},
		"no server":                    {[]observe.Expectation{pbs.Servers.Expect("", pbs.Server{}), kept}, nil, "pbs has no certificate of Proxmox Backup Server", 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := observe.NewRecorded("pbs", append(test.server, observe.Files.Expect(pve.MachineIDFile, observe.File{}))...)
			server.Predict(test.server)
			h := host(pve.MachineIDs.Expect("", nil), observe.Files.Expect(secretDir, observe.File{Type: observe.Directory}), observe.Files.Expect(secretDir+"/new.pw", observe.File{}))
			h.SetPeers(func() []*observe.Host { return []*observe.Host{h} }, func(string) (*observe.Host, error) { return server, nil })
			m := &Module{ID: "new", Type: "pbs", BackupServer: "pbs", Options: map[string]string{"server": "192.0.2.9", "datastore": "main", "username": token}}
			maps.Copy(m.Options, test.options)
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan, err := m.Plan(context.Background(), h)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, expected %q", err, test.want)
				}
				return
			}
			if got := strings.ReplaceAll(strings.TrimSpace(modulestest.Summaries(modulestest.Converges(t, m, h))), "\n  ", "\n"); got != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", got, test.want)
			}
			if len(plan.Secrets) != test.secrets || test.secrets > 0 && plan.Secrets[0] != secret {
				t.Errorf("secrets %q", plan.Secrets)
			}
			if argv := strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " "); strings.Contains(argv, "--fingerprint 09:54:ef") != (test.options == nil) || strings.Contains(argv, secret) {
				t.Errorf("command %q", argv)
			}
		})
	}
}

// TestServerOnANode checks that a note warns about backups on a node of the cluster.
func TestServerOnANode(t *testing.T) {
	h := host(pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true, Name: "dream", Members: map[string]pve.Member{"pve2": {Online: true, Links: map[int]string{0: "192.0.2.9"}}}}))
	plan, err := (&Module{ID: "pbs1", Type: "pbs", Options: map[string]string{"server": "192.0.2.9", "datastore": "main"}}).Plan(context.Background(), h)
	if err != nil || len(plan.Steps) > 0 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "the server 192.0.2.9 is node pve2") {
		t.Errorf("%d steps, notes %q, %v", len(plan.Steps), plan.Notes, err)
	}
}

// TestServerInACluster checks that a note warns about backups in a virtual machine of the cluster, which is identified by
// its UUID.
func TestServerInACluster(t *testing.T) {
	for told, want := range map[string]int{"5E4F2A6B-0000-4000-8000-00000000000A\n": 1, "5E4F2A6B-0000-4000-8000-00000000000B\n": 0, "": 0} {
		server := observe.NewRecorded("pbs", observe.Files.Expect(pve.MachineIDFile, observe.File{Type: observe.Regular, Content: []byte(told)}))
		h := host(pve.MachineIDs.Expect("", map[string]int{"5e4f2a6b-0000-4000-8000-00000000000a": 105}))
		h.SetPeers(nil, func(string) (*observe.Host, error) { return server, nil })
		notes, err := (&Module{ID: "pbs1", Type: "pbs", BackupServer: "pbs", Options: map[string]string{"server": "192.0.2.77"}}).notes(context.Background(), h)
		if err != nil || len(notes) != want || want > 0 && !strings.Contains(notes[0], "the server pbs is guest 105 of the cluster") {
			t.Errorf("%q: notes %q, %v", told, notes, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		m    Module
		host *observe.Host
		want string
	}{
		{"other type", Module{ID: "vm-disks", Type: "dir", Options: map[string]string{"path": "/x"}}, host(), "with type rbd"},
		{"fixed option", Module{ID: "local", Type: "dir", Options: map[string]string{"path": "/srv"}}, host(), "cannot be changed"},
		{"no such pool", Module{ID: "x", Type: "rbd", Pool: "nosuch"}, host(), "no Ceph pool nosuch; the cluster has: vm-disks"},
		{"no file system", Module{ID: "x", Type: "cephfs"}, host(ceph.FileSystems.Expect("", map[string]ceph.FileSystem{})), "no CephFS"},
		{"file system asleep", Module{ID: "x", Type: "cephfs", Options: map[string]string{"fs-name": "asleep"}}, host(), "has no active metadata server"},
		{"no quorum", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Content: []string{"images"}}, host(pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream",
			Members: map[string]pve.Member{"pve1": {Online: true}, "pve2": {}, "pve3": {}}})), "no quorum as seen from pve1, and /etc/pve cannot be written (online: pve1; offline: pve2, pve3)"},
		{"no pmxcfs", Module{ID: "vm-disks", Type: "rbd", Pool: "vm-disks", Content: []string{"images"}}, host(pve.Clusters.Expect("", pve.Cluster{})), "start it (systemctl start pve-cluster.service)"},
		{"no Ceph", Module{ID: "x", Type: "rbd", Pool: "p"}, host(ceph.Confs.Expect("", ceph.Conf{})), "no Ceph cluster yet"},
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
		"id":                  {Module{ID: "1", Type: "dir"}, "id"},
		"type":                {Module{ID: "ok", Type: ""}, "type"},
		"cephfs disks":        {Module{ID: "ok", Type: "cephfs", Content: []string{"images"}}, "content"},
		"no pool":             {Module{ID: "ok", Type: "rbd"}, "pool"},
		"pool of dir":         {Module{ID: "ok", Type: "dir", Pool: "p"}, "pool"},
		"node":                {Module{ID: "ok", Type: "dir", Nodes: []string{"a_b"}}, "nodes"},
		"secret":              {Module{ID: "ok", Type: "cifs", Options: map[string]string{"password": "x"}}, "options.password"},
		"no password":         {Module{ID: "ok", Type: "dir", Password: "x"}, "password"},
		"server and password": {Module{ID: "ok", Type: "pbs", Password: "x", BackupServer: "pbs"}, "backup_server"},
		"no token":            {Module{ID: "ok", Type: "pbs", BackupServer: "pbs", Options: map[string]string{"username": "pve@pbs"}}, "options.username"},
		"no file's name":      {Module{ID: "ok", Type: "pbs", BackupServer: "pbs", Options: map[string]string{"username": "pve@pbs!../x"}}, "options.username"},
		"two lines":           {Module{ID: "ok", Type: "pbs", Password: "x\ny"}, "password"},
		"dashes":              {Module{ID: "ok", Type: "dir", Options: map[string]string{"--path": "/x"}}, "options.--path"},
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
