package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// process is hlplay in a separate process, running a task that does not end by itself.
type process struct {
	*exec.Cmd
	stderr *bufio.Reader
	dir    string
	ends   *os.File // closing it ends the task's command
}

// startRun runs a playbook on the controller itself. It returns when the playbook's command is running.
func startRun(t *testing.T, stdout *os.File) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "hlplay")); err != nil { // TestMain checks the program's name
		t.Fatal(err)
	}
	ready, begun, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	held, ends, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	t.Cleanup(func() { ends.Close() })
	for name, text := range map[string]string{
		"hosts.hcl": "host \"here\" {\n  address = \"127.0.0.1\"\n  connection = \"local\"\n}\n",
		"play.hcl": `play "p" {
  hosts = "all"
  task "long" {
    command {
      argv   = ["sh", "-c", "echo >&5; exec 5>&-; exec cat <&4"]
      always = true
    }
  }
  task "never reached" {
    command {
      argv   = ["touch", "` + dir + `/reached"]
      always = true
    }
  }
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "hlplay"), "run", "play.hcl", "-i", "hosts.hcl", "--output", "plain")
	cmd.Dir, cmd.Stdout = dir, stdout
	cmd.ExtraFiles = []*os.File{nil, held, begun} // 4 and 5: the acting shell's hand has another use for 3
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	begun.Close()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		said, _ := io.ReadAll(stderr)
		t.Fatalf("the run did not come to its command (%v): %s", err, said)
	}
	return &process{cmd, bufio.NewReader(stderr), dir, ends}
}

// until reads the process's output until a text appears.
func (p *process) until(t *testing.T, text string) string {
	t.Helper()
	var said strings.Builder
	for !strings.Contains(said.String(), text) {
		line, err := p.stderr.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it said %q, want %q in it (%v)", said.String(), text, err)
		}
	}
	return said.String()
}

// ended returns the exit code of the process and the rest of its output.
func (p *process) ended(t *testing.T) (code int, said string) {
	t.Helper()
	rest, err := io.ReadAll(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), string(rest)
}

// Every signal that asks a program to end makes the run clean up: the current command is ended, nothing more is
// started, and the report is complete.
func TestSignalsInterruptARun(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			p := startRun(t, out)
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			p.until(t, unix.SignalName(signal)+": nothing more is started; running, and asked to end:\n  here: ")
			if code, said := p.ended(t); code != exitInterrupted {
				t.Errorf("exit code %d (%s), want %d", code, said, exitInterrupted)
			}
			if _, err := os.Stat(filepath.Join(p.dir, "reached")); err == nil {
				t.Error("a task was begun behind the one that was interrupted")
			}
			text, err := os.ReadFile(out.Name())
			if err != nil || !bytes.Contains(text, []byte("Interrupted")) || !bytes.Contains(text, []byte("nothing more was started")) {
				t.Errorf("the report does not say that the run was interrupted, and what that means (%v):\n%s", err, text)
			}
		})
	}
}

// A second Ctrl-C ends the program whatever it is waiting for, here for a reader of its report. A signal that does not
// come from an impatient user does not.
func TestSignalsSecondInterrupt(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := startRun(t, w)
	// From now on, writes to the pipe block.
	full := int(w.Fd())
	if err := syscall.SetNonblock(full, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4 << 10, 1} {
		for chunk := make([]byte, size); err == nil; {
			_, err = syscall.Write(full, chunk)
		}
		err = nil
	}
	if err := syscall.SetNonblock(full, false); err != nil {
		t.Fatal(err)
	}
	send := func(signal syscall.Signal) {
		t.Helper()
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGTERM)
	p.until(t, "SIGTERM: nothing more is started")
	send(syscall.SIGTERM)
	send(syscall.SIGHUP)
	send(syscall.SIGINT)
	p.until(t, "stopped at once by SIGINT")
	if code, _ := p.ended(t); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

// A run whose output is no longer read is interrupted, not killed in the middle of a task.
func TestSignalsClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startRun(t, w)
	w.Close()
	r.Close()
	p.ends.Close() // it has output to write
	p.until(t, "the run was stopped: its output is no longer read")
	if code, said := p.ended(t); code != exitInterrupted {
		t.Errorf("exit code %d (%s), want %d", code, said, exitInterrupted)
	}
}

// Commands that only read hosts end as interrupted too, and do not report hosts as unreachable or unfit that nobody has asked.
func TestSignalsInterruptReading(t *testing.T) {
	for _, args := range [][]string{
		{"facts", "all"}, {"status", "all"}, {"prove", "all"}, {"preflight", "play.hcl"}, {"verify", "play.hcl"},
		{"console", "h", "facts.memory"}, {"do", "all", "--", "true"},
	} {
		t.Run(args[0], func(t *testing.T) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			dir := t.TempDir()
			port := silent.Addr().(*net.TCPAddr).Port
			for name, text := range map[string]string{
				"hosts.hcl": fmt.Sprintf("host \"h\" {\n  address = \"127.0.0.1\"\n  port = %d\n}\n", port),
				"play.hcl":  "play \"p\" {\n  hosts = \"all\"\n}\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(os.Args[0], filepath.Join(dir, "hlplay")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "hlplay"), slices.Insert(slices.Clone(args), 2, "-i", "hosts.hcl")...)
			cmd.Dir = dir
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			ended := make(chan error, 1)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				ended <- cmd.Wait()
				silent.Close()
			}()
			conn, err := silent.Accept()
			if err != nil {
				t.Fatalf("it does not connect: %s", &said)
			}
			defer conn.Close()
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			<-ended
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
				t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, &said)
			}
		})
	}
}
