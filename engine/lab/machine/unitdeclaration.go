package machine

import (
	"context"
	"io"
	"path"
	"strings"

	mvsh "mvdan.cc/sh/v3/shell"
)

// declaration is the part of a unit file that the simulated systemd supports.
type declaration struct {
	kind    string // Type=
	exec    string // the program in ExecStart=
	args    []string
	remains bool   // RemainAfterExit=
	install bool   // it has an [Install] section
	script  string // the init script from which the unit is generated
}

func declared(text string) declaration {
	d := declaration{kind: "simple"}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "[Install]":
			d.install = true
		case "Type":
			d.kind = value
		case "RemainAfterExit":
			d.remains = value == "yes" || value == "true"
		case "ExecStart":
			if words := words(value); len(words) > 0 {
				d.exec, d.args = strings.TrimLeft(words[0], "-@:+!"), words[1:]
			}
		}
	}
	return d
}

// words splits a command line as systemd does, without the specifiers and variables of systemd.service(5).
func words(line string) []string {
	all, err := mvsh.Fields(line, func(string) string { return "" })
	if err != nil {
		return strings.Fields(line)
	}
	for i, word := range all {
		all[i] = strings.ReplaceAll(word, "$$", "$")
	}
	return all
}

// early reports whether systemd considers the unit started before its process has done anything.
func (d declaration) early() bool {
	return d.exec != "" && (d.kind == "simple" || d.kind == "idle")
}

// ends reports whether the unit becomes inactive after it has run.
func (d declaration) ends() bool { return d.kind == "oneshot" && !d.remains }

// start runs a oneshot unit's shell script. It fails if the program does not exist or is false(1).
func (d declaration) start(m *Machine) error {
	if d.exec == "" {
		return nil
	}
	if info, err := m.FS().Stat(d.exec); err != nil || info.IsDir() {
		return saying("Failed to locate executable %s: No such file or directory", d.exec)
	}
	if path.Base(d.exec) == "false" {
		return saying("Main process exited, code=exited, status=1/FAILURE")
	}
	if d.kind == "oneshot" && path.Base(d.exec) == "sh" { // other programs are assumed to do their work
		if code := m.Console(context.Background(), io.Discard, io.Discard, append([]string{d.exec}, d.args...)...); code != 0 {
			return saying("Main process exited, code=exited, status=%d/FAILURE", code)
		}
	}
	return nil
}
