package lang

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

// inPlay loads a playbook with one play that consists of the given lines.
func inPlay(t *testing.T, head, lines string) *Playbook {
	t.Helper()
	return mustLoad(t, head+"\nplay \"p\" {\nhosts = \"all\"\n"+lines+"\n}\n", testOptions)
}

var hostScope = Scope{
	"host": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("pve1"), "vars": cty.EmptyObjectVal}),
	"facts": cty.ObjectVal(map[string]cty.Value{
		"cpu":   cty.ObjectVal(map[string]cty.Value{"cores": cty.NumberIntVal(8)}),
		"later": cty.DynamicVal,
	}),
	"result": cty.EmptyObjectVal,
}

func TestDecode(t *testing.T) {
	p := inPlay(t, "", `
task "all" {
  probe {
    name   = host.name
    state  = null
    on     = false
    count  = facts.cpu.cores
    big    = 1099511627776
    ratio  = 0.5
    wait   = "2m"
    mode   = "1755"
    list   = toset(["b", "a"])
    map    = { one = 1 }
    any    = [1, "x"]
    maybe_string = ""
    maybe_bool   = false
    maybe_number = 0
    maybe_wait   = "0s"
    pool {
      size = "3"
    }
    disk {
      device = "sdb"
    }
    disk {
      device = "sdc"
    }
    link "bond0.20" {
      speed = 10
    }
  }
}
task "defaults" {
  probe {
    name = "x"
  }
}
task "not given" {
  probe {
    name  = "x"
    state = ""
    on    = null
    count = 0
    wait  = "0s"
    list  = null
    pool {
      size = 3
      min  = null
    }
  }
}`)
	m, secrets, err := task(t, p, "all").Decode(hostScope)
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets) > 0 {
		t.Errorf("nothing is sensitive, but Decode says %q", secrets)
	}
	ptr := func(s string) *string { return &s }
	off, zero, none := false, 0, time.Duration(0)
	want := &probe{
		Name: "pve1", State: "present", Count: 8, Big: 1 << 40, Ratio: 0.5, Wait: 2 * time.Minute, Mode: 0o1755,
		List: []string{"a", "b"}, Map: map[string]string{"one": "1"},
		Any:    cty.TupleVal([]cty.Value{cty.NumberIntVal(1), cty.StringVal("x")}),
		MaybeS: ptr(""), MaybeB: &off, MaybeN: &zero, MaybeD: &none,
		Pool:  &pool{Size: 3, Min: 2},
		Disks: []disk{{"sdb"}, {"sdc"}},
		Links: []link{{"bond0.20", 10}},
	}
	values := cmp.Comparer(func(a, b cty.Value) bool {
		return a == cty.NilVal && b == cty.NilVal || a != cty.NilVal && b != cty.NilVal && a.RawEquals(b)
	})
	if diff := cmp.Diff(want, m, values); diff != "" {
		t.Errorf("decoded otherwise than written (-want +got):\n%s", diff)
	}
	m, _, err = task(t, p, "defaults").Decode(nil)
	if err != nil {
		t.Fatal(err)
	}
	want = &probe{Name: "x", State: "present", On: true, Count: 3, Wait: 90 * time.Second, Mode: fs.FileMode(0o644)}
	if diff := cmp.Diff(want, m, values); diff != "" {
		t.Errorf("the defaults are not those of the struct (-want +got):\n%s", diff)
	}
	if m, _, err = task(t, p, "not given").Decode(nil); err != nil {
		t.Fatal(err)
	}
	want = &probe{Name: "x", State: "present", On: true, Mode: fs.FileMode(0o644), Pool: &pool{Size: 3, Min: 2}}
	if diff := cmp.Diff(want, m, values); diff != "" {
		t.Errorf("null and the empty string should leave the default, zero should not (-want +got):\n%s", diff)
	}
	built := &probe{Name: "x", State: "absent", Pool: &pool{Size: 3}, Disks: []disk{{}}}
	Defaults(built)
	want = &probe{Name: "x", State: "absent", On: true, Count: 3, Wait: 90 * time.Second, Mode: fs.FileMode(0o644), Pool: &pool{Size: 3, Min: 2}, Disks: []disk{{}}}
	if diff := cmp.Diff(want, built, values); diff != "" {
		t.Errorf("Defaults fills in something else (-want +got):\n%s", diff)
	}
}

func TestDecodeSensitive(t *testing.T) {
	p := inPlay(t, `
variable "password" {
  default   = "hunter2"
  sensitive = true
}`, `
task "secret" {
  probe {
    name = "user:${var.password}"
    any  = { nested = [sensitive("in a list"), "open"] }
    pool {
      size = 1
      min  = 1
    }
  }
}
task "plain" {
  probe {
    name = nonsensitive(sha256(var.password))
  }
}
task "invalid" {
  probe {
    name  = "x"
    state = facts.state == "bad" ? var.password : "present"
  }
}
task "failing" {
  probe {
    name  = "x"
    count = parseint("${facts.state}${var.password}", 10)
  }
}`)
	m, secrets, err := task(t, p, "secret").Decode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"user:hunter2", "in a list", "hunter2"}, secrets); diff != "" {
		t.Errorf("sensitive strings (-want +got):\n%s", diff)
	}
	if got := m.(*probe); got.Name != "user:hunter2" || got.Any.ContainsMarked() {
		t.Errorf("the module got %#v", got)
	}
	if _, secrets, err := task(t, p, "plain").Decode(nil); err != nil || len(secrets) > 0 {
		t.Errorf("a nonsensitive value: secrets %q, error %v", secrets, err)
	}
	scope := Scope{"facts": cty.ObjectVal(map[string]cty.Value{"state": cty.StringVal("bad")})}
	for _, name := range []string{"invalid", "failing"} {
		_, _, err := task(t, p, name).Decode(scope)
		var failed *EvalError
		if !errors.As(err, &failed) {
			t.Errorf("task %s: got %v, expected an EvalError", name, err)
			continue
		}
		text := err.Error() + rendered(p, failed.Diags)
		if strings.Contains(text, "hunter2") {
			t.Errorf("the error of task %s shows a sensitive value:\n%s", name, text)
		}
	}
}

func TestDecodeUnknown(t *testing.T) {
	p := inPlay(t, "", `
task "unknown" {
  probe {
    name = "x"
    list = ["a", facts.later]
  }
}
task "wrong" {
  probe {
    name  = "x"
    count = facts.cpu.model
  }
}`)
	_, _, err := task(t, p, "unknown").Decode(hostScope)
	var unknown *UnknownError
	if !errors.As(err, &unknown) || unknown.Task != "unknown" || unknown.Range.Start.Line != 8 {
		t.Errorf("got %v, expected an UnknownError of line 8", err)
	}
	_, _, err = task(t, p, "wrong").Decode(hostScope)
	var failed *EvalError
	if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "site.hcl:14: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, expected an EvalError of line 14 in one line", err)
	}
}

// Decoding any value into any field yields a value or an error.
func TestDecodeAnyValueIntoAnyField(t *testing.T) {
	values := map[string]cty.Value{
		"unknown": cty.DynamicVal, "unknown string": cty.UnknownVal(cty.String), "null": cty.NullVal(cty.DynamicPseudoType),
		"null string": cty.NullVal(cty.String), "string": cty.StringVal("x"), "number": cty.NumberFloatVal(1.5),
		"infinite": cty.PositiveInfinity, "huge": cty.MustParseNumberVal("1e100000000"), "negative": cty.NumberIntVal(-1), "bool": cty.True,
		"empty list": cty.ListValEmpty(cty.DynamicPseudoType), "list": cty.ListVal([]cty.Value{cty.StringVal("a")}),
		"list of null": cty.ListVal([]cty.Value{cty.NullVal(cty.String)}), "list of unknown": cty.ListVal([]cty.Value{cty.UnknownVal(cty.String)}),
		"set": cty.SetVal([]cty.Value{cty.StringVal("a")}), "map": cty.MapVal(map[string]cty.Value{"a": cty.True}),
		"map of null": cty.MapVal(map[string]cty.Value{"a": cty.NullVal(cty.String)}),
		"object":      cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("b"), "c": cty.DynamicVal}), "tuple": cty.EmptyTupleVal,
		"mixed": cty.TupleVal([]cty.Value{cty.NullVal(cty.DynamicPseudoType), cty.StringVal("x").Mark(Sensitive)}),
	}
	schema := Schema(probeSpec)
	for _, a := range schema.Body.Arguments {
		name := `name = "x"`
		if a.Name == "name" {
			name = ""
		}
		p := inPlay(t, "", "task \"t\" {\nprobe {\n"+name+"\n"+a.Name+" = facts.value\n}\n}")
		for what, value := range values {
			for _, v := range []cty.Value{value, value.Mark(Sensitive)} {
				m, _, err := task(t, p, "t").Decode(Scope{"facts": cty.ObjectVal(map[string]cty.Value{"value": v})})
				if (m == nil) == (err == nil) {
					t.Errorf("%s into %s: module %v, error %v", what, a.Name, m, err)
				}
			}
		}
	}
}

func TestWhenTrue(t *testing.T) {
	p := inPlay(t, "", `
group "off" {
  when = false
  task "in a group that is off" {
    when = facts.later
    probe {
      name = "x"
    }
  }
}
group "later" {
  when = facts.later
  task "off in an unknown group" {
    when = facts.cpu.cores > 8
    probe {
      name = "x"
    }
  }
  task "on in an unknown group" {
    when = facts.cpu.cores == 8
    probe {
      name = "x"
    }
  }
}
task "always" {
  probe {
    name = "x"
  }
}
task "null" {
  when = facts.none
  probe {
    name = "x"
  }
}
task "items" {
  for_each = ["a", "b"]
  when     = vars.odd == "b"
  vars     = { odd = each.value }
  probe {
    name = vars.odd
  }
}`)
	scope := hostScope.with("facts", cty.ObjectVal(map[string]cty.Value{
		"cpu":   cty.ObjectVal(map[string]cty.Value{"cores": cty.NumberIntVal(8)}),
		"later": cty.UnknownVal(cty.Bool), "none": cty.NullVal(cty.Bool),
	}))
	for name, want := range map[string]string{
		"in a group that is off": "false", "off in an unknown group": "false", "on in an unknown group": "unknown",
		"always": "true", "null": "error", "items": "true",
	} {
		ok, err := task(t, p, name).WhenTrue(scope)
		var unknown *UnknownError
		got := "error"
		switch {
		case errors.As(err, &unknown):
			got = "unknown"
		case err == nil && ok:
			got = "true"
		case err == nil:
			got = "false"
		}
		if got != want {
			t.Errorf("task %q: when is %s (%v), expected %s", name, got, err, want)
		}
	}
	each := task(t, p, "items")
	if !each.WhenPerItem() || task(t, p, "null").WhenPerItem() {
		t.Error("WhenPerItem is not said of the task whose when reads each, and of no other")
	}
	all, err := each.Items(scope)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		ok, err := each.WhenTrue(scope.with("each", all[i].Object()))
		if err != nil || ok != want {
			t.Errorf("item %d: when is %v (%v), expected %v", i, ok, err, want)
		}
	}
	m, _, err := each.Decode(scope.with("each", all[1].Object()))
	if err != nil || m.(*probe).Name != "b" {
		t.Errorf("item 1 decodes to %v (%v), expected the name b", m, err)
	}
}

func TestItems(t *testing.T) {
	for expr, want := range map[string]string{
		`["x", "y"]`:                "0=x 1=y",
		`toset(["y", "x"])`:         "x=x y=y",
		`{ b = "2", a = "1" }`:      "a=1 b=2",
		`[]`:                        "",
		`facts.later`:               "unknown",
		`sensitive(["x"])`:          "0=x",
		`sensitive({ a = 1 })`:      "error",
		`facts.none`:                "error",
		`5`:                         "error",
		`toset([{ a = 1 }])`:        "error",
		`toset([facts.later_text])`: "unknown",
	} {
		p, _ := loadArchive("-- site.hcl --\nplay \"p\" {\nhosts = \"all\"\ntask \"t\" {\nfor_each = "+expr+"\nprobe {\nname = \"x\"\n}\n}\n}\n", testOptions)
		all, err := task(t, p, "t").Items(Scope{"facts": cty.ObjectVal(map[string]cty.Value{
			"later": cty.DynamicVal, "later_text": cty.UnknownVal(cty.String), "none": cty.NullVal(cty.DynamicPseudoType),
		})})
		var pairs []string
		for _, item := range all {
			v, _ := item.Value.Unmark()
			pairs = append(pairs, item.Key+"="+v.AsString())
		}
		got := strings.Join(pairs, " ")
		var unknown *UnknownError
		if errors.As(err, &unknown) {
			got = "unknown"
		} else if err != nil {
			got = "error"
		} else if all == nil {
			got = "nil"
		}
		if got != want {
			t.Errorf("for_each = %s: got %q (%v), expected %q", expr, got, err, want)
		}
	}
	p := inPlay(t, "", "task \"t\" {\nprobe {\nname = \"x\"\n}\n}")
	if all, err := task(t, p, "t").Items(nil); all != nil || err != nil {
		t.Errorf("without for_each: got %v, %v, expected nothing", all, err)
	}
}

func TestUntilTrue(t *testing.T) {
	p := inPlay(t, "", "task \"t\" {\nprobe {\nname = \"x\"\n}\nregister = \"r\"\nuntil = result.r.ok\n}")
	for _, want := range []bool{true, false} {
		scope := Scope{"result": cty.ObjectVal(map[string]cty.Value{"r": cty.ObjectVal(map[string]cty.Value{"ok": cty.BoolVal(want)})})}
		if got, err := task(t, p, "t").UntilTrue(scope); err != nil || got != want {
			t.Errorf("until is %v (%v), expected %v", got, err, want)
		}
	}
}

// The result of a function applied to a secret is a secret too, even if the argument contains more than the secret.
func TestDecodeDerivedSecrets(t *testing.T) {
	p := mustLoad(t, `
variable "password" {
  default   = "hunter2"
  sensitive = true
}
play "p" {
  hosts = "all"
  task "t" {
    probe {
      name = "hash=${sha256(var.password)} up=${upper(var.password)} rev=${strrev(var.password)}"
    }
  }
}
`, testOptions)
	_, secrets, err := task(t, p, "t").Decode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hunter2", "HUNTER2", "2retnuh", "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"} {
		if !slices.Contains(secrets, want) {
			t.Errorf("%q is not among the secrets %q", want, secrets)
		}
	}
}
