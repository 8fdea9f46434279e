package proxmox

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"hlplay/engine/lab/machine"
)

// sh runs a command line in a shell on a node.
func (l *testLab) sh(node, line string) result {
	l.t.Helper()
	var out, errs bytes.Buffer
	code := l.nodes[node].Console(l.t.Context(), &out, &errs, "sh", "-c", line)
	return result{stdout: out.String(), stderr: errs.String(), code: code}
}

// noDefects fails the test if a part of the simulation panics.
func noDefects(t *testing.T) {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		if log.Len() > 0 {
			t.Errorf("the simulation failed:\n%s", log.String())
		}
	})
}

// Damaged files on one node do not make any program panic, neither there nor on other nodes.
func TestDamagedNode(t *testing.T) {
	programs := []string{"pvecm status", "pvecm nodes", "corosync-cfgtool -s", "ceph -s", "ceph osd tree", "ceph report", "ha-manager status",
		"pvesm status", "qm list", "cat /etc/pve/.members", "ls /etc/pve/nodes", "pveceph status", "pvecm updatecerts", "systemctl restart corosync pve-cluster", "pvecm status"}
	for _, damage := range []struct{ name, line string }{
		{"an OSD node is renamed", "hostnamectl set-hostname other; echo 10.10.10.11 other >>/etc/hosts"},
		{"a monitor's node is renamed and boots", "hostname other; echo other >/etc/hostname; echo 10.10.10.11 other >>/etc/hosts; systemctl restart pve-cluster corosync"},
		{"corosync.conf is emptied by cp", "cp /dev/null /etc/pve/corosync.conf"},
		{"corosync.conf is cut in the middle", "head -c 100 /etc/pve/corosync.conf >/tmp/x; cp /tmp/x /etc/pve/corosync.conf"},
		{"corosync.conf has no interface section", "sed '/interface {/,/}/d' /etc/pve/corosync.conf >/tmp/x; cp /tmp/x /etc/pve/corosync.conf; corosync-cfgtool -R"},
		{"corosync.conf does not name the node", "sed 's/name: pve1/name: gone/' /etc/pve/corosync.conf >/tmp/x; cp /tmp/x /etc/pve/corosync.conf"},
		{"corosync.conf is removed", "rm /etc/pve/corosync.conf"},
		{"the local corosync.conf is emptied", "cp /dev/null /etc/corosync/corosync.conf; systemctl restart corosync"},
		{"storage.cfg and HA's files hold rubbish", "mkdir -p /etc/pve/ha; for f in storage.cfg ha/resources.cfg ha/rules.cfg; do echo '::{' >/etc/pve/$f; done"},
		{"ceph.conf is emptied", "cp /dev/null /etc/pve/ceph.conf"},
		{"the name does not resolve", "echo 127.0.0.1 localhost >/etc/hosts; systemctl restart pve-cluster"},
	} {
		t.Run(damage.name, func(t *testing.T) {
			noDefects(t)
			l := cephLab(t, "trixie", "19.2.3")
			if r := l.sh("pve1", damage.line); r.code != 0 && !strings.Contains(damage.line, "restart") {
				t.Fatalf("%s: exit %d: %s", damage.line, r.code, r.stderr)
			}
			for _, node := range []string{"pve1", "pve2"} {
				for _, program := range programs {
					l.sh(node, program) // it only has to terminate
				}
			}
		})
	}
}

// A program that panics ends, and only that program. The log has the node and the stack.
func TestDamagePanic(t *testing.T) {
	l := newLab(t, labOptions{count: 1, bare: true})
	if err := l.nodes["pve1"].Packages().Put(machine.Package{Name: "broken", Version: "1", Programs: map[string]machine.Program{
		"/usr/bin/broken": func(context.Context, *machine.Call) int { panic("defective") },
	}}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	r := l.sh("pve1", "broken | cat; broken; echo code $?")
	if r.stdout != "code 139\n" || !strings.Contains(r.stderr, "Segmentation fault") {
		t.Errorf("got %q, %q; expected the exit code of SIGSEGV and a word about it", r.stdout, r.stderr)
	}
	for _, want := range []string{"node=pve1", "doing=broken", "defective", "damage_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
}

// A failed write leaves an existing file unchanged, even if it was truncated when it was opened, and creates no file.
func TestDamageFailedWrite(t *testing.T) {
	l := newLab(t, labOptions{})
	l.form("lab", 3)
	l.file("pve1", "/etc/pve/kept.cfg", "as it was")
	large := bytes.Repeat([]byte("x"), maxFile)
	for _, name := range []string{"/etc/pve/kept.cfg", "/etc/pve/new.cfg"} {
		f, err := l.nodes["pve1"].FS().OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(large); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("y")); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%s: writing more than a file may hold: %v, expected EFBIG", name, err)
		}
		_ = f.Close()
	}
	if got := l.read("pve2", "/etc/pve/kept.cfg"); got != "as it was" {
		t.Errorf("after the failed write kept.cfg has %d bytes, expected it as it was", len(got))
	}
	if _, err := l.nodes["pve2"].FS().Stat("/etc/pve/new.cfg"); !os.IsNotExist(err) {
		t.Errorf("a file that could not be written: %v, expected it not to be there", err)
	}
	f, err := l.nodes["pve1"].FS().OpenFile("/etc/pve/kept.cfg", os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	l.off("pve2")
	l.off("pve3")
	if _, err := f.Write([]byte("lost")); !errors.Is(err, syscall.EACCES) {
		t.Errorf("writing after the quorum was lost: %v, expected EACCES", err)
	}
	if got := l.read("pve1", "/etc/pve/kept.cfg"); got != "as it was" {
		t.Errorf("after it kept.cfg is %q, expected it as it was", got)
	}
}
