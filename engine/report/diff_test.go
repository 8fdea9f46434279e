package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/modules"
)

func diffsOf(text string) []modules.Diff {
	return []modules.Diff{{Subject: text, Before: "one\ntwo\n", After: text + "\nthree\n"}, {Subject: text, Before: text, After: "x"}}
}

func TestUnified(t *testing.T) {
	for name, test := range map[string]struct {
		diff modules.Diff
		want string
	}{
		"setting":       {modules.Diff{Subject: "vm.swappiness", Before: "60", After: "10"}, "vm.swappiness: 60 → 10\n"},
		"new setting":   {modules.Diff{Subject: "size", After: "4"}, "size: (absent) → 4\n"},
		"lost setting":  {modules.Diff{Subject: "size", Before: "4"}, "size: 4 → (absent)\n"},
		"line break":    {modules.Diff{Subject: "/etc/hostname", Before: "\n", After: "pve1\n"}, "/etc/hostname: (empty) → pve1\n"},
		"no difference": {modules.Diff{Subject: "/etc/motd", Before: "a\nb\n", After: "a\nb\n"}, "/etc/motd: no difference in content\n"},
		"sensitive":     {modules.Diff{Subject: "/etc/key", Before: Redacted + "\n", After: Redacted + "\n"}, "/etc/key: changes in a sensitive value\n"},
		"binary":        {modules.Diff{Subject: "/etc/key.gpg", Before: "", After: "\x99\x02\n\x00"}, "/etc/key.gpg: binary, 0 bytes → 4 bytes\n"},
		"new file":      {modules.Diff{Subject: "/etc/a", After: "1\n2\n"}, "--- /dev/null\n+++ /etc/a\n@@ -0,0 +1,2 @@\n+1\n+2\n"},
		"CRLF":          {modules.Diff{Subject: "/etc/a", Before: "1\r\n2\r\n", After: "1\r\n3\n"}, "--- /etc/a\n+++ /etc/a\n@@ -1,2 +1,2 @@\n 1\\r\n-2\\r\n+3\n"},
		"CRLF alone":    {modules.Diff{Subject: "/etc/a", Before: "1\r\n", After: "1\n"}, "/etc/a: 1\\r → 1\n"},
		"removed file":  {modules.Diff{Subject: "/etc/a", Before: "1\n2\n"}, "--- /etc/a\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-1\n-2\n"},
		"settings, which have no line break at the end": {
			modules.Diff{Subject: "kernel settings", Before: "a = 1\nb = 2", After: "a = 1\nb = 3"},
			"--- kernel settings\n+++ kernel settings\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n",
		},
		"no line break at the end": {
			modules.Diff{Subject: "/etc/a", Before: "1\n2", After: "1\n2\n"},
			"--- /etc/a\n+++ /etc/a\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+2\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Unified(test.diff)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
