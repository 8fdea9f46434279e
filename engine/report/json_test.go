package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSON(t *testing.T) {
	for name, o := range map[string]Options{"run.json": {}, "run-diff.json": {Diff: true}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			report(t, NewJSON(&out, o), sample(false))
			golden(t, name, out.String())
		})
	}
}

// schema lists the keys of each type of line; "?" marks those that may be missing.
var schema = map[string]map[string]string{
	"run":  {"playbook": "string", "inventory": "string", "check": "bool", "rehearse": "bool", "hosts": "list"},
	"play": {"play": "string", "hosts": "list", "batch": "number", "batches": "number"},
	"note": {"text": "string"},
	"task": {
		"play": "string", "task": "string", "host": "string", "status": "string", "handler": "bool", "module": "string?", "steps": "list", "unfinished": "list?",
		"diffs": "list", "items": "list", "notes": "list?", "message": "string?", "output": "string?", "hint": "string?", "ignored": "bool?", "rescued": "bool?",
		"file": "string?", "line": "number?", "duration_ms": "number",
	},
	"recap": {"hosts": "object", "check": "bool", "interrupted": "bool", "duration_ms": "number", "costs": "object?"},
}

func TestJSONSchema(t *testing.T) {
	for _, check := range []bool{false, true} {
		var out bytes.Buffer
		report(t, NewJSON(&out, Options{Diff: true}), append(sample(check), Note{"after the recap"}))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		statuses := map[string]bool{}
		for i, line := range lines {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Fatalf("line %d is not an object: %v\n%s", i+1, err, line)
			}
			kind, _ := object["type"].(string)
			want, ok := schema[kind]
			if !ok {
				t.Fatalf("line %d has the type %q: %s", i+1, kind, line)
			}
			for key, value := range object {
				if key != "type" && strings.TrimSuffix(want[key], "?") != typeOf(value) {
					t.Errorf("line %d: %q is a %s, want %q: %s", i+1, key, typeOf(value), want[key], line)
				}
			}
			for key, form := range want {
				if _, ok := object[key]; !ok && !strings.HasSuffix(form, "?") {
					t.Errorf("line %d has no %q: %s", i+1, key, line)
				}
			}
			if kind == "task" {
				statuses[object["status"].(string)] = true
			}
			if last := i == len(lines)-1; last != (kind == "recap") {
				t.Errorf("line %d of %d is a %s; the recap must be the last line, and only that", i+1, len(lines), kind)
			}
		}
		if check && !statuses["uncertain"] || !check && !statuses["failed"] || !statuses["changed"] {
			t.Errorf("statuses %v", statuses)
		}
	}
}

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case float64:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "null"
}

func TestJSONRecap(t *testing.T) {
	var out bytes.Buffer
	report(t, NewJSON(&out, Options{}), []Event{Recap{Order: []string{"pve1"}, Hosts: map[string]Counts{"pve1": {OK: 1, Changed: 2, Skipped: 3, Uncertain: 4, Failed: 5, Unreachable: 6, Unfinished: 7, Ignored: 8, Rescued: 9}}}})
	want := `{"type":"recap","hosts":{"pve1":{"ok":1,"changed":2,"skipped":3,"uncertain":4,"failed":5,"unreachable":6,"ignored":8,"rescued":9,"unfinished":7}},"check":false,"interrupted":false,"duration_ms":0}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestJSONWithoutRecap(t *testing.T) {
	var out bytes.Buffer
	report(t, NewJSON(&out, Options{}), nil)
	if out.Len() > 0 {
		t.Errorf("a run that never began is reported as %s", out.String())
	}
}
