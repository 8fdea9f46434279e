package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// tree makes a directory on the controller from paths; content of the form "-> X" makes a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	modulestest.Place(t, root, files)
	return root
}

// treeHost returns a host that has nothing below /etc/app except what is given.
func treeHost(names []string, more ...observe.Expectation) modules.Host {
	expect := []observe.Expectation{observe.Files.Expect("/etc/app", observe.File{})}
	for _, name := range names {
		expect = append(expect, observe.Files.Expect("/etc/app/"+name, observe.File{}))
	}
	return host(append(expect, more...)...)
}

func TestTrees(t *testing.T) {
	src := tree(t, map[string]string{"/a.conf": "a", "/bin/run": "#!/bin/sh\n", "/conf.d/x.conf": "x", "/conf.d/y.conf.tmpl": "${n}", "/empty/": "", "/link": "-> a.conf"})
	if err := os.Chmod(filepath.Join(src, "bin/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"a.conf", "bin", "bin/run", "conf.d", "conf.d/x.conf", "conf.d/y.conf", "empty", "link"}
	rendered := map[string]string{"conf.d/y.conf": "1"}
	whole := &File{Path: "/etc/app", Tree: src, Files: rendered, Group: "adm"}
	h := treeHost(names)
	plan := modulestest.Converges(t, whole, h)
	want := []string{
		"create directory /etc/app (0755 root:adm)",
		"create /etc/app/a.conf (1 byte, 0644 root:adm)",
		"create directory /etc/app/bin (0755 root:adm)",
		"create /etc/app/bin/run (10 bytes, 0755 root:adm)",
		"create directory /etc/app/conf.d (0755 root:adm)",
		"create /etc/app/conf.d/x.conf (1 byte, 0644 root:adm)",
		"create /etc/app/conf.d/y.conf (1 byte, 0644 root:adm)",
		"create directory /etc/app/empty (0755 root:adm)",
		"create /etc/app/link (1 byte, 0644 root:adm)",
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(summaries(plan), "\n")); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}

	// One file differs. Another was added by hand and is kept.
	h.Predict([]observe.Expectation{observe.Files.Expect("/etc/app/conf.d/x.conf", regular("z"))})
	if got := summaries(modulestest.Converges(t, whole, h)); len(got) != 1 || got[0] != "write /etc/app/conf.d/x.conf (1 byte, 0644 root:adm)" {
		t.Errorf("one file of the tree differs, and the steps are %q", got)
	}

	// An empty map, which may be computed, still asks for a directory.
	none := &File{Path: "/etc/app", Files: map[string]string{}}
	if got := summaries(modulestest.Converges(t, none, treeHost(nil))); len(got) != 1 || got[0] != "create directory /etc/app (0755 root:root)" {
		t.Errorf("with no files the steps are %q", got)
	}

	modes := &File{Path: "/etc/app", Files: map[string]string{"d/f": "1"}, Mode: 0o750, FileMode: 0o640}
	got := summaries(modulestest.Converges(t, modes, treeHost([]string{"d", "d/f"})))
	if want := []string{"create directory /etc/app (0750 root:root)", "create directory /etc/app/d (0750 root:root)", "create /etc/app/d/f (1 byte, 0640 root:root)"}; !cmp.Equal(got, want) {
		t.Errorf("with modes the steps are %q, expected %q", got, want)
	}
}

func summaries(plan modules.Plan) []string {
	var all []string
	for _, step := range plan.Steps {
		all = append(all, step.Summary)
	}
	return all
}

func TestTreesAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, argument, want string
		file                 File
	}{
		{"no directory", "tree", "no such file", File{Tree: "/no/such/dir"}},
		{"a file", "tree", "not a directory", File{Tree: filepath.Join(tree(t, map[string]string{"/f": ""}), "f")}},
		{"a template that nobody renders", "tree", "is a template", File{Tree: tree(t, map[string]string{"/a.tmpl": ""})}},
		{"a link to a directory", "tree", "neither a file nor a directory", File{Tree: tree(t, map[string]string{"/d/": "", "/l": "-> d"})}},
		{"twice", "files", "a is also provided by", File{Tree: tree(t, map[string]string{"/a": ""}), Files: map[string]string{"a": ""}}},
		{"out of the directory", "files", "not a path within", File{Files: map[string]string{"../passwd": ""}}},
		{"absolute", "files", "not a path within", File{Files: map[string]string{"/etc/passwd": ""}}},
		{"a file as a directory", "files", "a is a file", File{Files: map[string]string{"a": "", "a/b": ""}}},
		{"for a file", "files", "has no effect", File{State: "present", Files: map[string]string{"a": ""}}},
		{"with nothing to copy", "file_mode", "it needs tree or files", File{FileMode: 0o600}},
		{"more than permissions", "file_mode", "is not a valid mode", File{FileMode: 1 << 14, Files: map[string]string{"a": ""}}},
	} {
		test.file.Path = "/etc/app"
		err := modulestest.Decoded(&test.file).Validate()
		var fault *modules.ArgumentError
		if !errors.As(err, &fault) || fault.Argument != test.argument || !strings.Contains(fault.Problem, test.want) {
			t.Errorf("%s: the fault is %v, expected one in %s with %q", test.name, err, test.argument, test.want)
		}
	}
}

// A directory inside the tree that another user could replace is not written through.
func TestTreeLinks(t *testing.T) {
	link := observe.File{Type: observe.Symlink, Mode: fs.FileMode(0o777), Owner: "ops", Target: "/root", Loose: "ops"}
	h := treeHost([]string{"d/f"}, observe.Files.Expect("/etc/app", dir()), observe.Files.Expect("/etc/app/d", link))
	f := modulestest.Decoded(&File{Path: "/etc/app", Files: map[string]string{"d/f": "1"}})
	if plan, err := f.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "ops may change it") {
		t.Errorf("the error is %v; the plan is:\n%s", err, modulestest.Summaries(plan))
	}
}
