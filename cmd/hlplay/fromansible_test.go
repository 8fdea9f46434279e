package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"hlplay/engine/lang"
	"hlplay/modules/registry"
)

// TestFromAnsible checks docs/from-ansible.md: a script runs its commands, and its tasks are valid.
func TestFromAnsible(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-ansible.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../testdata/scripts/from_ansible.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	form := regexp.MustCompile("^\\|.*\\| `([^`]+)` \\|$")
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "|") || line == "| Ansible | hlplay |" || line == "|---|---|" {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no form of hlplay that can be tried stands at the end of the row %s", line)
			continue
		}
		rows++
		if strings.HasPrefix(m[1], "hlplay ") {
			if !strings.Contains(string(script), m[1]+"\n") {
				t.Errorf("testdata/scripts/from_ansible.txtar does not run %s", m[1])
			}
			continue
		}
		source := lang.AdHoc{Hosts: "all", Task: m[1]}.Source()
		if _, diags := lang.LoadSource(lang.AdHocName, source, lang.Options{Modules: registry.All()}); diags.HasErrors() {
			t.Errorf("%s: %v", m[1], diags)
		}
	}
	if rows < 25 {
		t.Errorf("the page has %d rows with a form of hlplay", rows)
	}
}
