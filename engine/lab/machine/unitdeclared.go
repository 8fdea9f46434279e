package machine

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/afero"
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

// initDir is where System V init scripts lie.
const initDir = "/etc/init.d/"

// initScript is the path of the init script that a unit is generated from; empty if there is none.
func (u *Units) initScript(unit string) string {
	script := initDir + strings.TrimSuffix(unit, ".service")
	if info, err := u.m.FS().Stat(script); err != nil || info.Mode()&fs.ModeType != 0 || !strings.HasSuffix(unit, ".service") {
		return ""
	}
	return script
}

// scriptLinks are the links of an init script, by the kind of systemd-sysv-install: S of those that start it at
// boot, K of the others.
func (u *Units) scriptLinks(script, kind string) []string {
	var links []string
	for _, level := range []string{"S", "0", "1", "2", "3", "4", "5", "6"} {
		dir := "/etc/rc" + level + ".d"
		entries, err := afero.ReadDir(u.m.FS(), dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if name := e.Name(); len(name) > 3 && name[:1] == kind && name[3:] == path.Base(script) {
				links = append(links, path.Join(dir, name))
			}
		}
	}
	return links
}

func (u *Units) scriptEnabled(script string) bool {
	for _, link := range u.scriptLinks(script, "S") {
		if dir := path.Dir(link); dir == "/etc/rcS.d" || dir == "/etc/rc5.d" {
			return true
		}
	}
	return false
}

// enableScript is update-rc.d NAME enable, or disable: the script stops in all runlevels, or starts in those of users.
func (u *Units) enableScript(script string, enabled bool) error {
	root := view{m: u.m}
	for _, kind := range []string{"S", "K"} {
		for _, link := range u.scriptLinks(script, kind) {
			if err := root.Remove(link); err != nil {
				return err
			}
		}
	}
	for level := '0'; level <= '6'; level++ {
		kind := "K"
		if enabled && level >= '2' && level <= '5' {
			kind = "S"
		}
		dir := fmt.Sprintf("/etc/rc%c.d", level)
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := root.SymlinkIfPossible("../init.d/"+path.Base(script), path.Join(dir, kind+"01"+path.Base(script))); err != nil {
			return err
		}
	}
	return nil
}
