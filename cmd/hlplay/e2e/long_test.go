//go:build linux && e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"hlplay/engine/lab/nspawn"
)

// begun waits on a node until the long command has started.
const begun = "timeout 1200 sh -c 'until [ -s /srv/long ]; do sleep 0.1; done'; "

// TestLongCommand cuts the connection, and then kills the controller, while a command runs as a transient unit. The
// command continues, is waited for, and is started only once.
func TestLongCommand(t *testing.T) {
	n := startNodes(t, "node1")
	node := n.List[0]
	wantEnd := func(what string) {
		t.Helper()
		wantOn(t, node, "cat /srv/long", "begun\ninput\nit's one\nended")
		wantOn(t, node, `timeout 1200 sh -c 'until [ -z "$(ls -A /var/lib/hlplay/running; systemctl list-units --all --no-legend "hlplay-*")" ]; do sleep 0.1; done' && echo forgotten`, "forgotten")
		shell(t, node, "rm /srv/long /srv/go")
		t.Log(what)
	}
	for _, account := range []string{nspawn.Root, nspawn.Admin} {
		r := newRunner(t, n, account)

		// sshd and all its sessions are killed. The command is ended when the run has reconnected and waits.
		ended := make(chan error, 1)
		go func() {
			_, err := node.Exec(t.Context(), "sh", "-euc", begun+`test "$(systemctl show --property ActiveState --value 'hlplay-*')" = activating
pkill -KILL sshd
systemctl restart ssh
timeout 1200 sh -c 'until pgrep -x tail >/dev/null; do sleep 0.1; done'
touch /srv/go`)
			ended <- err
		}()
		o := r.run(t, "long.hcl")
		if err := <-ended; err != nil {
			t.Errorf("nobody came back to wait for the command: %v", err)
		}
		o.wantCode(t, "a run whose connection was killed", exitOK)
		if o.status["node1: long command"] != "changed" || !strings.Contains(o.text, "hlplay waits for it over a new connection") {
			t.Errorf("the long command is %q:\n%s", o.status["node1: long command"], o.text)
		}
		wantOn(t, node, "cat /srv/after", "the run went on")
		wantEnd("its connection was killed")

		// The controller is killed, and another run waits.
		r.started = func(p *os.Process) {
			_, err := node.Exec(t.Context(), "sh", "-euc", begun)
			ended <- err
			_ = p.Kill() // if it fails, the test notices
		}
		r.run(t, "long.hcl")
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		r.started = nil
		go func() {
			_, err := node.Exec(t.Context(), "sh", "-euc", `timeout 1200 sh -c 'until pgrep -x tail >/dev/null; do sleep 0.1; done'; touch /srv/go`)
			ended <- err
		}()
		o = r.run(t, "long.hcl")
		if err := <-ended; err != nil {
			t.Errorf("nobody waited for the command: %v", err)
		}
		o.wantCode(t, "the run after that whose controller was killed", exitOK)
		if o.status["node1: long command"] != "ok" || !strings.Contains(o.text, "has ended with exit code 0") {
			t.Errorf("the long command is %q:\n%s", o.status["node1: long command"], o.text)
		}
		wantEnd("its controller was killed")

		// systemctl stop ends the command, which counts as a failure.
		go func() {
			_, err := node.Exec(t.Context(), "sh", "-euc", begun+"systemctl stop 'hlplay-*'")
			ended <- err
		}()
		o = r.run(t, "long.hcl")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		o.wantCode(t, "a run whose command was stopped", exitFailed)
		if failures := o.failures(); !strings.Contains(failures, "the command was stopped on the host") {
			t.Errorf("it is not said that somebody has stopped it:\n%s", failures)
		}
		shell(t, node, "rm /srv/long /srv/after; touch /srv/go; rm /srv/go")
	}
}
