package pbs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// answer returns grep's output for files in the form that Proxmox Backup Server 3.2.4 writes (pbs-config).
func answer(files map[string]string) remote.Answer {
	var out strings.Builder
	for name, text := range files {
		for line := range strings.Lines(text) {
			out.WriteString(name + ":" + line)
		}
	}
	return remote.Answer{Stdout: []byte(out.String()), Stderr: []byte("grep: /etc/proxmox-backup/prune.cfg: No such file or directory\n"), Exit: 2}
}

func TestParse(t *testing.T) {
	server, err := parse(answer(map[string]string{
		datastoreFile: "datastore: main\n\tgc-schedule daily\n\tpath /srv/main\n\ndatastore: second\n\tpath /srv/second: two\n",
		accountFile:   "user: root@pam\n\tcomment Superuser\n\nuser: pve@pbs\n\ntoken: pve@pbs!cluster\n\tenable false\n",
		grantFile:     "acl:0:/:john@pbs:Audit\nacl:1:/datastore/main:pve@pbs,pve@pbs!cluster:DatastoreAudit,DatastoreBackup\n",
	}))
	both := func(account string) map[Grant]bool {
		return map[Grant]bool{{"/datastore/main", account, "DatastoreAudit"}: true, {"/datastore/main", account, "DatastoreBackup"}: true}
	}
	grants := map[Grant]bool{{"/", "john@pbs", "Audit"}: false}
	for _, account := range []string{"pve@pbs", "pve@pbs!cluster"} {
		for grant := range both(account) {
			grants[grant] = true
		}
	}
	want := Server{
		Datastores: map[string]map[string]string{"main": {"gc-schedule": "daily", "path": "/srv/main"}, "second": {"path": "/srv/second: two"}},
		PruneJobs:  map[string]map[string]string{}, VerifyJobs: map[string]map[string]string{},
		Accounts: map[string]map[string]string{"pve@pbs": {}, "pve@pbs!cluster": {"enable": "false"}},
		Grants:   grants,
	}
	if diff := cmp.Diff(want, server); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestParseErrors(t *testing.T) {
	denied := answer(nil)
	denied.Stderr = []byte("grep: /etc/proxmox-backup/user.cfg: Permission denied\n")
	for want, a := range map[string]remote.Answer{
		"Permission denied":              denied,
		"is not an access control entry": answer(map[string]string{grantFile: "acl:1:/\n"}),
		"holds no certificate":           answer(map[string]string{certificateFile: "nothing\n"}),
		"is not a section header":        answer(map[string]string{pruneFile: "daily\n"}),
	} {
		if _, err := parse(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/etc/proxmox-backup/acl.cfg:acl:1:/:a@pbs:Audit\n/etc/proxmox-backup/user.cfg:user: a@pbs\n/etc/proxmox-backup/proxy.pem:-----BEGIN CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		server, err := parse(remote.Answer{Stdout: []byte(text)})
		if _, known := server.Accounts["root@pam"]; known && err == nil {
			t.Error("root@pam is among the accounts")
		}
	})
}
