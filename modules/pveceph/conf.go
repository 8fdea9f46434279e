package pveceph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
)

// Conf sets settings in a section of the cluster's ceph.conf.
type Conf struct {
	Section  string            `hcl:"section,optional" default:"global" doc:"The section: global, mon, mgr, osd, mds, client, or one of a daemon, such as osd.3."`
	Settings map[string]string `hcl:"settings" doc:"Settings by name. Other settings and comments are kept."`
}

func (c *Conf) scope() modules.Scope { return modules.OncePerCluster }

var (
	confSection = pattern.New(`^(global|(mon|mgr|osd|mds|client)(\.[A-Za-z0-9_.-]+)?)$`)
	confKey     = pattern.New(`^[a-z][a-z0-9_]*$`)
)

// ofOthers lists settings that init and mon set. Changing them breaks a running cluster.
var ofOthers = []string{"fsid", "mon_host", "public_network", "cluster_network", "public_addr"}

func (c *Conf) validate() error {
	switch {
	case !confSection.MatchString(c.Section):
		return &modules.ArgumentError{Argument: "conf.section", Problem: fmt.Sprintf("%q is not a section of ceph.conf", c.Section), Want: "expected global, mon, mgr, osd, mds or client, or one of a daemon, such as osd.3"}
	case len(c.Settings) == 0:
		return &modules.ArgumentError{Argument: "conf.settings", Problem: "there are no settings", Want: "expected settings = { mon_osd_down_out_interval = 300 }"}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		value := c.Settings[key]
		switch {
		case !confKey.MatchString(key):
			return &modules.ArgumentError{Argument: "conf.settings", Problem: fmt.Sprintf("%q is not the name of a setting", key), Want: "expected lower-case letters, digits and _"}
		case slices.Contains(ofOthers, key):
			return &modules.ArgumentError{Argument: "conf.settings", Problem: key + " is set by init and mon, and changing it breaks a running cluster", Want: "leave it out"}
		case risky(key, value):
			return &modules.ArgumentError{Argument: "conf.settings", Problem: fmt.Sprintf("%s = %s risks data: a single disk could hold the only copy of what was just written", key, value), Want: "expected 2 or more"}
		case value == "" || strings.TrimSpace(value) != value || strings.ContainsAny(value, "\n\r\\"):
			return &modules.ArgumentError{Argument: "conf.settings", Problem: fmt.Sprintf("%s: %q is not a single-line value", key, value), Want: "expected text without line breaks, backslashes, or blanks at either end"}
		}
	}
	return nil
}

// risky reports whether a setting gives new pools a single copy, or lets them serve with one.
func risky(key, value string) bool {
	return (key == "osd_pool_default_size" || key == "osd_pool_default_min_size") && strings.TrimSpace(value) == "1"
}

func (c *Conf) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	observe.Files.Want(h, linkTarget)
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if !s.conf.Initialised() {
		return modules.Plan{}, fmt.Errorf("%s: Ceph is not initialised: run a task with pveceph { init { … } } first", h.Name())
	}
	conf := s.conf
	var said []string
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		if s.conf.Sections[c.Section][key] != c.Settings[key] {
			conf = conf.With(c.Section, key, c.Settings[key])
			said = append(said, key)
		}
	}
	if len(said) == 0 {
		return s.plan(), nil
	}
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	before, err := observe.Files.Observe(ctx, h, linkTarget)
	if err != nil {
		return modules.Plan{}, err
	}
	text := string(before.Content)
	for _, key := range said {
		text = conffile.EditLines(text, func(text string) string { return editConf(text, c.Section, key, c.Settings[key]) })
	}
	steps, err := conffile.Write(ctx, h, linkTarget, text, fmt.Sprintf("set %s in [%s] of %s; daemons read it when they start", strings.Join(said, ", "), c.Section, linkTarget))
	if err != nil {
		return modules.Plan{}, err
	}
	for i := range steps {
		steps[i].Wide = true
		steps[i].Expect = append(steps[i].Expect, pve.Everywhere(h, ceph.Confs.Expect("", conf))...)
	}
	return s.plan(steps...), nil
}

// editConf sets one setting in a section of a ceph.conf and keeps everything else.
func editConf(text, section, key, value string) string {
	line := "\t" + key + " = " + strings.NewReplacer("#", `\#`, ";", `\;`).Replace(value) + "\n"
	var out []string
	inside, done, end := false, false, -1
	for old := range strings.Lines(text) {
		if !strings.HasSuffix(old, "\n") {
			old += "\n"
		}
		trimmed := strings.TrimSpace(old)
		if name, header := strings.CutPrefix(trimmed, "["); header {
			name, _, _ = strings.Cut(name, "]")
			inside = strings.TrimSpace(name) == section
		}
		name, _, setting := strings.Cut(trimmed, "=")
		if inside && setting && confName(name) == key {
			if !done {
				out = append(out, line)
				done, end = true, len(out)
			}
			continue // a duplicate; the last one would count
		}
		out = append(out, old)
		if inside && trimmed != "" {
			end = len(out)
		}
	}
	switch {
	case done:
	case end >= 0:
		for strings.HasSuffix(out[end-1], "\\\n") { // the next line continues it
			if end == len(out) {
				out = append(out, "\n")
			}
			end++
		}
		out = slices.Insert(out, end, line)
	default:
		if len(out) > 0 && strings.TrimSpace(out[len(out)-1]) != "" {
			out = append(out, "\n")
		}
		out = append(out, "["+section+"]\n", line)
	}
	return strings.Join(out, "")
}

// confName returns the name of a setting as Ceph compares it: blanks, "-" and "_" are equivalent.
func confName(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" \t_-", r) }), "_")
}
