package machine

import (
	"path"
	"slices"

	"github.com/spf13/afero"
)

// adminUnits is where administrators keep unit files and drop-ins.
const adminUnits = "/etc/systemd/system"

// written returns what administrators have written about a unit: its file and drop-ins.
func (u *Units) written(name string) string {
	files := view{m: u.m}
	text := ""
	for _, unit := range []string{name, templateFile(name)} {
		if unit == "" {
			continue
		}
		drops, _ := afero.Glob(files, path.Join(adminUnits, unit+".d", "*.conf")) // the only error is a bad pattern
		for _, file := range append([]string{path.Join(adminUnits, unit)}, drops...) {
			if content, err := afero.ReadFile(files, file); err == nil {
				text += file + "\n" + string(content) + "\n"
			}
		}
	}
	return text
}

func templateFile(name string) string {
	template, _ := templateOf(name)
	return template
}

// read makes systemd read the unit's files.
func (u *Units) read(name string) {
	text := u.written(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.states[name]; s != nil {
		s.text = text
	}
}

// stale reports whether a unit's files have changed since systemd read them.
func (u *Units) stale(name string) bool {
	text := u.written(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.states[name]
	return s != nil && s.text != text
}

// unload forgets a unit that is defined by a file only and whose file has changed, as systemd forgets units that are
// neither running nor referred to. It is read again on the next use.
func (u *Units) unload(name string) {
	u.mu.Lock()
	s := u.states[name]
	idle := s != nil && s.declared && !s.active && !s.failed && !s.enabled && !s.masked && !s.maskedRuntime
	u.mu.Unlock()
	if idle && u.stale(name) {
		u.forget(name)
	}
}

func (u *Units) forget(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.states, name)
	u.order = slices.DeleteFunc(u.order, func(n string) bool { return n == name })
}

// reload reads all unit files again.
func (u *Units) reload() {
	for _, name := range u.names() {
		if !u.stale(name) {
			continue
		}
		u.mu.Lock()
		before := u.states[name]
		u.mu.Unlock()
		if before == nil || !before.declared {
			u.read(name)
			continue
		}
		u.forget(name)
		after := u.find(name)
		u.mu.Lock()
		if after == nil && before.active { // it keeps running without a file until it is stopped
			u.states[name], u.order = before, append(u.order, name)
		} else if after != nil {
			after.enabled, after.masked, after.enabledRuntime, after.maskedRuntime = before.enabled, before.masked, before.enabledRuntime, before.maskedRuntime
			after.active, after.failed, after.reason, after.since, after.starts = before.active, before.failed, before.reason, before.since, before.starts
		}
		u.mu.Unlock()
	}
}
