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
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
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
	t.Chdir(filepath.Dir(path)) // a name without a slash is not searched for in PATH
	inv, diags := Load("hosts")
	if diags.HasErrors() || len(diags) != 1 || diags[0].Detail != "hosts --list says: heard" {
		t.Fatalf("the diagnostics are %v, want a warning with what it says", diags)
	}
	h := inv.Host("web1")
	if h == nil || h.Port != 2222 || len(inv.Answers["hosts --list"]) == 0 {
		t.Errorf("the host is %+v, the answers %v", h, inv.Answers)
	}
	if inv, _ := LoadStatic(nil, "hosts"); len(inv.Hosts) > 0 || len(inv.Answers) > 0 {
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
		"it fails":                {"#!/bin/sh\necho no such region >&2\nexit 3\n", 0o755, "hosts --list: exit status 3; its output: no such region"},
		"it says nothing":         {"#!/bin/sh\nexit 3\n", 0o755, "hosts --list: exit status 3"},
		"no JSON":                 {"#!/bin/sh\necho hello\n", 0o755, "hosts --list:1: expected JSON: invalid character 'h' looking for beginning of value"},
		"others may write to it":  {"#!/bin/sh\necho '{}'\n", 0o777, "hosts is not run, because every user can write to it (run chmod o-w): only you and root may have write access to a program"},
		"its group may":           {"#!/bin/sh\necho '{}'\n", 0o775, "its group can write to it"},
		"it takes for ever":       {"#!/bin/sh\nexec tail -f /dev/null\n", 0o755, "it did not end within 1s"},
		"it prints for ever":      {"#!/bin/sh\nexec cat /dev/zero\n", 0o755, "its answer is larger than 64 MiB, the limit for an inventory"},
		"it explains itself":      {"#!/bin/sh\necho no such region >&2\necho hello\n", 0o755, "hosts --list says: no such region"},
		"something stays behind":  {"#!/bin/sh\ntail -f /dev/null --pid=$PPID &\necho '{}'\n", 0o755, "hosts --list: it has ended, but a process that it started keeps its output open"},
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

// The program that is run is the one that was checked: ".." after a link leads to the parent of the link's target.
func TestProgramBehindALink(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"near/deep", "far/deep"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, host := range map[string]string{"near": "wrong", "far": "right"} {
		text := "#!/bin/sh\necho '{\"web\": [\"" + host + "\"], \"_meta\": {\"hostvars\": {}}}'\n"
		if err := os.WriteFile(filepath.Join(dir, name, "hosts"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../far/deep", filepath.Join(dir, "near", "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	inv, diags := Load("near/link/../hosts")
	if diags.HasErrors() || len(inv.Hosts) != 1 || inv.Hosts[0].Name != "right" {
		t.Errorf("the hosts are %v: %v", inv.Hosts, diags)
	}
}
