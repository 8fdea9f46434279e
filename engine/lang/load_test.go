package lang

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Each archive in testdata/diagnostics has a playbook with errors and, in the file "want", the output of Load. A file
// "values" holds -e name=value, one per line; "valuefiles" the names of files of values.
func TestDiagnostics(t *testing.T) {
	paths, err := filepath.Glob("testdata/diagnostics/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives in testdata/diagnostics: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			o, want := testOptions, -1
			for i, f := range archive.Files {
				switch f.Name {
				case "values":
					o.Values = make(map[string]string)
					for line := range strings.Lines(string(f.Data)) {
						name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						o.Values[name] = value
					}
				case "valuefiles":
					o.ValueFiles = strings.Fields(string(f.Data))
				case "want":
					want = i
				}
			}
			if want < 0 {
				t.Fatal(`the archive has no file "want"`)
			}
			p, diags := loadArchive(string(txtar.Format(archive)), o)
			got := rendered(p, diags)
			if update() {
				archive.Files[want].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[want].Data), got); diff != "" {
				t.Errorf("other diagnostics than expected (-want +got; UPDATE=1 accepts them):\n%s", diff)
			}
			for _, d := range diags {
				if d.Subject == nil || d.Subject.Filename == "" {
					t.Errorf("the diagnostic %q has no place", d.Summary)
				}
				if d.Detail == "" {
					t.Errorf("the diagnostic %q does not say what to do", d.Summary)
				}
			}
		})
	}
}

const wholePlaybook = `
-- site.hcl --
variable "size" {
  type    = number
  default = 4
}
locals {
  pgs   = probe_count(64, local.size)
  size  = var.size
}
import "stages/first.hcl" {
  tags = ["first"]
}
play "second" {
  hosts               = "pve"
  serial              = [1, "50%"]
  any_errors_fatal    = true
  max_fail_percentage = 30
  become_user         = "ceph"
  tags                = ["second"]
  vars                = { owner = "play", deep = host.name }
  task "one" {
    probe { 
      name = "x"
    }
    notify   = "restart"
    register = "one"
    retries  = 2
    delay    = "1s"
    until    = result.one.ok
    timeout  = "5m"
    throttle = 2
    run_once = true
    tags     = ["own"]
  }
  group "both" {
    when = result.one.changed && facts.pve.version != null
    tags = ["grouped"]
    become = false
    task "two" {
      when     = each.value != "b"
      for_each = ["a", "b"]
      setting {
        key   = each.key
        value = "${vars.owner} ${each.value} ${facts["cpu"].cores}"
      }
      vars = { owner = "${vars.owner}/task" }
    }
    rescue {
      task "three" {
        probe { 
          name = hosts["pve1"].address
        }
      }
    }
    always {
      task "four" {
        probe { 
          name = groups.pve[0]
        }
      }
    }
  }
  flush_handlers {}
  task "five" {
    probe { 
      name = jsonencode(facts)
    }
  }
  handler "restart" {
    probe {
      name = play.name
    }
  }
}
-- stages/first.hcl --
import "../shared.hcl" {}
play "first" {
  hosts = var.where
  tags  = ["play"]
  task "imported" {
    probe {
      name = file("name.txt")
    }
    tags = ["first", "own"]
  }
}
-- stages/name.txt --
text
-- shared.hcl --
variable "where" {
  type    = string
  default = "pve"
}
`

func TestLoad(t *testing.T) {
	p := mustLoad(t, wholePlaybook, testOptions)
	var outline []string
	for _, play := range p.Plays {
		outline = append(outline, "play "+play.Name+" on "+play.Hosts)
		var visit func(nodes []Node, depth string)
		visit = func(nodes []Node, depth string) {
			for _, n := range nodes {
				switch n := n.(type) {
				case *Task:
					outline = append(outline, depth+"task "+n.Name+" ("+n.Module.Name+") ["+strings.Join(n.Tags, " ")+"]")
				case *Flush:
					outline = append(outline, depth+"flush")
				case *Group:
					outline = append(outline, depth+"group "+n.Name)
					visit(n.Tasks, depth+"  ")
					outline = append(outline, depth+"rescue")
					visit(n.Rescue, depth+"  ")
					outline = append(outline, depth+"always")
					visit(n.Always, depth+"  ")
				}
			}
		}
		visit(play.Tasks, "  ")
		for _, h := range play.Handlers {
			outline = append(outline, "  handler "+h.Name)
		}
	}
	want := []string{
		"play first on pve",
		"  task imported (probe) [first play own]",
		"play second on pve",
		"  task one (probe) [second own]",
		"  group both",
		"    task two (setting) [second grouped]",
		"  rescue",
		"    task three (probe) [second grouped]",
		"  always",
		"    task four (probe) [second grouped]",
		"  flush",
		"  task five (probe) [second]",
		"  handler restart",
	}
	if diff := cmp.Diff(want, outline); diff != "" {
		t.Errorf("the playbook is not as written (-want +got):\n%s", diff)
	}
	second := p.Plays[1]
	if diff := cmp.Diff([]string{"1", "50%"}, second.Serial); diff != "" {
		t.Errorf("serial (-want +got):\n%s", diff)
	}
	if !second.AnyErrorsFatal || second.MaxFailPercentage == nil || *second.MaxFailPercentage != 30 {
		t.Errorf("any_errors_fatal and max_fail_percentage got lost: %v %v", second.AnyErrorsFatal, second.MaxFailPercentage)
	}
	if got := p.space.localObject.GetAttr("pgs").AsBigFloat().String(); got != "256" {
		t.Errorf("local.pgs is %s, expected 256", got)
	}
	one := task(t, p, "one")
	settings, err := one.Settings(nil)
	if diff := cmp.Diff(Settings{Retries: 2, Repeats: 2, Delay: time.Second, Timeout: 5 * time.Minute, Throttle: 2}, settings); diff != "" || err != nil || !one.RunOnce {
		t.Errorf("arguments of task one got lost: %v (-want +got):\n%s", err, diff)
	}
	if b := one.Become("pve1"); b == nil || !b.Enabled || b.User != "ceph" {
		t.Errorf("task one becomes %+v, expected ceph as its play says", b)
	}
	if b := task(t, p, "two").Become("pve1"); b == nil || b.Enabled {
		t.Errorf("task two becomes %+v, expected nobody as its group says", b)
	}
	if got := task(t, p, "imported").Dir; got != "stages" {
		t.Errorf("the imported task is relative to %q, expected stages", got)
	}
	if h := task(t, p, "restart"); !h.IsHandler() || h.Play() != second {
		t.Error("the handler does not know that it is one, or its play")
	}
}

func TestReferences(t *testing.T) {
	p := mustLoad(t, wholePlaybook, testOptions)
	for name, want := range map[string]References{
		"one":   {},
		"two":   {Facts: []string{"cpu", "pve"}, Results: []string{"one"}},
		"three": {Facts: []string{"pve"}, Results: []string{"one"}},
		"five":  {AllFacts: true},
	} {
		if diff := cmp.Diff(want, task(t, p, name).References()); diff != "" {
			t.Errorf("task %s refers to (-want +got):\n%s", name, diff)
		}
	}
}

func TestValuesOverride(t *testing.T) {
	o := testOptions
	o.ValueFiles = []string{"a.hcl", "b.json", "c.yaml"}
	o.Values = map[string]string{"d": "command line", "list": `["x", "y"]`, "n": "7"}
	p := mustLoad(t, `
-- site.hcl --
variable "a" { default = "default" }
variable "b" { default = "default" }
variable "c" { default = "default" }
variable "d" { default = "default" }
variable "e" { default = "default" }
variable "n" { type = number }
variable "list" { type = list(string) }
variable "object" {
  type = object({ size = optional(number, 4), name = string })
  default = { name = "x" }
}
-- a.hcl --
a = "hcl"
b = "hcl"
c = "hcl"
d = "hcl"
-- b.json --
{"b": "json", "c": "json"}
-- c.yaml --
c: yaml
`, o)
	got := make(map[string]string)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		got[name] = p.space.varObject.GetAttr(name).AsString()
	}
	want := map[string]string{"a": "hcl", "b": "json", "c": "yaml", "d": "command line", "e": "default"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values of variables (-want +got):\n%s", diff)
	}
	if got := p.space.varObject.GetAttr("object").GetAttr("size").AsBigFloat().String(); got != "4" {
		t.Errorf("the optional attribute is %s, expected its default 4", got)
	}
	if got := p.space.varObject.GetAttr("list").LengthInt(); got != 2 {
		t.Errorf("the list from the command line has %d elements, expected 2", got)
	}
}

// A file of values takes text from files next to it.
func TestValuesFromFiles(t *testing.T) {
	o := testOptions
	o.ValueFiles = []string{"values/v.hcl"}
	p := mustLoad(t, `
-- site.hcl --
variable "a" {}
-- values/v.hcl --
a = file("a.txt")
-- values/a.txt --
text
`, o)
	if got := p.space.varObject.GetAttr("a").AsString(); got != "text\n" {
		t.Errorf("the variable is %q, expected the text of the file", got)
	}
	_, diags := loadArchive("-- site.hcl --\nvariable \"a\" {}\n-- values/v.hcl --\na = file(\"none.txt\")\n", o)
	if got := rendered(p, diags); !strings.Contains(got, "cannot read values/none.txt: ") {
		t.Errorf("the missing file is not named:\n%s", got)
	}
}

// If a condition is known to be false, arguments are not checked with the values that it is there to exclude.
func TestArgumentsBehindAFalseCondition(t *testing.T) {
	mustLoad(t, `
variable "spare" {
  type    = object({ device = string })
  default = null
}
play "p" {
  hosts = "all"
  task "spare disk" {
    when = var.spare != null
    probe {
      name = var.spare.device
    }
  }
}
`, testOptions)
}

func TestSelected(t *testing.T) {
	for _, c := range []struct {
		own, tags, skip string
		want            bool
	}{
		{"", "", "", true},
		{"a", "", "", true},
		{"never", "", "", false},
		{"never a", "a", "", true},
		{"never a", "all", "", false},
		{"never a", "tagged", "", false},
		{"a", "b", "", false},
		{"a b", "b", "", true},
		{"", "b", "", false},
		{"always", "b", "", true},
		{"always", "b", "always", false},
		{"always", "", "all", true},
		{"a", "", "all", false},
		{"a", "tagged", "", true},
		{"", "tagged", "", false},
		{"", "untagged", "", true},
		{"a", "untagged", "", false},
		{"a", "", "a", false},
		{"a", "a", "a", false},
		{"a", "", "tagged", false},
		{"", "", "untagged", false},
		{"", "", "tagged", true},
	} {
		got := Selected(&Task{Tags: strings.Fields(c.own)}, strings.Fields(c.tags), strings.Fields(c.skip))
		if got != c.want {
			t.Errorf("tags [%s] with --tags [%s] --skip-tags [%s]: selected %v, expected %v", c.own, c.tags, c.skip, got, c.want)
		}
	}
}
