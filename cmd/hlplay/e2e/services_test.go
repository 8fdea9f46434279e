//go:build linux && e2e

package e2e

import (
	"strings"
	"testing"

	"hlplay/engine/lab/nspawn"
)

// busy is a program that uses a processor until some hundredths of a second have passed, and then fails.
const busy = `use POSIX; open(my $begun, '>', '/run/begun') or die; my $until = (POSIX::times())[0] + shift; 1 while (POSIX::times())[0] < $until; exit 1`

// TestServices starts units that end although systemd considers them started, and one that does not.
//
// A busy machine changes nothing. When systemctl returns, the unit has begun (ExecStartPost), so that its time runs, and then it
// waits for nothing but a processor, for which it is watched longer. If it ends even before, systemctl fails.
func TestServices(t *testing.T) { onBothReleases(t, testServices) }

func testServices(t *testing.T, suite string) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1"}, Suite: suite})
	node := n.List[0]
	r := newRunner(t, n, nspawn.Root)
	shell(t, node, "cat >/usr/local/bin/busy <<'END'\n#!/usr/bin/perl\n"+busy+"\nEND\nchmod +x /usr/local/bin/busy")
	const begun = "ExecStartPost=/bin/sh -c 'until [ -e /run/begun ]; do sleep 0.02; done'"
	for _, test := range []struct {
		name, command, post string
		ends                bool
	}{
		{"ends-at-once", "/bin/false", "", true},
		{"ends-after-waiting", "/bin/sh -c ': >/run/begun; sleep 0.5; exit 1'", begun, true},
		{"busy-and-ends", "/usr/local/bin/busy 60", begun, true},
		{"long-busy-and-ends", "/usr/local/bin/busy 150", begun, true},
		{"keeps-running", "/bin/sh -c ': >/run/begun; exec sleep infinity'", begun, false},
	} {
		shell(t, node, "rm -f /run/begun; cat >/etc/systemd/system/"+test.name+".service <<'END'\n[Service]\nExecStart="+test.command+"\n"+test.post+"\nEND")
		r.vars = []string{"unit=" + test.name}
		o := r.run(t, "services.hcl")
		if !test.ends {
			o.wantCode(t, test.name, exitOK)
			wantOn(t, node, "systemctl is-active "+test.name, "active")
			continue
		}
		o.wantCode(t, test.name, exitFailed)
		if failures := o.failures(); !strings.Contains(failures, "systemctl start "+test.name+".service: ") {
			t.Errorf("%s: it is not said that the unit has ended:\n%s", test.name, failures)
		} else {
			t.Log(failures)
		}
	}
}
