//go:build linux && e2e

package e2e

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// fault is a fault to inject into a run.
type fault struct {
	*testing.T
	campaign   *campaign
	random     *rand.Rand
	node       *nspawn.Node
	generation string
	process    *os.Process   // the program's process
	over       chan struct{} // closed when the run has ended
	healed     chan struct{} // closed when everything works again
	struck     bool          // the run was still in progress when the fault was injected
	mayFail    bool          // the fault may have made a long command fail
}

// faultKind is a kind of fault. strike injects it and repairs the damage, before or after the end of the run.
type faultKind struct {
	name   string
	strike func(*fault)
}

var faultKinds = []faultKind{
	{"kill -9", func(f *fault) { f.signal(syscall.SIGKILL) }},
	{"INT", func(f *fault) {
		f.mayFail = f.campaign.choice == "s"
		f.signal(syscall.SIGINT)
	}},
	{"TERM", func(f *fault) { f.signal(syscall.SIGTERM) }},
	{"HUP", func(f *fault) { f.signal(syscall.SIGHUP) }},
	{"STOP, CONT", func(f *fault) {
		f.signal(syscall.SIGSTOP)
		f.pause()
		f.signal(syscall.SIGCONT)
	}},
	{"link cut and healed", func(f *fault) {
		f.must(f.node.CutLink(context.Background()))
		f.pause()
		f.must(f.node.RestoreLink(context.Background()))
	}},
	{"sshd killed", func(f *fault) { f.shell("pkill -KILL sshd; systemctl restart ssh") }},
	{"shells of the run killed", func(f *fault) {
		f.shell(`for p in $(pgrep -x sh); do
	case $(ps -o comm= -p "$(ps -o ppid= -p "$p")") in sshd*|sudo|bash) kill -KILL "$p" ;; esac
done
true`) // one of them may have ended meanwhile
	}},
	{"disk full", func(f *fault) {
		f.mayFail = true
		f.shell("dd if=/dev/zero of=/srv/faults/.fill bs=64k 2>/dev/null || :")
		f.pause()
		f.shell("rm -f /srv/faults/.fill")
	}},
	{"read-only", func(f *fault) {
		f.mayFail = true
		f.shell("timeout 60 sh -c 'until mount -o remount,ro /srv/faults 2>/dev/null; do sleep 0.05; done'")
		f.pause()
		f.shell("mount -o remount,rw /srv/faults")
	}},
	{"reboot", func(f *fault) {
		before, err := f.node.BootID(context.Background())
		f.must(err)
		f.mayFail = true
		_, _ = f.node.Exec(context.Background(), "systemctl", "--no-block", "reboot") // which may end this command as well
		f.must(f.node.WaitBoot(context.Background(), before))
	}},
	{"lock of dpkg held", func(f *fault) {
		f.shell(`perl -e 'use Fcntl; open F, ">>", "/var/lib/dpkg/lock-frontend" or die; my $lock = pack("ssx4qqlx4", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLKW, $lock) or die; sleep 2'`)
	}},
	{"an administrator edits", func(f *fault) {
		mark := "by-hand-" + f.generation
		f.shell("echo " + mark + " >>/srv/faults/shared")
		f.campaign.known[f.node] += " " + mark
	}},
	{"two operators", func(f *fault) {
		other := *f.campaign.runner
		other.started = nil
		mark := "by-another-" + f.generation
		if o := other.run(f.T, "operator.hcl", "-e", "mark="+mark, "--wait=10m"); o.code != exitOK {
			f.Errorf("the second operator's run ended with exit code %d:\n%s", o.code, o.failures())
		}
		for _, node := range f.campaign.nodes {
			f.campaign.known[node] += " " + mark
		}
	}},
	{"clock", func(f *fault) {
		days := []string{"+400d", "-400d"}[f.random.IntN(2)]
		f.shell("echo " + days + " >/etc/faketimerc; ls /usr/lib/*/faketime/libfaketime.so.1 >/etc/ld.so.preload")
		f.pause()
		f.shell("rm /etc/ld.so.preload /etc/faketimerc")
	}},
}

// wait waits until the time of the fault. It returns false if the run has ended before.
func (f *fault) wait(moment time.Duration) bool {
	select {
	case <-time.After(moment):
		return true
	case <-f.over:
		return false
	}
}

// pause waits for the duration of the fault, at most until the run has ended.
func (f *fault) pause() {
	select {
	case <-time.After(time.Duration(f.random.IntN(3000)) * time.Millisecond):
	case <-f.over:
	}
}

func (f *fault) signal(s os.Signal) { _ = f.process.Signal(s) } // it may have ended

// shell runs a script on the node. A fault that cannot be injected or repaired fails the campaign.
func (f *fault) shell(script string) {
	if _, err := f.node.Exec(context.Background(), "sh", "-c", script); err != nil {
		f.Errorf("%s: %s: %v", f.node.Name, script, err)
	}
}

func (f *fault) must(err error) {
	if err != nil {
		f.Error(err)
	}
}

// searched returns the files below a directory that contain a text.
func searched(dir, text string) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), text) {
			found = append(found, path)
		}
		return err
	})
	return found, err
}
