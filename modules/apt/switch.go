package apt

import (
	"path"
	"strings"

	"hlplay/modules/internal/conffile"
)

// switched returns the text of a source file with all of its repositories enabled or disabled in place, the way a
// person would do it: with the field Enabled in deb822, or by commenting out a line. A file that is switched in place
// survives upgrades of the package that it belongs to.
func switched(name, text string, enabled bool) string {
	return switchedWhere(name, text, enabled, func(stanza) bool { return true })
}

// switchedWhere is switched for the repositories that match accepts.
func switchedWhere(name, text string, enabled bool, match func(stanza) bool) string {
	return conffile.EditLines(text, func(text string) string {
		if path.Ext(name) == ".sources" {
			return switchDeb822(text, enabled, match)
		}
		return switchLines(text, enabled, match)
	})
}

// switchDeb822 sets the field Enabled of every stanza that has a different value, or that has none and is to be
// disabled.
func switchDeb822(text string, enabled bool, match func(stanza) bool) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	var out, stanzaText strings.Builder
	fields, field := 0, ""
	end := func() {
		if all := parseDeb822(stanzaText.String()); fields > 0 && len(all) == 1 && match(all[0]) {
			out.WriteString(switchStanza(stanzaText.String(), enabled))
		} else {
			out.WriteString(stanzaText.String())
		}
		stanzaText.Reset()
		fields = 0
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" {
			end()
			out.WriteString(line)
			continue
		}
		field = deb822Field(line)
		if field != "" {
			fields++
		}
		stanzaText.WriteString(line)
	}
	end()
	return out.String()
}

// deb822Field returns the name of the field that a line begins, in lower case.
func deb822Field(line string) string {
	if line == "" || strings.ContainsAny(line[:1], "# \t\r\n") {
		return ""
	}
	name, _, ok := strings.Cut(line, ":")
	if !ok {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(name))
}

func switchStanza(text string, enabled bool) string {
	var out strings.Builder
	set, skipping := false, false
	for line := range strings.Lines(text) {
		name := deb822Field(line)
		if name == "" && skipping && strings.ContainsAny(line[:1], " \t") {
			continue // a continuation of the old value
		}
		skipping = false
		if name == "enabled" {
			_, value, _ := strings.Cut(line, ":")
			switch {
			case set:
				skipping = true
				continue
			case isYes(strings.TrimSpace(value)) != enabled:
				line = enabledLine(enabled)
				skipping = true
			}
			set = true
		}
		out.WriteString(line)
	}
	if !set && !enabled {
		return withFirstField(out.String(), enabledLine(false))
	}
	return out.String()
}

func enabledLine(enabled bool) string {
	if enabled {
		return "Enabled: yes\n"
	}
	return "Enabled: no\n"
}

// withFirstField inserts a field before the first one, after leading comments.
func withFirstField(stanza, field string) string {
	var out strings.Builder
	placed := false
	for line := range strings.Lines(stanza) {
		if !placed && deb822Field(line) != "" {
			out.WriteString(field)
			placed = true
		}
		out.WriteString(line)
	}
	return out.String()
}

// switchLines comments out the lines that define repositories, or uncomments those that would define one.
func switchLines(text string, enabled bool, match func(stanza) bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, "# \t")
		is, active := parseLine(line)
		other, possible := parseLine(bare)
		switch {
		case active && !match(is), !active && possible && !match(other):
		case active && !enabled:
			line = "# " + line
		case !active && enabled && possible:
			line = bare
		}
		out.WriteString(line)
	}
	return out.String()
}
