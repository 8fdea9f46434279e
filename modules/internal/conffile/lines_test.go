package conffile

import (
	"strings"
	"testing"
)

func TestEditLines(t *testing.T) {
	add := func(text string) string {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + "new\n"
	}
	drop := func(text string) string { return strings.ReplaceAll(text, "b\n", "") }
	for _, test := range []struct {
		name, text string
		edit       func(string) string
		want       string
	}{
		{"line feeds", "a\nb\n", add, "a\nb\nnew\n"},
		{"carriage returns", "a\r\nb\r\n", add, "a\r\nb\r\nnew\r\n"},
		{"an open end", "a\r\nb", add, "a\r\nb\r\nnew\r\n"},
		{"an open end with a carriage return", "a\r\nb\r", add, "a\r\nb\r\nnew\r\n"},
		{"empty", "", add, "new\n"},
		{"both, mostly returns", "a\r\nb\r\nc\n", add, "a\r\nb\r\nc\nnew\r\n"},
		{"both, mostly feeds", "a\nb\r\nc\n", add, "a\nb\r\nc\nnew\n"},
		{"as many of both", "a\nb\r\n", add, "a\nb\r\nnew\n"},
		{"one goes", "a\r\nb\r\nc\r\n", drop, "a\r\nc\r\n"},
		{"one of both goes", "b\na\r\nb\r\nc\nd\r\n", drop, "a\r\nc\nd\r\n"},
		{"nothing to do", "a\nc\r\nd\r", drop, "a\nc\r\nd\r"},
		{"a return of the edit's", "a\n", func(text string) string { return text + "x\r\n" }, "a\nx\n"},
		{"a return within a line", "a\rb\r\n", add, "a\rb\r\nnew\r\n"},
		{"the end stays open", "b\r\na\r\nc", drop, "a\r\nc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := EditLines(test.text, test.edit); got != test.want {
				t.Errorf("%q became %q, want %q", test.text, got, test.want)
			}
		})
	}
}

// FuzzEditLines checks that an edit that only affects line endings changes nothing, and that any other edit takes
// effect whatever the endings are.
func FuzzEditLines(f *testing.F) {
	f.Add("a\r\nb\nc\r")
	f.Add("\r\n\r\n")
	f.Add("\r")
	f.Fuzz(func(t *testing.T, text string) {
		if got := EditLines(text, func(plain string) string { return plain }); got != text {
			t.Errorf("%q became %q without an edit", text, got)
		}
		plain := func(text string) string { return strings.ReplaceAll(text, "\r", "") }
		got := EditLines(text, func(text string) string { return "first\n" + text })
		if plain(got) != plain("first\n"+text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
