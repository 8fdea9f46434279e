package pbs

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// host returns a host with a server that has a datastore, its jobs and a token, modified by change, and further
// expectations.
func host(change func(*pbs.Server), more ...observe.Expectation) *observe.Host {
	both := map[pbs.Grant]bool{{Path: "/datastore/main", Account: "pve@pbs", Role: "DatastoreBackup"}: true, {Path: "/datastore/main", Account: "pve@pbs!cluster", Role: "DatastoreBackup"}: true}
	server := pbs.Server{
		Datastores: map[string]map[string]string{"main": {"path": "/srv/backup/main", "gc-schedule": "daily", "comment": "ours"}},
		PruneJobs:  map[string]map[string]string{"main-prune": {"store": "main", "schedule": "daily", "keep-last": "3", "keep-daily": "7", "comment": "mine"}},
		VerifyJobs: map[string]map[string]string{"main-verify": {"store": "main", "schedule": "daily", "outdated-after": "30", "ignore-verified": "true"}},
		Accounts:   map[string]map[string]string{"pve@pbs": {}, "pve@pbs!cluster": {}},
		Grants:     both,
	}
	if change != nil {
		change(&server)
	}
	dir := func(name string, f observe.File, entries ...string) []observe.Expectation {
		return []observe.Expectation{observe.Files.Expect(name, f), observe.Dirs.Expect(name, observe.Listing{Exists: f.Exists(), Entries: entries})}
	}
	secret := "Result: {\n  \"tokenid\": \"pve@pbs!cluster\",\n  \"value\": \"d63e505a-e3ec-449a-9bc7-1da610d4ccde\"\n}\n"
	known := []observe.Expectation{
		pbs.Servers.Expect("", server), pve.Nodes.Expect("", pve.Node{Name: "pbs", Codename: "trixie"}),
		observe.Files.Expect(pbs.Program, observe.File{Type: observe.Regular, Mode: 0o755}),
		observe.Files.Expect(pbs.SecretDir, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}),
		observe.Files.Expect(pbs.SecretFile("pve@pbs!cluster"), observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Content: []byte(secret)}),
	}
	for _, p := range []string{"/srv", "/srv/backup", "/srv/backup/main", "/srv/new", "/srv/full", "/srv/old", "/srv/disk"} {
		known = append(known, observe.Mounts.Expect(p, observe.Mount{}))
	}
	known = append(known, observe.Files.Expect("/srv/backup/main", observe.File{Type: observe.Directory, Mode: 0o750, Owner: "backup", Group: "backup"}))
	for _, p := range []string{"/", "/srv", "/srv/backup"} {
		known = append(known, dir(p, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"})...)
	}
	known = append(known, dir("/srv/new", observe.File{})...)
	known = append(known, dir("/srv/full", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root"}, "music")...)
	known = append(known, dir("/srv/old", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "backup"}, ".chunks", ".lock", "vm")...)
	known = append(known, dir("/srv/disk", observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root"}, "lost+found")...)
	return observe.NewRecorded("pbs", append(known, more...)...)
}

func datastore(name, path string) *Module {
	return &Module{Datastore: &Datastore{Name: name, Path: path}}
}
func token() *Module {
	return &Module{Token: &Token{User: "pve@pbs", Name: "cluster", Datastore: "main"}}
}
func prune(keep map[string]int) *Module {
	return &Module{PruneJob: &PruneJob{ID: "main-prune", Datastore: "main", Keep: keep}}
}

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		m    *Module
		host *observe.Host
		want string
	}{
		"datastore as desired": {datastore("main", "/srv/backup/main"), host(nil), ""},
		"new datastore":        {datastore("second", "/srv/new"), host(nil), "create datastore second in /srv/new: proxmox-backup-manager datastore create second /srv/new --gc-schedule daily"},
		"on a disk of its own": {datastore("second", "/srv/disk"), host(nil), "create datastore second in /srv/disk: proxmox-backup-manager datastore create second /srv/disk --gc-schedule daily"},
		"no garbage collection": {datastore("main", "/srv/backup/main"), host(func(s *pbs.Server) { delete(s.Datastores["main"], "gc-schedule") }),
			"change datastore main: gc-schedule: proxmox-backup-manager datastore update main --gc-schedule daily"},
		"token as desired": {token(), host(nil), ""},
		"no user": {token(), host(func(s *pbs.Server) { s.Accounts, s.Grants = nil, nil }), `create user pve@pbs: proxmox-backup-manager user create pve@pbs
remove the secret of an earlier token pve@pbs!cluster: remove
generate token pve@pbs!cluster: sh /etc/hlplay/pbs-tokens/pve@pbs!cluster pve@pbs cluster
grant pve@pbs the role DatastoreBackup on datastore main: proxmox-backup-manager acl update /datastore/main DatastoreBackup --auth-id pve@pbs
grant pve@pbs!cluster the role DatastoreBackup on datastore main: proxmox-backup-manager acl update /datastore/main DatastoreBackup --auth-id pve@pbs!cluster`},
		"another role": {&Module{Token: &Token{User: "pve@pbs", Name: "cluster", Datastore: "main", Role: "DatastorePowerUser"}}, host(nil), `grant pve@pbs the role DatastorePowerUser on datastore main: proxmox-backup-manager acl update /datastore/main DatastorePowerUser --auth-id pve@pbs
grant pve@pbs!cluster the role DatastorePowerUser on datastore main: proxmox-backup-manager acl update /datastore/main DatastorePowerUser --auth-id pve@pbs!cluster`},
		"prune job as desired":  {prune(map[string]int{"last": 3, "daily": 7}), host(nil), ""},
		"keeps something else":  {prune(map[string]int{"last": 3, "weekly": 4}), host(nil), "change prune job main-prune: keep-daily, keep-weekly: proxmox-backup-manager prune-job update main-prune --delete keep-daily --keep-weekly 4"},
		"new prune job":         {prune(map[string]int{"last": 3}), host(func(s *pbs.Server) { s.PruneJobs = nil }), "create prune job main-prune: datastore main, daily: proxmox-backup-manager prune-job create main-prune --keep-last 3 --schedule daily --store main"},
		"no prune job any more": {&Module{PruneJob: &PruneJob{ID: "main-prune", State: "absent"}}, host(nil), "remove prune job main-prune: proxmox-backup-manager prune-job remove main-prune"},
		"verify job as desired": {&Module{VerifyJob: &VerifyJob{ID: "main-verify", Datastore: "main"}}, host(nil), ""},
		"verified less often": {&Module{VerifyJob: &VerifyJob{ID: "main-verify", Datastore: "main", Schedule: "sat 03:00", OutdatedAfter: 60}}, host(nil),
			"change verify job main-verify: outdated-after, schedule: proxmox-backup-manager verify-job update main-verify --outdated-after 60 --schedule sat 03:00"},
	} {
		t.Run(name, func(t *testing.T) {
			modulestest.Decoded(test.m)
			if err := test.m.Validate(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range modulestest.Converges(t, test.m, test.host).Steps {
				does := "remove"
				if run, ok := step.Action.(modules.Run); ok {
					does = strings.Join(run.Argv, " ")
					if run.Argv[0] == "sh" {
						does = "sh " + strings.Join(run.Argv[4:], " ")
					}
				}
				got = append(got, step.Summary+": "+does)
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	open := observe.Files.Expect(pbs.SecretFile("pve@pbs!cluster"), observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root"})
	gone := observe.Files.Expect(pbs.SecretFile("pve@pbs!cluster"), observe.File{})
	loose := observe.Files.Expect("/srv", observe.File{Type: observe.Directory, Mode: 0o775, Owner: "root", Group: "staff"})
	sticky := observe.Files.Expect("/srv", observe.File{Type: observe.Directory, Mode: 0o1777, Owner: "root", Group: "root"})
	half := observe.Files.Expect(pbs.SecretFile("pve@pbs!cluster"), observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root"})
	for name, test := range map[string]struct {
		m    *Module
		host *observe.Host
		want string
	}{
		"moved":        {datastore("main", "/srv/new"), host(nil), "datastore main of pbs is in /srv/backup/main, and cannot be moved"},
		"shared":       {datastore("second", "/srv/backup/main"), host(nil), "is already the directory of datastore main"},
		"not empty":    {datastore("second", "/srv/full"), host(nil), "/srv/full on pbs is not empty (it contains music)"},
		"earlier one":  {datastore("second", "/srv/old"), host(nil), "has the chunks of a datastore that the server does not know"},
		"exchangeable": {datastore("second", "/srv/new"), host(nil, loose), "datastore.path: the group staff can replace /srv/new on pbs, and the server would change its owner to the user backup"},
		"not there":    {datastore("second", "/srv/new"), host(nil, sticky), "every user can create /srv/new on pbs before the server does"},
		"no datastore": {&Module{Token: &Token{User: "pve@pbs", Name: "cluster", Datastore: "other"}}, host(nil), "pbs has no datastore other; it has: main"},
		"secret lost":  {token(), host(nil, gone), "its secret is not stored on the host: there is no /etc/hlplay/pbs-tokens/pve@pbs!cluster"},
		"secret open":  {token(), host(nil, open), "expected a regular file that only root can read"},
		"half written": {token(), host(nil, half), "is not in the format that proxmox-backup-manager prints"},
		"no server":    {token(), host(nil, observe.Files.Expect(pbs.Program, observe.File{})), "install package proxmox-backup-server first"},
	} {
		plan, err := modulestest.Decoded(test.m).Plan(context.Background(), test.host)
		if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
			t.Errorf("%s: %d steps, %v; expected %q", name, len(plan.Steps), err, test.want)
		}
	}
}

// TestNotes checks the notes about backups that are lost together with their guests, and about additional rights.
func TestNotes(t *testing.T) {
	admin := func(s *pbs.Server) {
		s.Grants[pbs.Grant{Path: "/", Account: "pve@pbs!cluster", Role: "Admin"}] = true
		s.Accounts["pve@pbs"] = map[string]string{"enable": "false"}
	}
	volume := func(below string) []observe.Expectation {
		lvm := observe.BlockDevice{Name: "dm-3", Path: "/dev/mapper/vg-backup", Type: "lvm"}
		return []observe.Expectation{
			observe.Mounts.Expect("/srv/backup", observe.Mount{Source: lvm.Path, Type: "ext4"}),
			observe.Disks.Expect("", []observe.BlockDevice{
				{Name: "sda", Path: "/dev/sda", Type: "disk"},
				{Name: below, Path: "/dev/" + below, Type: "disk", Children: []observe.BlockDevice{{Name: below + "p1", Path: "/dev/" + below + "p1", Type: "part", Children: []observe.BlockDevice{lvm}}}},
			}),
		}
	}
	link := observe.Files.Expect("/srv/backup/main", observe.File{Type: observe.Symlink, Owner: "root", Target: "/mnt/pve/cephfs/main"})
	for name, test := range map[string]struct {
		m    *Module
		host *observe.Host
		want []string
	}{
		"nothing":       {datastore("main", "/srv/backup/main"), host(nil), nil},
		"a node":        {datastore("main", "/srv/backup/main"), host(nil, pve.Nodes.Expect("", pve.Node{Name: "pbs", Installed: true})), []string{"pbs is a Proxmox VE node"}},
		"CephFS":        {datastore("main", "/srv/backup/main"), host(nil, observe.Mounts.Expect("/srv/backup", observe.Mount{Source: "10.0.0.1:/", Type: "ceph"})), []string{"is on Ceph (10.0.0.1:/ at /srv/backup)"}},
		"RBD":           {datastore("main", "/srv/backup/main"), host(nil, observe.Mounts.Expect("/srv", observe.Mount{Source: "/dev/rbd0", Type: "ext4"})), []string{"is on Ceph (/dev/rbd0 at /srv)"}},
		"ceph-fuse":     {datastore("main", "/srv/backup/main"), host(nil, observe.Mounts.Expect("/srv/backup/main", observe.Mount{Source: "ceph-fuse", Type: "fuse.ceph-fuse"})), []string{"is on Ceph (ceph-fuse at /srv/backup/main)"}},
		"LVM on RBD":    {datastore("main", "/srv/backup/main"), host(nil, volume("rbd1")...), []string{"is on Ceph (/dev/mapper/vg-backup at /srv/backup)"}},
		"LVM on a disk": {datastore("main", "/srv/backup/main"), host(nil, volume("nvme0n1")...), nil},
		"a link": {datastore("main", "/srv/backup/main"), host(nil, link,
			observe.Files.Expect("/mnt/pve/cephfs/main", observe.File{Type: observe.Directory, Owner: "backup"}),
			observe.Mounts.Expect("/mnt", observe.Mount{}), observe.Mounts.Expect("/mnt/pve", observe.Mount{}), observe.Mounts.Expect("/mnt/pve/cephfs/main", observe.Mount{}),
			observe.Mounts.Expect("/mnt/pve/cephfs", observe.Mount{Source: "10.0.0.1:/", Type: "ceph"})), []string{"/srv/backup/main is on Ceph (10.0.0.1:/ at /mnt/pve/cephfs)"}},
		"a link above": {datastore("main", "/srv/backup/main"), host(nil, observe.Files.Expect("/srv/backup", observe.File{Type: observe.Symlink, Owner: "root", Target: "/mnt/pve/cephfs"}),
			observe.Files.Expect("/mnt/pve/cephfs", observe.File{Type: observe.Directory, Owner: "root"}), observe.Files.Expect("/mnt/pve/cephfs/main", observe.File{Type: observe.Directory, Owner: "backup"}),
			observe.Mounts.Expect("/mnt", observe.Mount{}), observe.Mounts.Expect("/mnt/pve", observe.Mount{}), observe.Mounts.Expect("/mnt/pve/cephfs/main", observe.Mount{}),
			observe.Mounts.Expect("/mnt/pve/cephfs", observe.Mount{Source: "10.0.0.1:/", Type: "ceph"})), []string{"/srv/backup/main is on Ceph (10.0.0.1:/ at /mnt/pve/cephfs)"}},
		"disk below": {datastore("main", "/srv/backup/main"), host(nil, observe.Mounts.Expect("/srv", observe.Mount{Source: "x", Type: "ceph"}), observe.Mounts.Expect("/srv/backup", observe.Mount{Source: "/dev/sdb", Type: "ext4"})), nil},
		"rights":     {token(), host(admin), []string{"pve@pbs is disabled on pbs", "pve@pbs!cluster also has Admin on /"}},
	} {
		plan, err := modulestest.Decoded(test.m).Plan(context.Background(), test.host)
		if err != nil || len(plan.Notes) != len(test.want) {
			t.Errorf("%s: notes %q, %v", name, plan.Notes, err)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(plan.Notes[i], want) {
				t.Errorf("%s: note %q, expected %q", name, plan.Notes[i], want)
			}
		}
	}
}

// TestSecretIsHeldBack checks that the run learns the secret, and that no step contains it.
func TestSecretIsHeldBack(t *testing.T) {
	plan, err := modulestest.Decoded(token()).Plan(context.Background(), host(nil))
	if err != nil || len(plan.Secrets) != 1 || plan.Secrets[0] != "d63e505a-e3ec-449a-9bc7-1da610d4ccde" {
		t.Errorf("secrets %q, %v", plan.Secrets, err)
	}
}

func TestValidate(t *testing.T) {
	for _, user := range []string{"pve@pb", "pve", "pve@pbs@x", "-x@pbs"} {
		var fault *modules.ArgumentError
		m := &Module{Token: &Token{User: user, Name: "cluster", Datastore: "main"}}
		if err := modulestest.Decoded(m).Validate(); !errors.As(err, &fault) || fault.Argument != "token.user" {
			t.Errorf("user %s: %v", user, err)
		}
	}
	long := &Module{Token: &Token{User: "pve@pbs", Name: strings.Repeat("x", 57), Datastore: "main"}}
	if err := modulestest.Decoded(long).Validate(); err == nil || !strings.Contains(err.Error(), "has 65 characters; at most 64") {
		t.Errorf("an id of 65 characters: %v", err)
	}
	for want, m := range map[string]*Module{
		"datastore":             {},
		"datastore.name":        datastore("ab", "/srv/x"),
		"datastore.path":        datastore("main", "srv"),
		"datastore.gc_schedule": {Datastore: &Datastore{Name: "main", Path: "/srv/x", GCSchedule: "now and then"}},
		"token.user":            {Token: &Token{User: "root@pam", Name: "x", Datastore: "main"}},
		"token.name":            {Token: &Token{User: "pve@pbs", Name: "../x", Datastore: "main"}},
		"token.datastore":       {Token: &Token{User: "pve@pbs", Name: "x", Datastore: "-"}},
		"prune_job.keep":        prune(nil),
		"prune_job.keep.never":  prune(map[string]int{"never": 1}),
		"prune_job.keep.daily":  prune(map[string]int{"daily": 0}),
		"verify_job.datastore":  {VerifyJob: &VerifyJob{ID: "abc"}},
	} {
		var fault *modules.ArgumentError
		if err := modulestest.Decoded(m).Validate(); !errors.As(err, &fault) || fault.Argument != want {
			t.Errorf("%v, expected a fault in %s", err, want)
		}
	}
}
