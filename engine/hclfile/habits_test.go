package hclfile

import (
	"strings"
	"testing"
)

// Each habit from other tools causes a single diagnostic, on the right line and with the correct form.
func TestHabits(t *testing.T) {
	for name, test := range map[string]struct {
		src, summary, detail string
		line                 int
	}{
		"YAML document":       {"---\n- hosts: all\n", "this is YAML", "begins with play", 1},
		"YAML list":           {"# site\n- hosts: all\n  tasks: []\n", "this is YAML", "begins with play", 2},
		"YAML inventory":      {"all:\n  hosts:\n", "this is YAML", `an inventory with host "NAME"`, 1},
		"colon":               {"p {\n  state: started\n}\n", "set with =", `Write state = "started".`, 2},
		"colon, bool":         {"p {\n  enabled: yes\n}\n", "set with =", "Write enabled = true.", 2},
		"colon, template":     {"p {\n  path: \"{{ host.name }}\"\n}\n", "set with =", "Write path = host.name.", 2},
		"colon, number":       {"p {\n  port: 22\n}\n", "set with =", "Write port = 22.", 2},
		"colon, secret":       {"p {\n  password: 1234567\n}\n", "set with =", `Write password = "…".`, 2},
		"colon, list":         {"p {\n  packages:\n    - curl\n}\n", "set with =", `Write packages = ["…", "…"].`, 2},
		"bare template":       {"p {\n  path = {{ host.name }}\n}\n", "{{ }} is not an expression", "host.name", 2},
		"unquoted path":       {"p {\n  path = /etc/x\n}\n", "text needs quotes", `Write path = "/etc/x".`, 2},
		"unquoted address":    {"p {\n  address = 10.0.0.1\n}\n", "text needs quotes", `Write address = "10.0.0.1".`, 2},
		"unquoted in a line":  {"p { path = /etc/x }\n", "text needs quotes", `Write path = "/etc/x".`, 1},
		"unquoted duration":   {"p {\n  timeout = 30s\n}\n", "text needs quotes", `Write timeout = "30s".`, 2},
		"single quotes":       {"p {\n  name = 'x'\n}\n", "text needs double quotes", `Write "x".`, 2},
		"no equals sign":      {"p {\n  name \"x\"\n}\n", "an equals sign is missing", `Write name = "x".`, 2},
		"no name":             {"p {\n  = present\n}\n", "a name is missing", `Write NAME = "present".`, 2},
		"arguments in a line": {"p {\n  file path=\"/etc/x\"\n}\n", "arguments belong in braces", "Write file { path = … }", 2},
		"and":                 {"p {\n  when = a and b\n}\n", "and, or and not", "Write && for and", 2},
		"defined":             {"p {\n  when = result.x is defined\n}\n", `"is defined"`, "Write when = can(result.x).", 2},
		"not defined":         {"p {\n  when = x is not defined\n}\n", `"is defined"`, "Write when = !can(x).", 2},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := Parse([]byte(test.src), "x.hcl")
			if len(diags) != 1 {
				t.Fatalf("%d diagnostics, want one: %v", len(diags), diags)
			}
			if d := diags[0]; !strings.Contains(d.Summary, test.summary) || !strings.Contains(d.Detail, test.detail) || d.Subject.Start.Line != test.line {
				t.Errorf("line %d: %s: %s", d.Subject.Start.Line, d.Summary, d.Detail)
			}
		})
	}
}
