//go:build linux

package nspawn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prefix is the prefix of the names of temporary directories and cgroups.
const prefix = "hlplay-nodes-"

// reap waits until its standard input is closed. It then kills the processes in the cgroups named like the directory,
// in the hierarchies ($2 …), and removes the cgroups and the directory ($1). systemd-nspawn dies with its parent, but
// its container survives. As processes take time to die, the script tries for ten seconds in each hierarchy.
const reap = `cat >/dev/null
dir=$1; shift
for hierarchy; do
	group=$hierarchy/${dir##*/}
	tries=100
	while [ -e "$group" ] && [ "$tries" -gt 0 ]; do
		find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -KILL 2>/dev/null
		find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
		[ ! -e "$group" ] || sleep 0.1
		tries=$((tries - 1))
	done
done
rm -rf --one-file-system -- "$dir"`

// reaper removes what the kernel leaves behind when this process ends.
type reaper struct {
	dir  string   // the temporary directory
	lock *os.File // held while this process is running
	life io.Closer
	cmd  *exec.Cmd
	// hierarchies are the directories, one per mounted hierarchy, in which cgroups are created.
	hierarchies []string
}

func newReaper() (*reaper, error) {
	r := &reaper{}
	var err error
	if r.hierarchies, err = cgroupHierarchies(); err != nil {
		return nil, err
	}
	if err := r.removeStale(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", prefix); err != nil {
		return nil, err
	}
	if r.lock, err = lockDir(r.dir); err != nil {
		return nil, err
	}
	r.cmd = r.command(r.dir)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C must not end it before it has cleaned up
	if r.life, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the process that clears up: %w", err), os.RemoveAll(r.dir))
	}
	return r, nil
}

func (r *reaper) command(dir string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{"-c", reap, "sh", dir}, r.hierarchies...)...)
	cmd.Dir = "/"
	return cmd
}

// lockDir locks a directory to mark it as in use. It fails if the directory is already locked.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use: %w", dir, err)
	}
	return lock, nil
}

// removeStale cleans up after runs that were killed together with their reaper.
func (r *reaper) removeStale() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		if err != nil { // in use, or being removed
			continue
		}
		err = r.command(dir).Run()
		lock.Close()
		if err != nil {
			return fmt.Errorf("clear up %s, which an earlier run left: %w", dir, err)
		}
	}
	return nil
}

// finish lets the reaper clean up and waits for it.
func (r *reaper) finish() error {
	r.life.Close()
	err := r.cmd.Wait()
	r.lock.Close()
	if err != nil {
		return fmt.Errorf("clear up %s: %w", r.dir, err)
	}
	return nil
}

// cgroups creates a cgroup for a node in each hierarchy.
func (r *reaper) cgroups(node string) ([]string, error) {
	var made []string
	for _, h := range r.hierarchies {
		for _, dir := range []string{filepath.Join(h, filepath.Base(r.dir)), filepath.Join(h, filepath.Base(r.dir), node)} {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return nil, fmt.Errorf("cgroup of node %s: %w", node, err)
			}
			// In cgroups v1, no process can join a cgroup before its cpus and mems are set.
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				inherit(filepath.Join(filepath.Dir(dir), name), filepath.Join(dir, name))
			}
		}
		made = append(made, filepath.Join(h, filepath.Base(r.dir), node))
	}
	return made, nil
}

// inherit copies a setting from one cgroup to another if both have it and the new one is empty. Errors are ignored:
// joining the cgroup fails with the reason.
func inherit(from, to string) {
	value, err := os.ReadFile(from)
	if err != nil || len(strings.TrimSpace(string(value))) == 0 {
		return
	}
	if now, err := os.ReadFile(to); err == nil && strings.TrimSpace(string(now)) == "" {
		os.WriteFile(to, value, 0o644)
	}
}

// cgroupHierarchies returns, for each mounted cgroup hierarchy, the directory of this process's own cgroup
// (cgroups(7)).
func cgroupHierarchies() ([]string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cgroups of this process: %w", err)
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(own)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			paths[f[1]] = f[2]
		}
	}
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	var hierarchies []string
	second := false
	scan := bufio.NewScanner(mounts)
	for scan.Scan() {
		f := strings.Fields(scan.Text())
		if len(f) < 4 || f[2] != "cgroup" && f[2] != "cgroup2" {
			continue
		}
		second = second || f[2] == "cgroup2"
		dir := f[1]
		for controllers, path := range paths {
			if (controllers == "") == (f[2] == "cgroup2") && named(f[3], controllers) {
				if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
					dir = filepath.Join(dir, path)
				}
				break
			}
		}
		hierarchies = append(hierarchies, dir)
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if !second {
		return nil, errors.New("the second version of cgroups is not mounted, which systemd on the nodes needs: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
	}
	return hierarchies, nil
}

// named reports whether the mount options name all controllers of a hierarchy.
func named(options, controllers string) bool {
	all := "," + options + ","
	for c := range strings.SplitSeq(controllers, ",") {
		if c != "" && !strings.Contains(all, ","+c+",") {
			return false
		}
	}
	return true
}
