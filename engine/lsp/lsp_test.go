package lsp

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/sourcegraph/jsonrpc2"
)

// A panic is an error of its request, with its stack in the log. The next request is answered.
func TestPanicIsAnErrorOfItsRequest(t *testing.T) {
	methods["test/panic"] = func(*server, json.RawMessage) (any, error) { panic("out of tune") }
	defer delete(methods, "test/panic")
	var log bytes.Buffer
	s := &server{options: Options{Log: &log}}
	_, err := s.handle(&jsonrpc2.Request{Method: "test/panic"})
	if err == nil || !strings.Contains(err.Error(), "out of tune") || !strings.Contains(log.String(), "lsp_test.go") {
		t.Errorf("%v; %s", err, log.String())
	}
}

func TestPositions(t *testing.T) {
	const text = "a🏮b\nä\n"
	for at_, want := range map[int]position{0: {0, 0}, 1: {0, 1}, 5: {0, 3}, 6: {0, 4}, 7: {1, 0}, 9: {1, 1}, 10: {2, 0}, 99: {2, 0}} {
		if got := at(text, at_); got != want {
			t.Errorf("byte %d is at %v, want %v", at_, got, want)
		}
		if got := offset(text, want); got != min(at_, len(text)) {
			t.Errorf("%v is byte %d, want %d", want, got, at_)
		}
	}
	if got := offset(text, position{0, 99}); got != 6 {
		t.Errorf("past the end of the line: byte %d", got)
	}
}

func TestMend(t *testing.T) {
	for name, test := range map[string]struct{ text, keeps string }{
		"incomplete name":    {"a {\n  x = var.\n  y = 1\n}\nb {}\n", "b"},
		"no value":           {"a {\n  x =\n  y = 1\n}\nb {}\n", "b"},
		"unclosed quote":     {"a {\n  x = \"y\n}\nb {}\n", "b"},
		"unclosed block":     {"b {}\na {\n  x = 1\n", "a"},
		"unclosed list":      {"b {}\na {\n  x = [\n", "b"},
		"brace too many":     {"a {\n}\n}\nb {}\n", "b"},
		"nothing but errors": {"{{{{", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := mend([]byte(test.text))
			file, diags := hclsyntax.ParseConfig(got, "", hcl.InitialPos)
			if diags.HasErrors() {
				t.Fatalf("%q: %v", got, diags)
			}
			if test.keeps != "" && !slices.ContainsFunc(file.Body.(*hclsyntax.Body).Blocks, func(b *hclsyntax.Block) bool { return b.Type == test.keeps }) {
				t.Errorf("%q lost %s", got, test.keeps)
			}
		})
	}
}

// Any text can be examined at any position.
func FuzzLocate(f *testing.F) {
	playbooks, _ := filepath.Glob("../../playbooks/*.hcl")
	for _, name := range playbooks[:3] {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src), len(src)/2)
	}
	for _, text := range []string{"a \"b\" { c = [ { d = \"${e.f[0].", "a {\n b = <<E\n${", "}}]]))", "a = \"x\ny = \"z", "x = { a = { b {", "a \"", "# c"} {
		f.Add(text, len(text))
	}
	f.Fuzz(func(t *testing.T, text string, place int) {
		if len(text) > 1<<12 {
			return
		}
		c := locate(text, min(max(place, 0), len(text)))
		if c.start < 0 || c.start+len(c.word) > len(text) || text[c.start:c.start+len(c.word)] != c.word {
			t.Errorf("%q is not at %d", c.word, c.start)
		}
		if got := mend([]byte(text)); len(got) < len(text) {
			t.Errorf("mending %q moved offsets: %q", text, got)
		}
	})
}
