package lang

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// onlyFile returns a reader of a single source.
func onlyFile(name string, src []byte) reader {
	return func(path string) ([]byte, error) {
		if path == name {
			return src, nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

// FuzzLoad checks that loading any playbook yields a playbook, or diagnostics that can be shown.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(wholePlaybook))
	paths, _ := filepath.Glob("testdata/diagnostics/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, diags := load("site.hcl", testOptions, onlyFile("site.hcl", src))
		if p == nil {
			t.Fatal("Load returns no playbook")
		}
		rendered(p, diags)
		if diags.HasErrors() {
			return
		}
		for _, play := range p.Plays {
			walk(play, func(task *Task) {
				task.References()
				_, _ = task.WhenTrue(hostScope)
				_, _ = task.Items(hostScope)
				_, _, _ = task.Decode(hostScope)
			})
		}
	})
}

// FuzzDecode checks that decoding any value of an argument yields a module or an error.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`"x"`, `[1, null]`, `{"a": {"b": []}}`, `1e400`, `null`, `-0.5`, `"90s"`, `"0644"`} {
		f.Add([]byte(seed), true)
	}
	schema := Schema(probeSpec)
	var tasks []*Task
	for _, a := range schema.Body.Arguments {
		src := "play \"p\" {\nhosts = \"all\"\ntask \"t\" {\nprobe {\n"
		if a.Name != "name" {
			src += "name = \"x\"\n"
		}
		p, diags := load("site.hcl", testOptions, onlyFile("site.hcl", []byte(src+a.Name+" = facts.value\n}\n}\n}\n")))
		if diags.HasErrors() {
			f.Fatal(diags)
		}
		tasks = append(tasks, p.Plays[0].Tasks[0].(*Task))
	}
	f.Fuzz(func(t *testing.T, src []byte, sensitive bool) {
		ty, err := ctyjson.ImpliedType(src)
		if err != nil {
			return
		}
		value, err := ctyjson.Unmarshal(src, ty)
		if err != nil {
			return
		}
		if sensitive {
			value = value.Mark(Sensitive)
		}
		for _, task := range tasks {
			m, _, err := task.Decode(Scope{"facts": cty.ObjectVal(map[string]cty.Value{"value": value})})
			if (m == nil) == (err == nil) {
				t.Errorf("module %v, error %v", m, err)
			}
		}
	})
}

// FuzzRender checks that a diagnostic with any range can be shown.
func FuzzRender(f *testing.F) {
	f.Add([]byte("a = \"é\"\tx\r\n"), 4, 7, 30)
	f.Fuzz(func(t *testing.T, src []byte, start, end, width int) {
		at := hcl.Range{Filename: "f", Start: hcl.Pos{Line: 1, Byte: max(0, start)}, End: hcl.Pos{Line: 1, Byte: end}}
		p := &Playbook{Files: map[string]*hcl.File{"f": {Bytes: src}}}
		rendered(p, hcl.Diagnostics{fault(at, string(src), string(src))})
	})
}
