package proxmox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// canonical formats JSON as PVE's programs print it: sorted keys, one line.
func canonical(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "null\n" // maps, slices and scalars can always be marshaled
	}
	return b.String()
}

// pretty formats JSON as Perl's JSON module does: indented by three spaces, with spaces around the colon.
func pretty(value any) string {
	var b strings.Builder
	prettyTo(&b, value, "")
	b.WriteString("\n")
	return b.String()
}

func prettyTo(b *strings.Builder, value any, indent string) {
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("{\n")
		for i, key := range sortedKeys(value) {
			if i > 0 {
				b.WriteString(",\n")
			}
			fmt.Fprintf(b, "%s   %s : ", indent, strings.TrimSpace(canonical(key)))
			prettyTo(b, value[key], indent+"   ")
		}
		b.WriteString("\n" + indent + "}")
	case []any:
		if len(value) == 0 {
			b.WriteString("[]")
			return
		}
		b.WriteString("[\n")
		for i, element := range value {
			if i > 0 {
				b.WriteString(",\n")
			}
			b.WriteString(indent + "   ")
			prettyTo(b, element, indent+"   ")
		}
		b.WriteString("\n" + indent + "]")
	default:
		b.WriteString(strings.TrimSpace(canonical(value)))
	}
}

// column is a column of a table. right aligns it to the right.
type column struct {
	title string
	right bool
}

// table formats rows as PVE's programs do. It returns "" if there are none.
func table(columns []column, rows [][]string) string {
	if len(rows) == 0 {
		return ""
	}
	widths := make([]int, len(columns))
	for i, col := range columns {
		widths[i] = utf8.RuneCountInString(col.title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	rule := func(left, fill, middle, right string) {
		b.WriteString(left)
		for i, width := range widths {
			if i > 0 {
				b.WriteString(middle)
			}
			b.WriteString(strings.Repeat(fill, width+2))
		}
		b.WriteString(right + "\n")
	}
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if columns[i].right {
				b.WriteString("│ " + pad + cell + " ")
			} else {
				b.WriteString("│ " + cell + pad + " ")
			}
		}
		b.WriteString("│\n")
	}
	titles := make([]string, len(columns))
	for i, col := range columns {
		titles[i] = col.title
	}
	rule("┌", "─", "┬", "┐")
	line(titles)
	rule("╞", "═", "╪", "╡")
	for i, row := range rows {
		if i > 0 {
			rule("├", "─", "┼", "┤")
		}
		line(row)
	}
	rule("└", "─", "┴", "┘")
	return b.String()
}

// yaml prints flat maps, lists of them and scalars.
func yaml(value any) string {
	var b strings.Builder
	b.WriteString("---\n")
	yamlTo(&b, value, "")
	return b.String()
}

func yamlTo(b *strings.Builder, value any, indent string) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			switch child := value[key].(type) {
			case map[string]any, []any:
				fmt.Fprintf(b, "%s%s:\n", indent, key)
				yamlTo(b, child, indent+"  ")
			default:
				fmt.Fprintf(b, "%s%s: %s\n", indent, key, yamlScalar(child))
			}
		}
	case []any:
		for _, element := range value {
			var inner strings.Builder
			yamlTo(&inner, element, indent+"  ")
			text := strings.TrimPrefix(inner.String(), indent+"  ")
			b.WriteString(indent + "- " + text)
		}
	default:
		fmt.Fprintf(b, "%s%s\n", indent, yamlScalar(value))
	}
}

func yamlScalar(value any) string {
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok && (numeric(s) || s == "" || slices.Contains([]string{"true", "false", "null", "yes", "no"}, s)) {
		return "'" + s + "'"
	}
	return text
}

func numeric(s string) bool {
	var f float64
	var rest string
	n, _ := fmt.Sscanf(s, "%g%s", &f, &rest)
	return n == 1
}
