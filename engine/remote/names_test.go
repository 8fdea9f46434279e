package remote

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// domain returns a PATH with a stat(1) that renames the stranger and the group to names from a Windows domain.
func domain(t *testing.T) string {
	t.Helper()
	stat, err := exec.LookPath("stat")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := "#!/bin/sh\nout=$(" + stat + ` "$@" && echo x); code=$?
printf '%s' "${out%x}" | sed -e 's/nobody/DOM\\carl * smith/g' -e 's/nogroup/domain users/g' -e 's/root/domain admins/g'
exit $code
`
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// Names of users and groups may contain spaces, backslashes and stars.
func TestNamesOfADomain(t *testing.T) {
	s := newFixture(t)
	path := domain(t)
	if err := os.Chmod(s.home, 0o775); err != nil {
		t.Fatal(err)
	}
	for what, c := range acts(filepath.Join(s.home, "f")) {
		s.file("f")
		if what == "make" {
			os.Remove(filepath.Join(s.home, "f"))
		}
		c.Env = map[string]string{"PATH": path}
		if r, err := s.conn.Run(bounded(t), c); err != nil || r.Exit != 0 {
			t.Errorf("%s: %+v %v", what, r, err)
		}
		s.untouched(what)
		os.Remove(filepath.Join(s.home, "f"))
	}
	noLeftovers(t, s.home)

	s.file("kept")
	kept := filepath.Join(s.home, "kept")
	if err := os.Chmod(kept, 0o640); err != nil {
		t.Fatal(err)
	}
	c := File{Path: kept, Content: []byte("written")}.Command()
	c.Env = map[string]string{"PATH": path}
	if r, err := s.conn.Run(bounded(t), c); err != nil || r.Exit != 0 {
		t.Errorf("%+v %v", r, err)
	}
	expectFile(t, kept, []byte("written"), 0o640)
	if info, err := os.Stat(kept); err != nil || info.Sys().(*syscall.Stat_t).Uid != stranger || info.Sys().(*syscall.Stat_t).Gid != stranger {
		t.Errorf("the file belongs to %+v (%v), want the stranger", info.Sys(), err)
	}

	s.link(s.victim(), "evil")
	c = File{Path: filepath.Join(s.home, "evil"), Content: []byte("written")}.Command()
	c.Env = map[string]string{"PATH": path}
	if r, err := s.conn.Run(bounded(t), c); err != nil || r.Exit == 0 || !strings.Contains(string(r.Stderr), `DOM\carl * smith`) {
		t.Errorf("%+v %v, want a refusal that names the owner", r, err)
	}
	s.untouched("write evil")
}
