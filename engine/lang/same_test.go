package lang

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/modules"
)

// manyHosts is an inventory of n hosts, h0, h1 and so on, in the group all.
type manyHosts struct {
	testInventory
	n int
}

func (m manyHosts) names() (all []string) {
	for i := range m.n {
		all = append(all, fmt.Sprintf("h%d", i))
	}
	return all
}

func (m manyHosts) Names(string) ([]string, error) { return m.names(), nil }

func (m manyHosts) HostsValue() cty.Value {
	all := make(map[string]cty.Value)
	for i, name := range m.names() {
		attributes := unknownHost.AsValueMap()
		attributes["name"], attributes["address"] = cty.StringVal(name), cty.StringVal(fmt.Sprintf("192.0.2.%d", i))
		attributes["vars"] = cty.EmptyObjectVal
		all[name] = cty.ObjectVal(attributes)
	}
	return cty.ObjectVal(all)
}

// TestItemsSameEverywhere counts how often the hosts are listed while a playbook is checked for each of
// them.
func TestItemsSameEverywhere(t *testing.T) {
	const list = `join(" ", [for name, h in hosts : counted(name)])`
	for name, test := range map[string]struct {
		task  string
		lists int // how many lists of all hosts it makes
		want  string
	}{
		"all arguments are the same": {task: `probe { name = ` + list + ` }`, lists: 1},
		"one argument is the same":   {task: `probe {; name = ` + list + `; map = { x = host.name }; }`, lists: 1},
		"in a nested block":          {task: `probe {; name = host.name; link "a" { speed = length(` + list + `) }; }`, lists: 1},
		"a condition differs":        {task: `when = host.name != "h3"; probe { name = ` + list + ` }`, lists: 1},
		"a list":                     {task: `probe {; name = host.name; list = [for name, h in hosts : counted(name)]; }`, lists: 1},
		"the argument differs":       {task: `probe { name = "${host.name} ${` + list + `}" }`, lists: 20},
		"each differs":               {task: `for_each = ["a", "b"]; probe { name = "${each.value} ${` + list + `} ${host.name}" }`, lists: 40},
		"what is the same is wrong":  {task: `probe {; name = host.name; state = ` + list + `; }`, lists: 20, want: "is no state"},
		"another argument is wrong": {
			task: `probe {; name = ` + list + `; state = host.name == "h3" ? "bad" : "present"; }`, lists: 1, want: "This happens on h3.",
		},
		"each host has another error": {
			task: `probe {; name = ` + list + `; link "a" { speed = host.name == "h3" ? -1 : 1 }; }`, lists: 1, want: "This happens on h3.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			count := modules.Function{Name: "counted", Func: function.New(&function.Spec{
				Params: []function.Parameter{{Name: "text", Type: cty.String}},
				Type:   function.StaticReturnType(cty.String),
				Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
					calls++
					return args[0], nil
				},
			})}
			spec := probeSpec
			spec.Functions = []modules.Function{count}
			inventory := manyHosts{n: 20}
			p, diags := loadArchive("-- site.hcl --\nplay \"p\" {\nhosts = \"all\"\ntask \"t\" {\n"+strings.ReplaceAll(test.task, ";", "\n")+"\n}\n}\n", Options{
				Modules: []modules.Spec{spec}, Inventory: inventory,
			})
			text := rendered(p, diags)
			if test.want == "" && text != "" || !strings.Contains(text, test.want) {
				t.Errorf("diagnostics: %s, want %q", text, test.want)
			}
			// The hosts are listed once more, for an unknown host.
			if most := (test.lists + 2) * inventory.n; calls > most {
				t.Errorf("a name of a host was asked for %d times, want at most %d", calls, most)
			}
		})
	}
}
