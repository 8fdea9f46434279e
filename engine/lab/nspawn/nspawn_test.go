//go:build linux && e2e

package nspawn

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNodes boots nodes, exercises everything that tests use, and checks that nothing is left behind.
func TestNodes(t *testing.T) {
	ctx := t.Context()
	n, err := Start(ctx, Options{Names: []string{"left", "right"}, Disks: []int64{1 << 20}, Shared: "/srv/shared", Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		for _, h := range n.reaper.hierarchies {
			if exists(filepath.Join(h, filepath.Base(n.Dir))) {
				t.Errorf("cgroup %s/%s is left behind", h, filepath.Base(n.Dir))
			}
		}
		if exists(n.Dir) {
			t.Errorf("%s is left behind", n.Dir)
		}
		for _, node := range n.List {
			for _, disk := range node.Disks() {
				if inUse(disk) {
					t.Errorf("%s is still in use", disk)
				}
			}
		}
	})
	left := n.Node("left")
	state, err := left.Exec(ctx, "systemctl", "is-system-running", "--wait")
	if strings.TrimSpace(state) != "running" {
		failed, _ := left.Exec(ctx, "systemctl", "--failed", "--no-legend", "--plain")
		t.Errorf("systemd says %q (%v), expected running; failed units:\n%s", strings.TrimSpace(state), err, failed)
	}

	t.Run("cable", func(t *testing.T) {
		if err := left.CutLink(ctx); err != nil {
			t.Fatal(err)
		}
		if err := n.Probe(left.Address.String() + ":22"); err == nil {
			t.Error("the node can be reached although its cable is pulled")
		}
		if err := left.RestoreLink(ctx); err != nil {
			t.Fatal(err)
		}
		if err := left.WaitUp(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("shared directory", func(t *testing.T) {
		if _, err := left.Exec(ctx, "sh", "-c", "echo from left >/srv/shared/file"); err != nil {
			t.Fatal(err)
		}
		if text, err := n.Node("right").Exec(ctx, "cat", "/srv/shared/file"); text != "from left\n" {
			t.Errorf("right reads %q (%v)", text, err)
		}
	})
	const onDisk = `blockdev --getsize64 "$1"; head -c 4 "$1"`
	t.Run("disk", func(t *testing.T) {
		if _, err := left.Exec(ctx, "sh", "-ec", `printf left >"$1"; sync; chown daemon "$1"`, "sh", left.Disks()[0]); err != nil {
			t.Fatal(err)
		}
		if text, err := left.Exec(ctx, "sh", "-c", onDisk, "sh", left.Disks()[0]); text != "1048576\nleft" {
			t.Errorf("the disk has %q (%v), expected its size and what was written", text, err)
		}
		if info, err := os.Stat(left.Disks()[0]); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("the node has changed the owner of the host's %s (%v)", left.Disks()[0], err)
		}
	})
	t.Run("stopped program", func(t *testing.T) {
		if text, err := left.Exec(ctx, "sh", "-c", "(until grep -q ^State:.T /proc/$$/status; do :; done; kill -CONT $$) & kill -STOP $$; wait; echo goes on"); text != "goes on\n" {
			t.Errorf("it prints %q (%v)", text, err)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		before, err := left.BootID(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := left.Exec(ctx, "systemctl", "reboot"); err != nil {
			t.Fatal(err)
		}
		if err := left.WaitBoot(ctx, before); err != nil {
			t.Fatal(err)
		}
		if text, err := left.Exec(ctx, "sh", "-c", onDisk+"; cat /srv/shared/file", "sh", left.Disks()[0]); text != "1048576\nleftfrom left\n" {
			t.Errorf("after the reboot disk and shared directory have %q (%v)", text, err)
		}
	})
}

// inUse reports whether a loop device is attached.
func inUse(loop string) bool {
	return exists(filepath.Join("/sys/block", filepath.Base(loop), "loop/backing_file"))
}

// victim is the environment variable that tells TestKilled that it runs in the process to be killed.
const victim = "HLPLAY_NSPAWN_VICTIM"

// TestKilled ends a process that has nodes in ways that leave it no chance to clean up.
func TestKilled(t *testing.T) {
	if os.Getenv(victim) != "" {
		n, err := Start(t.Context(), Options{Names: []string{"victim"}, Disks: []int64{1 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("victim %s %s\n", n.Dir, n.List[0].Disks()[0])
		select {}
	}
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			cmd.Env = append(os.Environ(), victim+"=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var dir, disk string
			if _, err := fmt.Fscanf(out, "victim %s %s\n", &dir, &disk); err != nil {
				t.Fatalf("it has not started its nodes: %v", err)
			}
			cmd.Process.Signal(signal)
			cmd.Wait() // a signal is expected to end it
			left := []string{dir}
			for _, h := range hierarchies {
				left = append(left, filepath.Join(h, filepath.Base(dir)))
			}
			// The reaper is working; it removes the directory last.
			bounded, cancel := context.WithTimeout(t.Context(), bootLimit)
			defer cancel()
			for exists(dir) && bounded.Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
			for _, name := range left {
				if exists(name) {
					t.Errorf("%s is left behind", name)
				}
			}
			if inUse(disk) {
				t.Errorf("%s is still in use", disk)
			}
		})
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func TestCheckNames(t *testing.T) {
	for _, names := range [][]string{{"UPPER"}, {"thirteen-long"}, {"-a"}, {"a", "a"}, {""}} {
		if _, err := Start(context.Background(), Options{Names: names}); err == nil {
			t.Errorf("names %q are accepted", names)
		}
	}
}
