package lang

import (
	"strings"
	"testing"

	"hlplay/modules"
)

func TestDescribe(t *testing.T) {
	got := Describe(probeSpec)
	for _, line := range []string{
		"# probe\n\nProbes the decoder.\n\nIt does nothing.\n",
		"| `name` | string | required | What it is called. |\n",
		"| `state` | string | `\"present\"` | present or absent. |\n",
		"| `wait` | duration | `\"90s\"` |  |\n",
		"| `list` | list(string) |  |  |\n",
		"| `pool` | at most once | One pool. |\n",
		"| `disk` | any number | Disks. |\n",
		"| `link \"NAME\"` | any number | Links. |\n",
		"## Arguments of `probe.pool`",
		"```hcl\ntask \"a probe\" {",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("the description lacks %q:\n%s", line, got)
		}
	}
}

func TestDescribeFunctions(t *testing.T) {
	got := DescribeFunctions(testOptions.Modules)
	for _, line := range []string{"| `probe_count(disks, copies)` |", "| `join(separator, lists…)` |"} {
		if !strings.Contains(got, line) {
			t.Errorf("the table of functions lacks %q:\n%s", line, got)
		}
	}
}

func TestCheckExample(t *testing.T) {
	if diags := CheckExample(probeSpec, testOptions); diags.HasErrors() {
		t.Errorf("the example of probe has faults: %v", diags)
	}
	broken := probeSpec
	broken.Example = "task \"x\" {\n  probe {\n    nam = 1\n  }\n}"
	if diags := CheckExample(broken, testOptions); !diags.HasErrors() {
		t.Error("an example with an unknown argument passes")
	}
}

// A module whose struct cannot be decoded is reported as a defect of the program.
func TestDefectiveModules(t *testing.T) {
	type loop struct {
		modules.Module
		Inner []struct {
			Channel chan int `hcl:"channel"`
		} `hcl:"inner,block"`
	}
	// Arguments cannot be objects, whose unknown attributes a conversion would drop: these are blocks.
	type object struct {
		modules.Module
		Disk map[string]struct{ Size int } `hcl:"disk"`
	}
	type badDefault struct {
		modules.Module
		Count int `hcl:"count,optional" default:"many"`
	}
	type requiredDefault struct {
		modules.Module
		Count int `hcl:"count" default:"1"`
	}
	type badOption struct {
		modules.Module
		Count int `hcl:"count,maybe"`
	}
	type topLabel struct {
		modules.Module
		Name string `hcl:"name,label"`
	}
	for want, m := range map[string]modules.Module{
		"of a nested block":     &topLabel{},
		"cannot be decoded":     &loop{},
		"argument \"disk\"":     &object{},
		"its default":           &badDefault{},
		"it is required":        &requiredDefault{},
		"unknown option":        &badOption{},
		"expected a pointer to": badOption{},
	} {
		err := Schema(modules.Spec{Name: "m", New: func() modules.Module { return m }}).Err()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: got %v, expected an error with %q", m, err, want)
		}
	}
	if err := Schema(probeSpec).Err(); err != nil {
		t.Errorf("the struct of the tests is sound, but: %v", err)
	}
}
