//go:build linux && peers

package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/nspawn"
)

// usage is what a command and all of its descendants used.
type usage struct {
	Wall, User, System time.Duration
	// Largest is the peak resident size of a single process. Together is the peak of all processes, counting shared
	// memory once (proportional set size, sampled at increasing intervals up to half a second). Both are in bytes.
	Largest, Together int64
	Exit              int
}

func (u usage) CPU() time.Duration { return u.User + u.System }

// measured runs a command in the nodes' network under a process that measures all of its descendants. These include
// ssh's masters, which outlive the command until they are ended along with it.
func measured(n *nspawn.Nodes, dir string, env []string, argv ...string) (usage, string, error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, "", err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return usage{}, "", err
	}
	defer read.Close()
	cmd := exec.Command(self, argv...)
	cmd.Dir, cmd.Env = dir, append(env, role+"=meter")
	cmd.ExtraFiles = []*os.File{write}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = n.Start(cmd)
	write.Close()
	if err != nil {
		return usage{}, "", err
	}
	var u usage
	decode := json.NewDecoder(read).Decode(&u)
	if err := errors.Join(cmd.Wait(), decode); err != nil {
		return usage{}, output.String(), fmt.Errorf("%q: %w:\n%s", argv, err, output.String())
	}
	return u, output.String(), nil
}

// report is the file descriptor to which the meter writes its results.
const report = 3

// meter runs a command and writes its usage to report.
func meter(argv []string) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt what the command leaves behind: %w", err)
	}
	syscall.CloseOnExec(report)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	began := time.Now()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, role+"=") })
	first, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return err
	}
	var u usage
	done, sampled := make(chan struct{}), make(chan int64)
	go sample(done, sampled)
	ended := false
	for {
		var status syscall.WaitStatus
		var r syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &r)
		if err == syscall.EINTR {
			continue
		}
		if err != nil { // ECHILD: there are no children left
			break
		}
		u.Largest = max(u.Largest, r.Maxrss*1024)
		if pid == first {
			u.Wall, u.Exit, ended = time.Since(began), status.ExitStatus(), true
			close(done)
			u.Together = <-sampled
		}
		if ended {
			for _, child := range children(os.Getpid()) {
				syscall.Kill(child, syscall.SIGTERM)
			}
		}
	}
	var all syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &all); err != nil {
		return err
	}
	u.User, u.System = time.Duration(all.Utime.Nano()), time.Duration(all.Stime.Nano())
	return json.NewEncoder(os.NewFile(report, "report")).Encode(u)
}

// sample samples the memory of all descendants until done, and then sends the peak.
func sample(done <-chan struct{}, most chan<- int64) {
	var peak int64
	pause := 50 * time.Millisecond
	for {
		select {
		case <-done:
			most <- peak
			return
		case <-time.After(pause):
			peak = max(peak, together(os.Getpid()))
			pause = min(2*pause, 500*time.Millisecond)
		}
	}
}

func together(pid int) (sum int64) {
	for _, child := range children(pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", child))
		if err == nil { // otherwise it has just ended
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
					kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
					sum += kilobytes * 1024
				}
			}
		}
		sum += together(child)
	}
	return sum
}

func children(pid int) (pids []int) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
