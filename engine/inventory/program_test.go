package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func program(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestProgram(t *testing.T) {
	const answer = `#!/bin/sh
[ "$*" = --list ] || exit 9
echo heard >&2
echo '{"_meta": {"hostvars": {"web1": {"ansible_port": 2222}}}, "web": {"hosts": ["web1"]}}'
`
	path := program(t, answer, 0o755)
	t.Chdir(filepath.Dir(path)) // a name without a slash is not looked for in PATH
	inv, diags := Load("hosts")
	if diags.HasErrors() || len(diags) != 1 || diags[0].Detail != "hosts --list says: heard" {
		t.Fatalf("the diagnostics are %v, want a warning with what it says", diags)
	}
	h := inv.Host("web1")
	if h == nil || h.Port != 2222 || len(inv.Answers["hosts --list"]) == 0 {
		t.Errorf("the host is %+v, the answers %v", h, inv.Answers)
	}
	if inv, _ := LoadStill(nil, "hosts"); len(inv.Hosts) > 0 || len(inv.Answers) > 0 {
		t.Errorf("a program was run that was not to be: %v", inv.Answers)
	}
}

func TestProgramsThatGiveNoInventory(t *testing.T) {
	defer func(before time.Duration) { programTime = before }(programTime)
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"it fails":                {"#!/bin/sh\necho no such region >&2\nexit 3\n", 0o755, "hosts --list: exit status 3; it says: no such region"},
		"it says nothing":         {"#!/bin/sh\nexit 3\n", 0o755, "hosts --list: exit status 3"},
		"no JSON":                 {"#!/bin/sh\necho hello\n", 0o755, "hosts --list:1: expected JSON: invalid character 'h' looking for beginning of value"},
		"others may write to it":  {"#!/bin/sh\necho '{}'\n", 0o777, "hosts is not run, because every user can write to it (run chmod o-w): a program must be writable by nobody but you and root"},
		"its group may":           {"#!/bin/sh\necho '{}'\n", 0o775, "its group can write to it"},
		"it takes for ever":       {"#!/bin/sh\nexec tail -f /dev/null\n", 0o755, "it did not end within 1s"},
		"it prints for ever":      {"#!/bin/sh\nexec cat /dev/zero\n", 0o755, "its answer is larger than 64 MiB, the limit for an inventory"},
		"its interpreter is away": {"#!/nowhere/python\n", 0o755, "is the program in its first line installed?"},
	} {
		t.Run(name, func(t *testing.T) {
			if programTime = time.Minute; name == "it takes for ever" {
				programTime = time.Second
			}
			_, diags := Load(program(t, c.text, c.mode))
			if !diags.HasErrors() || !strings.Contains(diags.Error(), c.want) {
				t.Errorf("the diagnostics are %v, want %q", diags, c.want)
			}
		})
	}
}
