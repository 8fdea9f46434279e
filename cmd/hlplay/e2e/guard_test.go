//go:build linux && e2e

package e2e

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
	"hlplay/engine/nodestate"
)

// TestGuard makes a change that locks everybody out of a real sshd. The node undoes it by itself, through systemd's
// timer, and also if it is restarted before that.
func TestGuard(t *testing.T) {
	n := startNodes(t, "node1")
	node := n.List[0]
	r := newRunner(t, n, nspawn.Root)
	guarded := func(what string, code int, flags ...string) outcome {
		t.Helper()
		o := r.run(t, "guard.hcl", flags...)
		o.wantCode(t, what, code)
		wantOn(t, node, "cat /etc/ssh/sshd_config.d/10-who.conf", "AllowUsers root")
		wantOn(t, node, "ls -A /var/lib/hlplay/undo; ls /etc/systemd/system /etc/systemd/system/*.wants | grep hlplay", "")
		wantOn(t, node, "systemctl list-units --state=active,activating,failed --plain --no-legend 'hlplay*'", "")
		return o
	}
	guarded("a change that is proven", exitOK, "-e", "users=root")
	o := guarded("a change that locks everybody out", exitFailed, "-e", "users=nobody")
	if failures := o.failures(); !strings.Contains(failures, "the host has undone the change") {
		t.Errorf("the error does not say that the change was undone:\n%s", failures)
	}
	before, err := node.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The task's command restarts the node, and the old sshd still accepts the test login while the node is shutting
	// down. The time limit is much longer than the restart.
	o = guarded("a change during which the node is restarted", exitFailed, "-e", "users=nobody", "-e", "within=20m", "-e", `apply=["systemctl", "reboot"]`)
	if failures := o.failures(); !strings.Contains(failures, "the host has undone the change") {
		t.Errorf("the error does not say that the change was undone:\n%s", failures)
	}
	if id, err := node.BootID(t.Context()); err != nil || id == before {
		t.Errorf("the node was not restarted: its boot id is %s as before (%v)", id, err)
	}
	r.run(t, "guard.hcl", "-e", "users=root").wantUnchanged(t, "the run after that")
}

// TestGuardOutlivesRestart restarts a node that has to undo a change which outlives that, such as a change to what a
// cluster shares. After the restart, a timer starts again and undoes it once what it needs is available.
func TestGuardOutlivesRestart(t *testing.T) {
	n := startNodes(t, "node1")
	node := n.List[0]
	u := nodestate.Undo{ID: rand.Text(), Task: "links", Within: time.Hour, Outlives: true, Commands: [][]string{{"sh", "-c", "systemctl is-active multi-user.target >/root/undone"}}}
	q, err := u.Arm()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := node.Exec(t.Context(), append([]string{"sh", "-c", q.Script, "sh"}, q.Args...)...); err != nil {
		t.Fatalf("arming: %v\n%s", err, out)
	}
	before, err := node.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = node.Exec(t.Context(), "systemctl", "reboot") // it may end the process that asks for it
	for id := before; id == before || id == ""; {        // limited by the test's deadline
		time.Sleep(time.Second)
		id, _ = node.BootID(t.Context())
	}
	wantOn(t, node, "cd "+nodestate.Dir+"/undo/"+u.ID+" && echo armed; ls /root/undone 2>&1", "armed\nls: cannot access '/root/undone': No such file or directory")
	for done := ""; done == ""; {
		time.Sleep(time.Second)
		done, _ = node.Exec(t.Context(), "cat", "/root/undone")
	}
	wantOn(t, node, "cat /root/undone; ls /etc/systemd/system /etc/systemd/system/*.wants | grep hlplay", "active")
}
