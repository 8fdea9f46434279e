package machine

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// Units are a machine's systemd units. A name without a suffix refers to a service.
type Units struct {
	m      *Machine
	mu     sync.Mutex
	states map[string]*unitState
	order  []string
	// templates create the units of templates that do more than the lab can tell from their files, such as
	// wg-quick@.service.
	templates map[string]func(instance string) Unit
}

// Template sets the function that creates the units of a template, whose names begin with stem and @. Its argument is
// the instance.
func (u *Units) Template(stem string, unit func(instance string) Unit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.templates[stem] = unit
}

// Add adds a unit, replacing any unit of the same name. It is started if it is Active.
func (u *Units) Add(unit Unit) {
	unit.Name = UnitName(unit.Name)
	u.mu.Lock()
	if _, ok := u.states[unit.Name]; !ok {
		u.order = append(u.order, unit.Name)
	}
	s := &unitState{unit: unit, enabled: unit.Enabled, since: u.m.clock.Now()}
	u.states[unit.Name] = s
	u.mu.Unlock()
	u.read(unit.Name)
	if unit.Active {
		_ = u.Start(unit.Name) // if it fails to start, its status says so
	}
}

// Remove stops a unit and forgets it.
func (u *Units) Remove(name string) {
	name = UnitName(name)
	_ = u.Stop(name)
	u.forget(name)
}

// unitDirs are the directories of unit files.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"}

// find returns the state of a unit, adding it if a unit file declares it.
func (u *Units) find(name string) *unitState {
	name = UnitName(name)
	u.unload(name)
	u.mu.Lock()
	s := u.states[name]
	u.mu.Unlock()
	if s != nil {
		return s
	}
	candidates := []string{name}
	if stem, rest, ok := strings.Cut(name, "@"); ok && rest != "" {
		candidates = append(candidates, stem+"@"+path.Ext(name))
	}
	for _, file := range candidates {
		for _, dir := range unitDirs {
			content, err := afero.ReadFile(u.m.FS(), path.Join(dir, file))
			if err != nil {
				continue
			}
			if unit := u.fromTemplate(name); unit != nil {
				u.Add(*unit)
				return u.find(name)
			}
			return u.declare(name, declared(string(content)))
		}
	}
	if script := initScript(view{m: u.m}, name); script != "" {
		return u.declare(name, declaration{kind: "forking", script: script})
	}
	return nil
}

// fromTemplate creates a unit if Template has set a function for it.
func (u *Units) fromTemplate(name string) *Unit {
	stem, instance, _ := strings.Cut(name, "@")
	u.mu.Lock()
	make := u.templates[stem]
	u.mu.Unlock()
	if make == nil || instance == "" {
		return nil
	}
	unit := make(strings.TrimSuffix(instance, path.Ext(name)))
	return &unit
}

func (u *Units) declare(name string, d declaration) *unitState {
	u.Add(Unit{Name: name, Static: !d.install, Start: d.start})
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.states[name]
	s.file, s.declared = d, true
	return s
}

// Get returns the status of a unit, and whether it exists.
func (u *Units) Get(name string) (UnitStatus, bool) {
	s := u.find(name)
	if s == nil {
		return UnitStatus{Name: UnitName(name), LoadState: "not-found", ActiveState: "inactive", SubState: "dead", Result: "success"}, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return s.status(), true
}

// List returns the status of all units, sorted by name.
func (u *Units) List() []UnitStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []UnitStatus
	for _, s := range u.states {
		all = append(all, s.status())
	}
	slices.SortFunc(all, func(a, b UnitStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Failed returns the names of the failed units.
func (u *Units) Failed() []string {
	var names []string
	for _, s := range u.List() {
		if s.ActiveState == "failed" {
			names = append(names, s.Name)
		}
	}
	return names
}

// Active reports whether a unit is active.
func (u *Units) Active(name string) bool {
	s, _ := u.Get(name)
	return s.ActiveState == "active"
}

// Enabled reports whether a unit starts at boot.
func (u *Units) Enabled(name string) bool {
	s, _ := u.Get(name)
	return s.UnitFileState == "enabled"
}

// Start starts a unit unless it is active.
func (u *Units) Start(name string) error {
	s := u.find(name)
	if s == nil {
		return &NotFoundError{UnitName(name)}
	}
	u.mu.Lock()
	if s.masked || s.maskedRuntime {
		u.mu.Unlock()
		return saying("Unit %s is masked.", s.unit.Name)
	}
	if s.active {
		u.mu.Unlock()
		return nil
	}
	start := s.unit.Start
	u.mu.Unlock()
	var err error
	if start != nil {
		err = start(u.m)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.since = u.m.clock.Now()
	if err != nil {
		s.active, s.failed, s.reason = false, true, err.Error()
		if s.file.early() {
			return nil // it counts as started before its process has done anything
		}
		return saying("Job for %s failed because the control process exited with error code.\n"+
			"See \"systemctl status %s\" and \"journalctl -xeu %s\" for details.", s.unit.Name, s.unit.Name, s.unit.Name)
	}
	s.active, s.failed, s.reason = !s.file.ends(), false, ""
	s.starts++
	return nil
}

// Stop stops a unit; a failed unit stays failed.
func (u *Units) Stop(name string) error {
	s := u.find(name)
	if s == nil {
		return &NotFoundError{UnitName(name)}
	}
	u.mu.Lock()
	was, stop := s.active, s.unit.Stop
	s.active = false
	if was {
		s.since = u.m.clock.Now()
	}
	u.mu.Unlock()
	if was && stop != nil {
		stop(u.m)
	}
	return nil
}

// Restart stops a unit if it is active and starts it.
func (u *Units) Restart(name string) error {
	if err := u.Stop(name); err != nil {
		return err
	}
	return u.Start(name)
}

// Reload asks an active unit to reload its configuration.
func (u *Units) Reload(name string) error {
	s, ok := u.Get(name)
	switch {
	case !ok:
		return &NotFoundError{s.Name}
	case s.ActiveState != "active":
		return saying("%s is not active, cannot reload.", s.Name)
	}
	if reload := u.find(name).unit.Reload; reload != nil {
		reload(u.m)
	}
	return nil
}

// ResetFailed makes a failed unit inactive.
func (u *Units) ResetFailed(name string) {
	if s := u.find(name); s != nil {
		u.mu.Lock()
		s.failed = false
		u.mu.Unlock()
	}
}

// Enable makes a unit start at boot.
func (u *Units) Enable(name string) error {
	return u.set(name, func(s *unitState) { s.enabled = true })
}

// Disable keeps a unit from starting at boot.
func (u *Units) Disable(name string) error {
	return u.set(name, func(s *unitState) { s.enabled = false })
}

func (u *Units) set(name string, change func(*unitState)) error {
	s := u.find(name)
	if s == nil {
		return &NotFoundError{UnitName(name)}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if (s.masked || s.maskedRuntime) && !s.unit.Static {
		enabled, briefly := s.enabled, s.enabledRuntime
		change(s)
		if s.enabled && !enabled || s.enabledRuntime && !briefly {
			s.enabled, s.enabledRuntime = enabled, briefly
			return saying("Failed to enable unit: Unit file /etc/systemd/system/%s is masked.", s.unit.Name)
		}
		return nil
	}
	change(s)
	return nil
}

// halt stops all units for a shutdown, in the reverse order of their addition.
func (u *Units) halt() {
	for i := len(u.names()) - 1; i >= 0; i-- {
		_ = u.Stop(u.names()[i]) // the only error is an unknown unit
	}
}

func (u *Units) boot() {
	root := view{m: u.m}
	wanted, _ := afero.Glob(root, "/etc/systemd/system/*.wants/*")
	for _, link := range wanted { // a unit that was enabled without systemctl(1)
		if s := u.find(path.Base(link)); s != nil {
			u.mu.Lock()
			s.enabled = true
			u.mu.Unlock()
		}
	}
	for _, name := range u.names() {
		u.mu.Lock()
		s := u.states[name]
		s.failed, s.enabledRuntime, s.maskedRuntime = false, false, false
		wanted := s.enabled && !s.masked || s.unit.Static && s.unit.Active
		script := s.file.script
		u.mu.Unlock()
		wanted = wanted || script != "" && initScriptEnabled(view{m: u.m}, script)
		if wanted {
			_ = u.Start(name) // if it fails to start, its status says so
		}
	}
}

func (u *Units) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.order...)
}

// fragment returns the path of a unit's file, or "".
func (u *Units) fragment(name string) string {
	for _, dir := range unitDirs {
		p := path.Join(dir, UnitName(name))
		if info, err := u.m.FS().Stat(p); err == nil && info.Mode()&fs.ModeType == 0 {
			return p
		}
	}
	return ""
}

// lose makes all units inactive without stopping them.
func (u *Units) lose() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.states {
		s.active = false
		s.since = u.m.clock.Now()
	}
}

func (u *Units) properties(name string) ([]string, map[string]string) {
	s, known := u.Get(name)
	path := u.fragment(name)
	if path == "" && known {
		path = "/usr/lib/systemd/system/" + s.Name
	}
	pid := "0"
	if s.ActiveState == "active" && strings.HasSuffix(s.Name, ".service") {
		pid = fmt.Sprint(400 + len(s.Name)*7)
	}
	since := ""
	if s.ActiveState == "active" {
		since = stamp(s.Since)
	}
	status := "0"
	if s.Result != "success" {
		status = "1"
	}
	preset := ""
	if known {
		preset = "enabled"
	}
	order := []string{"Type", "Restart", "Result", "NRestarts", "MainPID", "ExecMainStatus", "ExecMainPID", "Id", "Names", "Description", "LoadState", "ActiveState", "SubState", "FragmentPath", "UnitFileState", "UnitFilePreset", "StateChangeTimestamp", "ActiveEnterTimestamp", "InactiveEnterTimestamp", "NeedDaemonReload", "CanStart", "CanReload", "DropInPaths", "LoadError", "SourcePath"}
	loadError := ""
	switch {
	case s.LoadState == "masked":
		loadError = "org.freedesktop.systemd1.UnitMasked \"Unit " + s.Name + " is masked.\""
	case !known:
		loadError = "org.freedesktop.systemd1.NoSuchUnit \"Unit " + s.Name + " not found.\""
	}
	stale := "no"
	if u.stale(s.Name) {
		stale = "yes"
	}
	return order, map[string]string{
		"Type": s.Type, "SourcePath": s.SourcePath, "Restart": "no", "Result": s.Result, "NRestarts": "0", "MainPID": pid, "ExecMainPID": pid, "ExecMainStatus": status, "Id": s.Name, "Names": s.Name, "Description": s.Name,
		"LoadState": s.LoadState, "ActiveState": s.ActiveState, "SubState": s.SubState, "FragmentPath": path, "UnitFileState": s.UnitFileState, "UnitFilePreset": preset,
		"StateChangeTimestamp": stamp(s.Since), "ActiveEnterTimestamp": since, "InactiveEnterTimestamp": "", "NeedDaemonReload": stale, "CanStart": map[bool]string{true: "yes", false: "no"}[known], "CanReload": "no", "DropInPaths": "", "LoadError": loadError,
	}
}

// wantedBy returns the target that pulls in a unit, from the [Install] section of its file or its template's.
func (u *Units) wantedBy(file string) string {
	data, err := afero.ReadFile(u.m.FS(), file)
	if template, _, instance := strings.Cut(file, "@"); err != nil && instance {
		data, err = afero.ReadFile(u.m.FS(), template+"@.service")
	}
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if target, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy="); ok {
				return strings.Fields(target + " multi-user.target")[0]
			}
		}
	}
	return "multi-user.target"
}

// files returns all unit files, sorted by type and name.
func (u *Units) files() []unitFileEntry {
	found := map[string]string{}
	linked := map[string]bool{}
	for _, s := range u.List() {
		if template, instance := templateOf(s.Name); instance {
			linked[template] = linked[template] || s.UnitFileState == "enabled"
		} else {
			found[s.Name] = s.UnitFileState
		}
	}
	for _, dir := range unitDirs {
		names, err := afero.ReadDir(u.m.FS(), dir)
		if err != nil {
			continue // a missing directory has no units
		}
		for _, info := range names {
			if name := info.Name(); strings.Contains(name, "@.") {
				found[name] = u.templateState(path.Join(dir, name), linked[name])
			}
		}
	}
	var all []unitFileEntry
	for name, state := range found {
		preset := "enabled"
		if state == "static" || state == "alias" || state == "generated" {
			preset = "-"
		}
		all = append(all, unitFileEntry{name, state, preset})
	}
	slices.SortFunc(all, func(a, b unitFileEntry) int {
		return cmp.Or(strings.Compare(path.Ext(a.name), path.Ext(b.name)), strings.Compare(a.name, b.name))
	})
	return all
}

// templateState returns the state of a template's file. Only instances of it can be enabled.
func (u *Units) templateState(file string, linked bool) string {
	data, err := afero.ReadFile(u.m.FS(), file)
	switch {
	case err != nil || !strings.Contains(string(data), "[Install]"):
		return "static"
	case linked:
		return "indirect"
	}
	return "disabled"
}
