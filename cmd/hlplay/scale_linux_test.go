package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scaleTasks is the number of tasks per host.
const scaleTasks = 100

// BenchmarkHosts runs a hundred tasks that find nothing to do, on 10, 100 and 1,000 simulated nodes. The nodes and the
// controller are separate processes. It reports the controller's wall time, processor time and peak resident size, and
// the nodes' processor time, because both share the machine's processors. Use one iteration: -benchtime 1x.
func BenchmarkHosts(b *testing.B) {
	for _, hosts := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			s := startScale(b, hosts)
			var wall, cpu time.Duration
			var largest int64
			for b.Loop() {
				w, c, l := s.run(b)
				wall, cpu, largest = wall+w, cpu+c, max(largest, l)
			}
			n := time.Duration(b.N)
			b.ReportMetric(float64(hosts*scaleTasks)/(wall/n).Seconds(), "tasks/s")
			b.ReportMetric(float64((cpu/n).Microseconds())/1000/float64(hosts), "controller-ms/host")
			b.ReportMetric(float64(largest)/(1<<20), "controller-MiB")
			b.ReportMetric(float64(largest)/1024/float64(hosts), "controller-KiB/host")
			b.ReportMetric(float64((s.stop(b)/n).Microseconds())/1000/float64(hosts), "nodes-ms/host")
		})
	}
}

// scale is a process with simulated nodes, and a playbook that they satisfy.
type scale struct {
	dir   string
	hosts int
	nodes *exec.Cmd
}

func hlplayCommand(b testing.TB, args ...string) *exec.Cmd {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return &exec.Cmd{Path: self, Args: append([]string{"hlplay"}, args...), Env: append(os.Environ(), "SSH_AUTH_SOCK="), Stderr: os.Stderr}
}

func startScale(b testing.TB, hosts int) *scale {
	b.Helper()
	s := &scale{dir: b.TempDir(), hosts: hosts}
	var inventory strings.Builder
	for i := range hosts {
		fmt.Fprintf(&inventory, "host \"n%d\" {\n  user    = \"root\"\n  address = \"10.%d.%d.%d\"\n}\n", i, i/62500, i/250%250, i%250+1)
	}
	s.write(b, "hosts.hcl", inventory.String())
	s.write(b, "play.hcl", scalePlaybook())
	s.nodes = hlplayCommand(b, "lab", "-i", filepath.Join(s.dir, "hosts.hcl"), "--dir", filepath.Join(s.dir, "lab"))
	out, err := s.nodes.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.nodes.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.stop(b) })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Press") {
			return s
		}
	}
	b.Fatal("the simulated nodes do not come up")
	return nil
}

// stop ends the nodes and returns the processor time that they used.
func (s *scale) stop(b testing.TB) time.Duration {
	if s.nodes.ProcessState == nil {
		if err := s.nodes.Process.Signal(os.Interrupt); err != nil {
			b.Error(err)
		}
		_ = s.nodes.Wait() // it ends with an error because it is interrupted
	}
	return s.nodes.ProcessState.UserTime() + s.nodes.ProcessState.SystemTime()
}

func (s *scale) write(b testing.TB, name, text string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// run runs the playbook and returns what it cost.
func (s *scale) run(b *testing.B) (wall, cpu time.Duration, largest int64) {
	b.Helper()
	cmd := hlplayCommand(b, "run", filepath.Join(s.dir, "play.hcl"), "-i", filepath.Join(s.dir, "lab", "inventory"), "--output", "json")
	cmd.Dir = s.dir // the run is recorded there
	var out bytes.Buffer
	cmd.Stdout = &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended, sampled := make(chan struct{}), make(chan int64)
	go peak(cmd.Process.Pid, ended, sampled)
	err := cmd.Wait()
	wall = time.Since(began)
	close(ended)
	largest = <-sampled
	if err != nil {
		b.Fatalf("%v:\n%s", err, out.String()[max(0, out.Len()-2000):])
	}
	last := out.Bytes()[bytes.LastIndexByte(bytes.TrimSpace(out.Bytes()), '\n')+1:]
	var recap struct {
		Type  string
		Hosts map[string]struct{ OK, Changed, Failed int }
	}
	if err := json.Unmarshal(last, &recap); err != nil || recap.Type != "recap" || len(recap.Hosts) != s.hosts {
		b.Fatalf("the last line is no recap of %d hosts (%v): %.300s", s.hosts, err, last)
	}
	for name, c := range recap.Hosts {
		if c.OK != scaleTasks || c.Changed+c.Failed > 0 {
			b.Fatalf("%s: %+v, expected %d ok", name, c, scaleTasks)
		}
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), largest
}

// peak samples the peak resident size of a process, in bytes, until it has ended. wait4 never reports less than the
// size of the process that started it.
func peak(pid int, ended <-chan struct{}, sampled chan<- int64) {
	var largest int64
	for {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				var kilobytes int64
				if _, err := fmt.Sscan(value, &kilobytes); err == nil {
					largest = max(largest, kilobytes*1024)
				}
			}
		}
		select {
		case <-ended:
			sampled <- largest
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// scalePlaybook returns tasks that a fresh simulated node satisfies: files that exist and files that do not, kernel
// settings, packages, units and commands that only read.
func scalePlaybook() string {
	var b strings.Builder
	b.WriteString("play \"scale\" {\n  hosts = \"all\"\n")
	n := 0
	task := func(format string, args ...any) {
		fmt.Fprintf(&b, "  task \"t%d\" {\n    %s\n  }\n", n, fmt.Sprintf(format, args...))
		n++
	}
	for i := range 40 {
		task("file {\n      path  = \"/etc/scale/%d\"\n      state = \"absent\"\n    }", i)
	}
	for _, path := range []string{"/etc/passwd", "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/apt/sources.list.d", "/etc/os-release", "/etc/fstab", "/etc/ssh/sshd_config", "/etc/shadow", "/etc/resolv.conf"} {
		state := "present"
		if strings.HasSuffix(path, ".d") {
			state = "directory"
		}
		task("file {\n      path  = %q\n      state = %q\n    }", path, state)
	}
	for i := range 15 {
		task("command {\n      argv  = [\"sysctl\", \"-n\", \"vm.swappiness\"]\n      env   = { ROUND = \"%d\" }\n      reads = true\n    }", i)
	}
	for _, name := range []string{"openssh-server", "systemd", "dpkg", "apt", "bash", "coreutils", "procps", "iproute2", "util-linux", "sed"} {
		task("apt {\n      packages = [%q]\n    }", name)
	}
	for _, name := range []string{"ssh", "cron", "systemd-journald", "systemd-logind", "dbus"} {
		task("service {\n      name  = %q\n      state = \"started\"\n    }", name)
	}
	for n < scaleTasks {
		task("assert {\n      that = [host.name != \"round %d\"]\n    }", n)
	}
	b.WriteString("}\n")
	return b.String()
}
