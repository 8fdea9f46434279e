package lang

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"hlplay/engine/hostvar"
	"hlplay/modules"
)

// probe has a field of every supported type.
type probe struct {
	modules.Module
	Name     string            `hcl:"name" doc:"What it is called."`
	State    string            `hcl:"state,optional" default:"present" doc:"present or absent."`
	On       bool              `hcl:"on,optional" default:"true"`
	Count    int               `hcl:"count,optional" default:"3"`
	Big      int64             `hcl:"big,optional"`
	Ratio    float64           `hcl:"ratio,optional"`
	Wait     time.Duration     `hcl:"wait,optional" default:"90s"`
	Mode     fs.FileMode       `hcl:"mode,optional" default:"0644"`
	List     []string          `hcl:"list,optional"`
	Map      map[string]string `hcl:"map,optional"`
	Any      cty.Value         `hcl:"any,optional"`
	MaybeS   *string           `hcl:"maybe_string,optional"`
	MaybeB   *bool             `hcl:"maybe_bool,optional"`
	MaybeN   *int              `hcl:"maybe_number,optional"`
	MaybeD   *time.Duration    `hcl:"maybe_wait,optional"`
	Pool     *pool             `hcl:"pool,block" doc:"One pool."`
	Disks    []disk            `hcl:"disk,block" doc:"Disks."`
	Links    []link            `hcl:"link,block" doc:"Links."`
	Untagged string
}

type pool struct {
	Size int `hcl:"size" doc:"How many copies."`
	Min  int `hcl:"min,optional" default:"2"`
}

type link struct {
	Name  string `hcl:"name,label" doc:"the name of the link"`
	Speed int    `hcl:"speed"`
}

type disk struct {
	Device string `hcl:"device"`
}

func (p *probe) Validate() error {
	if p.State != "present" && p.State != "absent" {
		return &modules.ArgumentError{Argument: "state", Problem: fmt.Sprintf("%q is no state", p.State), Want: `expected "present" or "absent"`}
	}
	for _, l := range p.Links {
		if l.Speed < 0 {
			return &modules.ArgumentError{Argument: "link." + l.Name + ".speed", Problem: "a speed is negative", Want: "expected Mbit/s"}
		}
	}
	if p.Pool != nil && p.Pool.Min > p.Pool.Size {
		return &modules.ArgumentError{Argument: "pool.min", Problem: "min is greater than size", Want: "expected at most size"}
	}
	return nil
}

// probeResult is what a probe registers.
type probeResult struct {
	OK      bool     `cty:"ok" doc:"Whether it is."`
	Members []string `cty:"members" doc:"Who is in it."`
}

// setting is a second module, for tests of suggestions.
type setting struct {
	modules.Module
	Key   string `hcl:"key"`
	Value string `hcl:"value"`
}

var (
	probeSpec = modules.Spec{Name: "probe", Aliases: []string{"copy"}, Result: probeResult{}, Functions: probeFunctions, Summary: "Probes the decoder.", Doc: "It does nothing.",
		Example: "task \"a probe\" {\n  probe {\n    name = \"x\"\n  }\n}", New: func() modules.Module { return &probe{} }}
	probeFunctions = []modules.Function{{Name: "probe_count", Doc: "Disks times copies.", Arguments: "disks, copies", Func: stdlib.MultiplyFunc}}
	settingSpec    = modules.Spec{Name: "setting", Summary: "Sets.", New: func() modules.Module { return &setting{} }}
	testOptions    = Options{
		Modules:   []modules.Spec{probeSpec, settingSpec},
		Inventory: testInventory{},
	}
)

// testInventory has the hosts pve1 and pve2 in a group pve. Both have the variables data_dir and disks; only pve2 has
// extra.
type testInventory struct{}

func (testInventory) Names(pattern string) ([]string, error) {
	switch pattern {
	case "pve", "all":
		return []string{"pve1", "pve2"}, nil
	case "pve1", "pve2":
		return []string{pattern}, nil
	}
	return nil, fmt.Errorf("there is no host or group %q; did you mean \"pve\"?", pattern)
}

func (testInventory) HostsValue() cty.Value {
	host := func(name, address string, vars map[string]cty.Value) cty.Value {
		vars["data_dir"] = cty.StringVal("/srv/" + name)
		return cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal(name), "address": cty.StringVal(address), "port": cty.NumberIntVal(22), "user": cty.StringVal("root"),
			"groups": cty.ListVal([]cty.Value{cty.StringVal("all"), cty.StringVal("pve")}), "vars": cty.ObjectVal(vars),
		})
	}
	return cty.ObjectVal(map[string]cty.Value{
		"pve1": host("pve1", "192.0.2.1", map[string]cty.Value{"disks": cty.EmptyTupleVal}),
		"pve2": host("pve2", "192.0.2.2", map[string]cty.Value{"disks": cty.TupleVal([]cty.Value{cty.StringVal("/dev/sdb")}), "extra": cty.StringVal("here")}),
	})
}

func (testInventory) Declare([]hostvar.Declaration, hostvar.Evaluate) hcl.Diagnostics {
	return nil
}

func (testInventory) GroupsValue() cty.Value {
	both := cty.ListVal([]cty.Value{cty.StringVal("pve1"), cty.StringVal("pve2")})
	return cty.ObjectVal(map[string]cty.Value{"all": both, "pve": both})
}

// loadArchive loads site.hcl from an archive of files in memory.
func loadArchive(src string, o Options) (*Playbook, hcl.Diagnostics) {
	files := make(map[string][]byte)
	for _, f := range txtar.Parse([]byte(src)).Files {
		files[filepath.Clean(f.Name)] = f.Data
	}
	return load("site.hcl", o, func(path string) ([]byte, error) {
		if data, ok := files[path]; ok {
			return data, nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	})
}

// crlf converts the files of an archive to Windows line endings.
func crlf(src string) string {
	archive := txtar.Parse([]byte(src))
	for i, f := range archive.Files {
		archive.Files[i].Data = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
	}
	return string(txtar.Format(archive))
}

// mustLoad loads a playbook without errors.
func mustLoad(t *testing.T, src string, o Options) *Playbook {
	t.Helper()
	if !strings.Contains(src, "-- site.hcl --") {
		src = "-- site.hcl --\n" + src
	}
	p, diags := loadArchive(src, o)
	if len(diags) > 0 {
		t.Fatalf("the playbook should have no faults:\n%s", rendered(p, diags))
	}
	return p
}

func rendered(p *Playbook, diags hcl.Diagnostics) string {
	var b strings.Builder
	WriteDiagnostics(&b, p.Files, diags, false, 100)
	return b.String()
}

// task finds a task or handler by name.
func task(t *testing.T, p *Playbook, name string) *Task {
	t.Helper()
	var found *Task
	for _, play := range p.Plays {
		walk(play, func(task *Task) {
			if task.Name == name {
				found = task
			}
		})
	}
	if found == nil {
		t.Fatalf("the playbook has no task %q", name)
	}
	return found
}

// update reports whether to rewrite the expected diagnostics: go test ./engine/lang -run Diagnostics with UPDATE=1.
func update() bool { return os.Getenv("UPDATE") != "" }
