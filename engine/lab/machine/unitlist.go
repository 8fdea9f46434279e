package machine

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// unitFileEntry is a line of systemctl list-unit-files.
type unitFileEntry struct{ name, state, preset string }

// unitFileList prints the unit files whose names match, by type and name; an instance has no file of its own, its template has.
func (c *Call) unitFileList(patterns, kinds []string, state string, legend bool) int {
	var entries []unitFileEntry
	for _, e := range c.Machine.units.files() {
		kind := strings.TrimPrefix(path.Ext(e.name), ".")
		wanted := len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
			ok, err := path.Match(p, e.name)
			return err == nil && ok || UnitName(p) == e.name
		})
		if wanted && (kinds[0] == "" || slices.Contains(kinds, kind)) && (state == "" || state == e.state) {
			entries = append(entries, e)
		}
	}
	width, stateWidth := 0, 0
	for _, e := range entries {
		width, stateWidth = max(width, len(e.name)), max(stateWidth, len(e.state))
	}
	if legend {
		c.printf("%-*s %-*s PRESET\n", width, "UNIT FILE", stateWidth, "STATE")
	}
	for _, e := range entries {
		c.printf("%-*s %-*s %s\n", width, e.name, stateWidth, e.state, e.preset)
	}
	if legend {
		c.printf("\n%d unit files listed.\n", len(entries))
	}
	return 0
}

// files are all unit files, by type and name.
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
			continue // a directory that is not there holds no units
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

// templateOf is the template of an instance: "a@b.service" comes from "a@.service".
func templateOf(name string) (template string, instance bool) {
	before, after, ok := strings.Cut(name, "@")
	if !ok || strings.HasPrefix(after, ".") {
		return "", false
	}
	return before + "@" + path.Ext(name), true
}

// templateState is the state of a template's file: what is enabled of it are its instances.
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
