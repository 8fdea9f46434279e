package pve

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// relocated are queries that look below a directory instead of at this machine's own /etc/pve and /usr/bin/pmxcfs.
func relocated(root string, queries []remote.Query) []remote.Query {
	moved := make([]remote.Query, len(queries))
	at := strings.NewReplacer("/etc/pve", root+"/etc/pve", pmxcfsProgram, root+pmxcfsProgram, "/root/.ssh", root+"/root/.ssh")
	for i, q := range queries {
		q.Script = at.Replace(q.Script)
		q.Args = nil
		for _, arg := range queries[i].Args {
			q.Args = append(q.Args, at.Replace(arg))
		}
		moved[i] = q
	}
	return moved
}

// back undoes in answers what relocated has changed.
func back(root string, answers []remote.Answer) []remote.Answer {
	for i, a := range answers {
		answers[i].Stdout = []byte(strings.ReplaceAll(string(a.Stdout), root, ""))
		answers[i].Stderr = []byte(strings.ReplaceAll(string(a.Stderr), root, ""))
	}
	return answers
}

// place makes files below root; a name that ends in a slash is a directory, and a content "-> x" a link to x.
func place(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(root, name)
		target, link := strings.CutPrefix(content, "-> ")
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o755)
		case link:
			err = os.Symlink(target, file)
		default:
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatCannotBeAskedIsNoEmptyAnswer runs the queries on /etc/pve in a real shell, on a host without Proxmox VE, on one whose
// pve-cluster is stopped (live-9.2/pve-cluster-stopped.txt: an empty directory, and links into it that lead nowhere), and on a
// standalone one. Of an OSD's disk, "no cluster" makes a foreign disk, and of a guest's id a free one.
func TestWhatCannotBeAskedIsNoEmptyAnswer(t *testing.T) {
	kinds := map[string]func(root string) error{
		"OSDs":           func(root string) error { return firstError(root, OSDs.Ask, OSDs.Parse, "pve1") },
		"monitors":       func(root string) error { return firstError(root, Monitors.Ask, Monitors.Parse, "pve1") },
		"pools":          func(root string) error { return firstError(root, Pools.Ask, Pools.Parse, "") },
		"ceph.conf":      func(root string) error { return firstError(root, CephConfs.Ask, CephConfs.Parse, "") },
		"guests":         func(root string) error { return firstError(root, GuestLists.Ask, GuestLists.Parse, "") },
		"a guest":        func(root string) error { return firstError(root, GuestConfigs.Ask, GuestConfigs.Parse, "100") },
		"storages":       func(root string) error { return firstError(root, Storages.Ask, Storages.Parse, "") },
		"HA":             func(root string) error { return firstError(root, HAs.Ask, HAs.Parse, "") },
		"authorized key": func(root string) error { return firstError(root, Trusts.Ask, Trusts.Parse, "") },
	}
	hosts := map[string]struct {
		files map[string]string
		away  bool
	}{
		"no Proxmox VE":                {nil, false},
		"its directory is left":        {map[string]string{"etc/pve/": ""}, false},
		"pve-cluster stopped":          {map[string]string{"usr/bin/pmxcfs": "", "etc/pve/": "", "root/.ssh/authorized_keys": "-> /etc/pve/priv/authorized_keys"}, true},
		"standalone, without Ceph":     {map[string]string{"usr/bin/pmxcfs": "", "etc/pve/.members": "{}", "etc/pve/local": "-> nodes/pve1"}, false},
		"Ceph without a monitor":       {map[string]string{"usr/bin/pmxcfs": "", "etc/pve/.members": "{}", "etc/pve/local": "-> nodes/pve1", "etc/pve/ceph.conf": "[global]\nfsid = x\nmon_host =\n"}, false},
		"mounted after the first look": {map[string]string{"usr/bin/pmxcfs": "", "etc/pve/.members": "{}"}, true},
	}
	for host, test := range hosts {
		root := t.TempDir()
		place(t, root, test.files)
		for kind, ask := range kinds {
			err := ask(root)
			if kind == "authorized key" && test.files["root/.ssh/authorized_keys"] == "" {
				continue // a file that is no link is there or not
			}
			if away := errors.Is(err, errNotMounted); away != test.away || err != nil && !away {
				t.Errorf("%s: %s: error %v, want %v for the cluster file system being away", host, kind, err, test.away)
			}
		}
	}
}

// firstError asks a kind for a name in a real shell, below root.
func firstError[T any](root string, ask func([]string) []remote.Query, parse func([]string, []remote.Answer, func(string, T, error)), name string) error {
	answers, err := shellAnswers(relocated(root, ask([]string{name})))
	if err != nil {
		return err
	}
	parse([]string{name}, back(root, answers), func(_ string, _ T, problem error) { err = problem })
	if err != nil && strings.Contains(err.Error(), errNotMounted.Error()) {
		return errNotMounted // some say it through the shell
	}
	return err
}

func TestAGuestThatIsMovedAwayExists(t *testing.T) {
	root := t.TempDir()
	place(t, root, map[string]string{
		"usr/bin/pmxcfs": "", "etc/pve/local": "-> nodes/pve1",
		"etc/pve/nodes/pve1/qemu-server/100.conf": "-> ../../pve2/qemu-server/100.conf", // seen by the glob, and gone when it is opened
	})
	err := firstError(root, GuestConfigs.Ask, GuestConfigs.Parse, "100")
	if err == nil || !strings.Contains(err.Error(), "was moved while it was looked for") {
		t.Errorf("error %v, want that the guest was moved", err)
	}
}

func TestCephUnits(t *testing.T) {
	out := "Id=ceph-mgr@pve1.service\nActiveState=active\n\nActiveState=failed\nId=ceph-osd@3.service\n"
	got := tell(t, CephUnits.Parse, []string{""}, text(out))[""]
	if len(got) != 2 || got["ceph-mgr@pve1.service"] != "active" || got["ceph-osd@3.service"] != "failed" {
		t.Errorf("units %v", got)
	}
	CephUnits.Parse([]string{""}, []remote.Answer{{Exit: 1, Stderr: []byte("Failed to connect to bus: No such file or directory\n")}}, func(_ string, _ map[string]string, err error) {
		if err == nil || !strings.Contains(err.Error(), "Failed to connect to bus") {
			t.Errorf("error %v, want systemctl's own", err)
		}
	})
}

func TestABrokenPackageDatabaseIsNoMissingPackage(t *testing.T) {
	broken := remote.Answer{Stdout: []byte("name pve1\n"), Stderr: []byte("dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1\n"), Exit: 2}
	if _, err := parseNode(broken); err == nil || !strings.Contains(err.Error(), "parsing file") {
		t.Errorf("the node: error %v", err)
	}
	if _, err := parseCephNode(broken); err == nil || !strings.Contains(err.Error(), "parsing file") {
		t.Errorf("its Ceph: error %v", err)
	}
}
