package report

import (
	"charm.land/lipgloss/v2"
)

// paint colours part of a line.
type paint func(string) string

// palette holds the colours of a report. They are among the sixteen of the terminal's own scheme, so that they are
// readable on the user's background.
type palette struct {
	heading, dim, spinner paint
	added, removed, hunk  paint
	status                map[Status]paint
}

func newPalette(color bool) palette {
	of := func(style lipgloss.Style) paint {
		if !color {
			return func(s string) string { return s }
		}
		style = style.TabWidth(lipgloss.NoTabConversion)
		return func(s string) string {
			if s == "" {
				return ""
			}
			return style.Render(s)
		}
	}
	plain := lipgloss.NewStyle()
	return palette{
		heading: of(plain.Bold(true)),
		dim:     of(plain.Faint(true)),
		spinner: of(plain.Foreground(lipgloss.Cyan)),
		added:   of(plain.Foreground(lipgloss.Green)),
		removed: of(plain.Foreground(lipgloss.Red)),
		hunk:    of(plain.Foreground(lipgloss.Cyan)),
		status: map[Status]paint{
			OK:          of(plain.Foreground(lipgloss.Green)),
			Changed:     of(plain.Foreground(lipgloss.Yellow).Bold(true)),
			Skipped:     of(plain.Faint(true)),
			Uncertain:   of(plain.Foreground(lipgloss.Magenta)),
			Failed:      of(plain.Foreground(lipgloss.Red).Bold(true)),
			Unreachable: of(plain.Foreground(lipgloss.Red).Bold(true)),
		},
	}
}

// worstFirst is the order in which statuses are shown.
var worstFirst = []Status{Failed, Unreachable, Changed, Uncertain, OK, Skipped}

var glyphs = map[Status]string{OK: "✓", Changed: "●", Skipped: "–", Uncertain: "?", Failed: "✗", Unreachable: "✗"}

// ignoredGlyph marks a task whose only failures are ignored.
const ignoredGlyph = "!"
