package report

import (
	"charm.land/lipgloss/v2"
)

// paint colours a piece of one line.
type paint func(string) string

// palette is the colours of a report. They are the sixteen of the terminal's own scheme, so that they are
// readable on whatever background the user has chosen.
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

// ignoredGlyph stands before a task whose only failures are ignored ones.
const ignoredGlyph = "!"
