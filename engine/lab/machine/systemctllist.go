package machine

import (
	"path"
	"slices"
	"strings"
)

// unitFileEntry is a line of systemctl list-unit-files.
type unitFileEntry struct{ name, state, preset string }

// unitFileList prints the unit files that match, sorted by type and name. Instances are not listed: only their template
// has a file.
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

// templateOf returns the template of an instance: "a@.service" for "a@b.service".
func templateOf(name string) (template string, instance bool) {
	before, after, ok := strings.Cut(name, "@")
	if !ok || strings.HasPrefix(after, ".") {
		return "", false
	}
	return before + "@" + path.Ext(name), true
}
