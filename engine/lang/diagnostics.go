package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// fault returns an error at a range of a source. The summary says what is wrong; the detail says what was expected and
// what to do.
func fault(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// sentence capitalizes text and adds a full stop unless it already ends in punctuation.
func sentence(text string) string {
	text = upperFirst(strings.TrimSpace(text))
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".?!") {
		return text
	}
	return text + "."
}

// didYouMean returns " Did you mean …?" with the nearest candidate, or else the list of all candidates.
func didYouMean(name string, candidates []string) string {
	if near := suggest.Nearest(name, candidates); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	return " " + oneOf(candidates)
}

// Suggestion returns the end of a message about an unknown name: `; did you mean "…"?` with the nearest candidate, or
// `; ` followed by otherwise if none is near.
func Suggestion(name string, candidates []string, otherwise string) string {
	if near := suggest.Nearest(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; " + otherwise
}

// oneOf lists the candidates.
func oneOf(candidates []string) string {
	switch len(candidates) {
	case 0:
		return "There are none."
	case 1:
		return fmt.Sprintf("There is only %q.", candidates[0])
	}
	return "There are " + strings.Join(sorted(candidates), ", ") + "."
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func sorted(names []string) []string {
	names = append([]string(nil), names...)
	slices.Sort(names)
	return names
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// article adds "a" or "an" to the HCL name of a type.
func article(words string) string {
	if words == "bool" {
		return "true or false"
	}
	if words != "" && strings.ContainsRune("aeiou", rune(words[0])) {
		return "an " + words
	}
	return "a " + words
}

// found describes a value in an error without showing it: its type, or that it is null.
func found(v cty.Value) string {
	v, _ = v.Unmark()
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.DynamicPseudoType:
		return "a value of an unknown type"
	case v.Type().IsTupleType():
		return "a list"
	}
	if v.Type() == cty.Bool {
		return "a bool"
	}
	return article(v.Type().FriendlyName())
}

// arrange sorts diagnostics by file, in the order in which files were read, and by position, and drops duplicates,
// which occur if an expression is evaluated for several items. Those that differ only in where a role is imported become
// one that names all places.
func arrange(diags hcl.Diagnostics, files []string) hcl.Diagnostics {
	order := make(map[string]int, len(files))
	for i, name := range files {
		order[name] = i
	}
	rank := func(d *hcl.Diagnostic) (int, int) {
		if d.Subject == nil {
			return -1, 0
		}
		if i, ok := order[d.Subject.Filename]; ok {
			return i, d.Subject.Start.Byte
		}
		return len(files), d.Subject.Start.Byte
	}
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		fileA, byteA := rank(a)
		fileB, byteB := rank(b)
		return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(byteA, byteB))
	})
	var out hcl.Diagnostics
	seen := make(map[string]*hcl.Diagnostic)
	places := make(map[string][]string)
	for _, d := range diags {
		detail, place, _ := strings.Cut(d.Detail, importedAt)
		key := d.Summary + "\x00" + detail
		if d.Subject != nil {
			key += "\x00" + d.Subject.String()
		}
		if seen[key] == nil {
			seen[key] = d
			out = append(out, d)
		}
		if place = strings.TrimSuffix(place, "."); place != "" && !slices.Contains(places[key], place) {
			places[key] = append(places[key], place)
			seen[key].Detail = detail + importedAt + strings.Join(places[key], ", ") + "."
		}
	}
	return out
}
