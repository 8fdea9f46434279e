package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
)

const longCommandPlay = `play "p" {
  hosts = "all"
  task "takes its time" {
    command {
      shell   = "echo begun >>/srv/begun; until [ -e /srv/go ]; do sleep 1; done; echo ended >>/srv/begun"
      limit   = "1000h"
      creates = "/srv/go"
    }
  }
  task "never reached" {
    file {
      path    = "/srv/reached"
      content = "a"
    }
  }
}
`

// display is what a terminal shows.
type display struct {
	mu   sync.Mutex
	more sync.Cond
	text strings.Builder
	over bool
}

// watch reads what is written to a terminal until it is closed.
func watch(keyboard *os.File) *display {
	d := &display{}
	d.more.L = &d.mu
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buffer)
			d.mu.Lock()
			d.text.Write(bytes.ReplaceAll(buffer[:n], []byte("\r"), nil))
			d.over = err != nil
			d.more.Broadcast()
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return d
}

// until waits until a text has been shown a number of times, or the output ends, and returns what was shown.
func (d *display) until(t *testing.T, text string, times int) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for strings.Count(d.text.String(), text) < times && !d.over {
		d.more.Wait()
	}
	if text != "" && strings.Count(d.text.String(), text) < times {
		t.Fatalf("the terminal does not show %q %d times:\n%s", text, times, d.text.String())
	}
	return d.text.String()
}

// After Ctrl-C during a long command, the user at the terminal is asked once whether to wait for the command, stop it
// or leave it running. A second Ctrl-C ends the program at once. Whatever the answer, nothing more is started.
func TestCtrlCUnderALongCommand(t *testing.T) {
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts.hcl")
	for name, text := range map[string]string{
		hosts: "host \"wait\" {\n  address = \"192.168.1.11\"\n}\nhost \"stop\" {\n  address = \"192.168.1.12\"\n}\n" +
			"host \"leave\" {\n  address = \"192.168.1.13\"\n}\nhost \"again\" {\n  address = \"192.168.1.14\"\n}\n",
		filepath.Join(dir, "play.hcl"): longCommandPlay,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inv, diags := inventory.Load(hosts)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	stage, err := lab.Start(t.Context(), inv, lab.Options{Dir: filepath.Join(dir, "lab"), Speed: labSpeed})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	program := filepath.Join(dir, "hlplay")
	if err := os.Symlink(os.Args[0], program); err != nil { // TestMain checks the program's name
		t.Fatal(err)
	}
	const ended, stopped = "begun ended", "begun"
	for _, c := range []struct {
		host   string
		answer func(keyboard *os.File, d *display)
		lasts  bool // it is still running when the run has ended
		want   []string
		effect string
	}{
		{"wait", func(keyboard *os.File, d *display) {
			keyboard.WriteString("what?\n")
			d.until(t, question, 2)
			keyboard.WriteString("W\n")
		}, true, []string{"Interrupted"}, ended},
		{"stop", func(keyboard *os.File, _ *display) { keyboard.WriteString("stop\n") }, false, []string{"Interrupted"}, stopped},
		{"leave", func(keyboard *os.File, _ *display) { keyboard.WriteString("l\n") }, true,
			[]string{"Interrupted", "the command was left running there", "the next run waits for its end"}, ended},
		{"again", func(keyboard *os.File, _ *display) { keyboard.WriteString("\x03") }, true,
			[]string{"stopped at once by SIGINT; this is left running, and the next run waits for it:\n  again: "}, ended},
	} {
		t.Run(c.host, func(t *testing.T) {
			console := func(script string) string {
				t.Helper()
				var out bytes.Buffer
				if code := stage.Machine(c.host).Console(t.Context(), &out, &out, "sh", "-c", script); code != 0 {
					t.Fatalf("%s: exit code %d: %s", script, code, out.String())
				}
				return strings.Join(strings.Fields(out.String()), " ")
			}
			keyboard, tty := terminal(t)
			cmd := exec.CommandContext(t.Context(), program, "run", "play.hcl", "-i", "lab/inventory", "--limit", c.host, "--output", "plain")
			cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, tty, tty, tty
			cmd.Env = append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK=")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			d := watch(keyboard)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tty.Close()
			console("until [ -e /srv/begun ]; do sleep 1; done")
			keyboard.WriteString("\x03")
			said := d.until(t, question, 1)
			if want := "SIGINT: nothing more is started; long commands are running:\n  " + c.host + ": run echo begun"; !strings.Contains(said, want) {
				t.Errorf("it is not said what is under way:\n%s", said)
			}
			c.answer(keyboard, d)
			if c.host == "wait" {
				console("touch /srv/go")
			}
			_ = cmd.Wait() // the exit code says all
			said = d.until(t, "", 1<<20)
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
				t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, said)
			}
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not said:\n%s", want, said)
				}
			}
			if c.lasts {
				console("touch /srv/go; until grep -q ended /srv/begun; do sleep 1; done")
			} else {
				console(`until [ -z "$(ls /var/lib/hlplay/running)" ]; do sleep 1; done`)
			}
			if got := console("cat /srv/begun"); got != c.effect {
				t.Errorf("the command has done %q, want %q", got, c.effect)
			}
			if got := console("[ ! -e /srv/reached ] || echo reached"); got != "" {
				t.Error("a task was begun behind the one that was interrupted")
			}
		})
	}
}
