package proxmox

import (
	"bytes"
	"context"
	"regexp"
	"testing"
)

// TestBackupManager compares the simulated proxmox-backup-manager with what the source of Proxmox Backup Server 3.2.4
// prints and writes, and with the example in its documentation (user-management.rst).
func TestBackupManager(t *testing.T) {
	l := newLab(t, labOptions{count: 1, bare: true})
	m := l.nodes["pve1"]
	if err := m.Packages().Install("proxmox-backup-server"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		argv []string
		code int
		want string
	}{
		{[]string{"datastore", "create", "main", "/srv/main", "--gc-schedule", "daily"}, 0, `^Chunkstore create: 1%\n[^$]*TASK OK\n$`},
		{[]string{"datastore", "create", "main", "/srv/other"}, 255, `Error: .*'name': datastore 'main' already exists\.\n$`},
		{[]string{"datastore", "create", "second", "/srv/main"}, 255, `unable to create chunk store 'second' subdir "/srv/main/.chunks" - EEXIST: File exists`},
		{[]string{"datastore", "update", "main", "--nonsense", "1"}, 255, `'nonsense': schema does not allow additional properties\.`},
		{[]string{"datastore", "remove", "main"}, 255, `is not simulated`},
		{[]string{"acl", "update", "/datastore/main", "DatastoreBackup", "--auth-id", "john@pbs"}, 255, `^Error: no such user\.\n$`},
		{[]string{"user", "create", "john@pbs"}, 0, `^$`},
		{[]string{"user", "create", "john@pbs"}, 255, `^Error: user 'john@pbs' already exists\.\n$`},
		{[]string{"acl", "update", "/datastore/main", "DatastoreBackup", "--auth-id", "john@pbs!client1"}, 255, `^Error: no such API token\.\n$`},
		{[]string{"user", "generate-token", "john@pbs", "client1"}, 0, `^Result: \{\n  "tokenid": "john@pbs!client1",\n  "value": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"\n\}\n$`},
		{[]string{"user", "generate-token", "john@pbs", "client1"}, 255, `^Error: token 'client1' for user 'john@pbs' already exists\.\n$`},
		{[]string{"acl", "update", "/datastore/main", "DatastoreBackup", "--auth-id", "john@pbs!client1"}, 0, `^$`},
		{[]string{"prune-job", "create", "main-prune", "--store", "main"}, 255, `'schedule': parameter is missing and it is not optional`},
		{[]string{"prune-job", "create", "main-prune", "--store", "main", "--schedule", "daily", "--keep-last", "3"}, 0, `^$`},
		{[]string{"prune-job", "update", "main-prune", "--delete", "keep-last", "--keep-daily", "7"}, 0, `^$`},
		{[]string{"verify-job", "remove", "main-verify"}, 255, `^Error: no such verification 'main-verify'\n$`},
	} {
		var out bytes.Buffer
		code := m.Console(context.Background(), &out, &out, append([]string{"proxmox-backup-manager"}, test.argv...)...)
		if code != test.code || !regexp.MustCompile(test.want).MatchString(out.String()) {
			t.Errorf("%q: exit code %d, expected %d; it printed %q, expected %s", test.argv, code, test.code, out.String(), test.want)
		}
	}
	for file, want := range map[string]string{
		backupStores:   "datastore: main\n\tgc-schedule daily\n\tpath /srv/main\n",
		backupAccounts: "user: root@pam\n\tcomment Superuser\n\nuser: john@pbs\n\ntoken: john@pbs!client1\n",
		backupACL:      "acl:1:/datastore/main:john@pbs!client1:DatastoreBackup\n",
		backupPrune:    "prune: main-prune\n\tkeep-daily 7\n\tschedule daily\n\tstore main\n",
	} {
		if got := l.read("pve1", file); got != want {
			t.Errorf("%s holds %q, expected %q", file, got, want)
		}
	}
}
