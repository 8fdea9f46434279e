//go:build linux && machines

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/qemu"
)

// holding puts programs in front of those that a change of the network runs. Each waits for as long as there is a file of its name in
// /srv/at that matches its arguments, and says in /srv/at/held that it does.
const holding = `mkdir -p /srv/at; for name in systemd-run mv ifreload ping; do real=$(command -v $name); ` +
	`printf '%s\n' '#!/bin/sh' "if [ -e /srv/at/$name ]; then case \"\$*\" in ` +
	`\$(cat /srv/at/$name)) : >/srv/at/held; while [ -e /srv/at/$name ]; do sleep 1; done ;; esac; fi" "exec $real \"\$@\"" >/usr/local/sbin/$name; ` +
	`chmod 755 /usr/local/sbin/$name; done`

// TestMachineKilled kills hlplay at five points of a change of the network of a real machine, which goes on by itself each time: it has
// its former network back, or the new one that was proven. The next run says what it finds, and finishes.
func TestMachineKilled(t *testing.T) {
	ms := startMachines(t, qemu.Options{})
	m := ms.List[0]
	r := machineRunner(t, ms, nil)
	shell(t, m, holding)
	mtu := 1410
	first := r.run(t, "killed.hcl", "-e", fmt.Sprintf("mtu=%d", mtu))
	first.wantCode(t, "the first run", exitOK)
	t.Logf("first run: %s", first.summary())

	const network = `awk '/mtu/ { print $2 }' /etc/network/interfaces | sort -u; cat /sys/class/net/vmbr0/mtu /sys/class/net/eth0/mtu; basename $(readlink /sys/class/net/eth0/master)`
	is := func(mtu int) string { return fmt.Sprintf("%[1]d\n%[1]d\n%[1]d\nvmbr0", mtu) }
	for _, point := range []struct {
		name, program, arguments string
		armed                    bool // the machine waits for a proof
		kept                     bool // the change was proven
		alone                    bool // no run comes before the machine has its network back
	}{
		{name: "before the timer is started", program: "systemd-run", arguments: "*on-active*", armed: true}, // the machine goes on by itself
		{name: "before the new file is in place", program: "mv", arguments: "*hlplay-* ./interfaces", armed: true},
		{name: "during the reload", program: "ifreload", arguments: "*", armed: true, alone: true},
		{name: "before the proof", program: "ping", arguments: "*", armed: true},
		{name: "before the change is kept", program: "mv", arguments: "*.kept", kept: true},
	} {
		t.Run(point.name, func(t *testing.T) {
			before := mtu
			mtu++
			flags := []string{"-e", fmt.Sprintf("mtu=%d", mtu)}
			shell(t, m, fmt.Sprintf("echo '%s' >/srv/at/%s", point.arguments, point.program))
			running, ended := context.WithCancel(t.Context())
			r.started = func(p *os.Process) {
				if waitHeld(running, m) == nil {
					p.Kill() // it may have ended, which its exit code shows
				}
			}
			killed := r.run(t, "killed.hcl", flags...)
			ended()
			r.started = nil
			if killed.code >= 0 {
				t.Fatalf("hlplay was not killed there: it ended with %d\n%s", killed.code, killed.text)
			}
			if state := shell(t, m, "ls /var/lib/hlplay/undo"); state == "" {
				t.Error("the machine keeps no record of the change")
			}
			shell(t, m, "rm /srv/at/*")

			if point.alone {
				await(t, m, "the machine to undo the change", "ls /var/lib/hlplay/undo/*.undone/end")
				wantOn(t, m, network, is(before))
			}
			again := r.run(t, "killed.hcl", flags...)
			again.wantCode(t, "the next run", exitOK)
			if status := again.status[m.Name+": bridge"]; (status == "ok") != point.kept {
				t.Errorf("the next run finds the task %s", status)
			}
			// It may have waited for that first.
			if undone := strings.Contains(again.text, "was undone, because no run confirmed in time"); undone != point.armed {
				t.Errorf("the next run does not say what it found:\n%s", again.text)
			}
			wantOn(t, m, network, is(mtu))
			wantOn(t, m, "ls -A /var/lib/hlplay/undo; ls /etc/systemd/system/*.wants | grep hlplay; ls -A /etc/network | grep hlplay; systemctl list-units --all --plain --no-legend 'hlplay*'", "")
			t.Logf("the next run: %s", again.summary())
		})
	}
	r.run(t, "killed.hcl", "-e", fmt.Sprintf("mtu=%d", mtu)).wantUnchanged(t, "the run after all that")
}

// waitHeld waits until a program of a machine is held.
func waitHeld(ctx context.Context, m *qemu.Machine) error {
	for {
		_, err := m.Exec(ctx, "test", "-e", "/srv/at/held")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
