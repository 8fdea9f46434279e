package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestGuideStepsAreExplained holds every step of the guides that a playbook names to the table in docs/guides.md.
func TestGuideStepsAreExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/guides.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (G[12]\.\d+) \|`).FindAllStringSubmatch(string(page), -1) {
		explained[row[1]] = true
	}
	playbooks, err := filepath.Glob("../../playbooks/*/*.hcl")
	if err != nil || len(playbooks) == 0 {
		t.Fatalf("there are no playbooks: %v", err)
	}
	for _, playbook := range playbooks {
		text, err := os.ReadFile(playbook)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range regexp.MustCompile(`\bG[12]\.\d+`).FindAllString(string(text), -1) {
			if !explained[step] {
				t.Errorf("%s names step %s, which docs/guides.md does not explain", playbook, step)
			}
		}
	}
}
