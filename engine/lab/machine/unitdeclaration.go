package machine

import (
	"path"
	"strings"
)

// declaration is what a unit's file says of it, as far as the simulated systemd heeds it.
type declaration struct {
	kind    string // Type=
	exec    string // the program of ExecStart=
	remains bool   // RemainAfterExit=
	install bool   // it has an [Install] section
	script  string // it is generated from this init script
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
			if words := strings.Fields(value); len(words) > 0 {
				d.exec = strings.TrimLeft(words[0], "-@:+!")
			}
		}
	}
	return d
}

// early reports whether systemd calls a unit started before its process has done anything.
func (d declaration) early() bool {
	return d.exec != "" && (d.kind == "simple" || d.kind == "idle")
}

// ends reports whether the unit is inactive again once it was started.
func (d declaration) ends() bool { return d.kind == "oneshot" && !d.remains }

// start fails for a program that is not there, or whose only work it is to fail.
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
	return nil
}
