package file

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func regular(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func dir() observe.File {
	return observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
}

func text(s string) *string { return &s }

// host returns a host with some files in /etc.
func host(more ...observe.Expectation) modules.Host {
	return observe.NewRecorded("pve1", append([]observe.Expectation{
		observe.Programs.Expect("visudo", true),
		observe.Programs.Expect("no-such-checker", false),
		looks("bye\n", remote.Answer{}),
		observe.Files.Expect("/etc", dir()),
		observe.Files.Expect("/etc/motd", regular("hello\n")),
		observe.Files.Expect("/etc/new", observe.File{}),
		observe.Files.Expect("/etc/a", observe.File{}),
		observe.Files.Expect("/etc/a/b", observe.File{}),
		observe.Files.Expect("/etc/a/b/c", observe.File{}),
		observe.Files.Expect("/etc/sub", dir()),
		observe.Dirs.Expect("/etc/sub", observe.Listing{Exists: true, Entries: []string{"x"}}),
		observe.Files.Expect("/etc/void", dir()),
		observe.Dirs.Expect("/etc/void", observe.Listing{Exists: true}),
		observe.Files.Expect("/etc/link", observe.File{Type: observe.Symlink, Mode: 0o777, Target: "motd"}),
		observe.Files.Expect("/etc/fifo", observe.File{Type: observe.Other}),
		observe.Files.Expect("/etc/none", observe.File{}), observe.Files.Expect("/etc/none/new", observe.File{}),
		observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"}),
		observe.Files.Expect("/etc/pve/x.cfg", observe.File{}),
		observe.Whoami.Expect("", "root"),
		observe.Users.Expect("ops", observe.User{Name: "ops"}), observe.Users.Expect("nobody9", observe.User{}),
		observe.Groups.Expect("adm", observe.Group{Name: "adm", GID: 4}), observe.Groups.Expect("none9", observe.Group{}),
	}, more...)...)
}

// looks expects visudo to answer as given if it checks the content.
func looks(content string, says remote.Answer) observe.Expectation {
	ask := observe.Reading{Argv: []string{"visudo", "-cf", "-"}, Stdin: content, Limit: checkLimit}
	return observe.Checks.Expect(ask.Key(), says)
}

func TestPlans(t *testing.T) {
	for _, test := range []struct {
		name string
		file File
		want []modules.Action
	}{
		{"the content is there", File{Path: "/etc/motd", Content: text("hello\n")}, nil},
		{"other content", File{Path: "/etc/motd", Content: text("bye\n")}, []modules.Action{
			modules.WriteFile{Path: "/etc/motd", Content: []byte("bye\n")}}},
		{"no content is kept content", File{Path: "/etc/motd"}, nil},
		{"a new file", File{Path: "/etc/new", Content: text("x"), Mode: 0o600, Owner: "root"}, []modules.Action{
			modules.WriteFile{Path: "/etc/new", Content: []byte("x"), Mode: 0o600, Owner: "root"}}},
		{"a line to be replaced in no file", File{Path: "/etc/new", Lines: []Line{{Line: "x", Regexp: "^x$", State: "replaced"}}}, nil},
		{"a line to be replaced in no directory", File{Path: "/etc/none/new", Lines: []Line{{Line: "x", Regexp: "^x$", State: "replaced"}}}, nil},
		{"a new empty file", File{Path: "/etc/new"}, []modules.Action{modules.WriteFile{Path: "/etc/new"}}},
		{"through a link", File{Path: "/etc/link", Content: text("bye\n")}, []modules.Action{
			modules.WriteFile{Path: "/etc/motd", Content: []byte("bye\n")}}},
		{"in place of a link", File{Path: "/etc/link", Content: text("bye\n"), Replace: true}, []modules.Action{
			modules.WriteFile{Path: "/etc/link", Content: []byte("bye\n")}}},
		{"in place of an empty directory", File{Path: "/etc/void", Content: text("x"), Replace: true}, []modules.Action{
			modules.Remove{Path: "/etc/void", Lossless: true}, modules.WriteFile{Path: "/etc/void", Content: []byte("x")}}},
		{"mode and group", File{Path: "/etc/motd", Mode: fs.ModeSetuid | 0o755, Group: "adm"}, []modules.Action{
			modules.SetAttributes{Path: "/etc/motd", Mode: mode(0o4755), Group: "adm"}}},
		{"mode with other content", File{Path: "/etc/motd", Content: text("x"), Mode: 0o600}, []modules.Action{
			modules.WriteFile{Path: "/etc/motd", Content: []byte("x"), Mode: 0o600}}},
		{"content that a program has looked at", File{Path: "/etc/motd", Content: text("bye\n"), Checker: []string{"visudo", "-cf", "-"}}, []modules.Action{
			modules.Run{Argv: []string{"visudo", "-cf", "-"}, Stdin: []byte("bye\n")}, modules.WriteFile{Path: "/etc/motd", Content: []byte("bye\n")}}},
		{"content that is there is not looked at", File{Path: "/etc/motd", Content: text("hello\n"), Checker: []string{"visudo", "-cf", "-"}}, nil},
		{"parents", File{Path: "/etc/a/b/c", Content: text("x"), MakeParents: true}, []modules.Action{
			modules.MakeDir{Path: "/etc/a/b", Mode: 0o755}, modules.WriteFile{Path: "/etc/a/b/c", Content: []byte("x")}}},
		{"in the cluster file system", File{Path: "/etc/pve/x.cfg", Content: text("x")}, []modules.Action{
			modules.WriteFile{Path: "/etc/pve/x.cfg", Content: []byte("x")}}},

		{"a new directory", File{Path: "/etc/new", State: "directory", Mode: 0o2750, Group: "adm"}, []modules.Action{
			modules.MakeDir{Path: "/etc/new", Mode: 0o2750, Group: "adm"}}},
		{"a directory that is there", File{Path: "/etc/sub", State: "directory", Mode: 0o755}, nil},
		{"the mode of a directory", File{Path: "/etc/sub", State: "directory", Mode: 0o700}, []modules.Action{
			modules.SetAttributes{Path: "/etc/sub", Mode: mode(0o700)}}},

		{"a new link", File{Path: "/etc/new", Target: "motd"}, []modules.Action{modules.Link{Path: "/etc/new", Target: "motd"}}},
		{"a link that is there", File{Path: "/etc/link", Target: "motd"}, nil},
		{"a link elsewhere", File{Path: "/etc/link", Target: "/x"}, []modules.Action{modules.Link{Path: "/etc/link", Target: "/x"}}},
		{"a link in place of a file", File{Path: "/etc/motd", Target: "/x", Replace: true}, []modules.Action{modules.Link{Path: "/etc/motd", Target: "/x"}}},

		{"absent already", File{Path: "/etc/new", State: "absent"}, nil},
		{"remove a file", File{Path: "/etc/motd", State: "absent"}, []modules.Action{modules.Remove{Path: "/etc/motd"}}},
		{"remove a link, not what it leads to", File{Path: "/etc/link", State: "absent"}, []modules.Action{modules.Remove{Path: "/etc/link", Lossless: true}}},
		{"remove an empty directory", File{Path: "/etc/void", State: "absent"}, []modules.Action{modules.Remove{Path: "/etc/void", Lossless: true}}},
		{"remove a tree", File{Path: "/etc/sub", State: "absent", Recursive: true}, []modules.Action{modules.Remove{Path: "/etc/sub", Recursive: true}}},

		{"a line", File{Path: "/etc/motd", Lines: []Line{{Line: "world"}}}, []modules.Action{
			modules.WriteFile{Path: "/etc/motd", Content: []byte("hello\nworld\n")}}},
		{"a line in a new file", File{Path: "/etc/new", Create: true, Lines: []Line{{Line: "world"}}}, []modules.Action{
			modules.WriteFile{Path: "/etc/new", Content: []byte("world\n")}}},
		{"a line that should not be in a file that is not there", File{Path: "/etc/new", Lines: []Line{{Line: "x", State: "absent"}}}, nil},
		{"a block", File{Path: "/etc/motd", Blocks: []Block{{Marker: "m", Content: "a\nb"}}}, []modules.Action{
			modules.WriteFile{Path: "/etc/motd", Content: []byte("hello\n# BEGIN m\na\nb\n# END m\n")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := modulestest.Decoded(&test.file).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.file, host())
			var got []modules.Action
			for _, step := range plan.Steps {
				got = append(got, step.Action)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b modules.WriteFile) bool {
				return a.Path == b.Path && bytes.Equal(a.Content, b.Content) && a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group
			}), cmp.Comparer(func(a, b modules.Run) bool { return cmp.Equal(a.Argv, b.Argv) && bytes.Equal(a.Stdin, b.Stdin) })); diff != "" {
				t.Errorf("wrong actions (-want +got):\n%s", diff)
			}
		})
	}
}

func mode(m fs.FileMode) *fs.FileMode { return &m }

// Another owner or group does not keep setuid and setgid, and a later task knows.
func TestSetuidIsNotKept(t *testing.T) {
	for _, test := range []struct {
		file File
		want fs.FileMode
	}{
		{File{Owner: "ops"}, 0o755}, {File{Group: "adm"}, 0o755}, {File{Owner: "root", Group: "root"}, 0o6755}, {File{Group: "adm", Mode: 0o2750}, 0o2750},
	} {
		tool := regular("hello\n")
		tool.Mode = 0o6755
		h := host(observe.Files.Expect("/etc/motd", tool))
		f := test.file
		f.Path, f.Content = "/etc/motd", text("bye\n")
		plan, err := f.Plan(t.Context(), h)
		if err != nil || len(plan.Steps) != 1 {
			t.Fatal(plan, err)
		}
		h.Predict(plan.Steps[0].Expect)
		if after, err := observe.Files.Observe(t.Context(), h, "/etc/motd"); err != nil || after.Mode != test.want {
			t.Errorf("%+v: mode %04o (%v), want %04o", test.file, after.Mode, err, test.want)
		}
	}
}

// The kernel clears setuid and setgid when a file gets another owner; a mode that the task gives is set after that.
func TestSetuidOfAnotherOwner(t *testing.T) {
	for _, test := range []struct {
		file File
		want fs.FileMode
		set  *fs.FileMode
	}{
		{File{Owner: "ops"}, 0o755, nil},
		{File{Group: "adm"}, 0o755, nil},
		{File{Owner: "ops", Mode: 0o6755}, 0o6755, mode(0o6755)},
		{File{Owner: "ops", Mode: 0o755}, 0o755, nil},
		{File{Mode: 0o4755}, 0o4755, mode(0o4755)},
	} {
		tool := regular("hello\n")
		tool.Mode = 0o6755
		h := host(observe.Files.Expect("/etc/motd", tool))
		f := test.file
		f.Path = "/etc/motd"
		plan := modulestest.Converges(t, &f, h)
		if len(plan.Steps) != 1 {
			t.Fatalf("%+v: %s", test.file, modulestest.Summaries(plan))
		}
		if set := plan.Steps[0].Action.(modules.SetAttributes).Mode; !cmp.Equal(set, test.set) {
			t.Errorf("%+v: the mode is set to %v, want %v", test.file, set, test.set)
		}
		if after, err := observe.Files.Observe(t.Context(), h, "/etc/motd"); err != nil || after.Mode != test.want {
			t.Errorf("%+v: mode %04o (%v), want %04o", test.file, after.Mode, err, test.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name string
		file File
		want string
	}{
		{"a directory that is not empty", File{Path: "/etc/sub", State: "absent"}, "recursive = true"},
		{"a file where a directory is", File{Path: "/etc/sub", Content: text("x")}, "replace = true"},
		{"a full directory is not replaced", File{Path: "/etc/sub", Content: text("x"), Replace: true}, "1 entries"},
		{"nor by a link", File{Path: "/etc/sub", Target: "x", Replace: true}, "1 entries"},
		{"a link where a file is", File{Path: "/etc/motd", Target: "x"}, "replace = true"},
		{"a directory where a file is", File{Path: "/etc/motd", State: "directory"}, "regular file"},
		{"a pipe", File{Path: "/etc/fifo", Content: text("x")}, "special file"},
		{"no parent", File{Path: "/etc/a/b", Content: text("x")}, "make_parents = true"},
		{"a line of nothing", File{Path: "/etc/new", Lines: []Line{{Line: "x"}}}, "create = true"},
		{"a mode in the cluster file system", File{Path: "/etc/pve/x.cfg", Mode: 0o600}, "cluster file system"},
		{"lines that undo each other", File{Path: "/etc/motd", Lines: []Line{{Line: "x", Regexp: "^[xy]$"}, {Line: "y", Regexp: "^[xy]$"}}}, `the line "x" conflicts with another line`},
		{"an owner that is not there", File{Path: "/etc/new", Content: text("x"), Owner: "nobody9"}, "owner: there is no account nobody9"},
		{"a group that is not there", File{Path: "/etc/new", State: "directory", Owner: "ops", Group: "none9"}, "group: there is no group none9"},
		{"the same for a file that is there", File{Path: "/etc/motd", Owner: "nobody9"}, "owner: there is no account nobody9"},
		{"a program that is not there", File{Path: "/etc/motd", Content: text("x"), Checker: []string{"no-such-checker", "-"}}, "the new /etc/motd needs no-such-checker"},
		{"a program of the guard", File{Path: "/etc/motd", Content: text("x"), Guard: &Guard{Apply: []string{"no-such-checker"}}}, "the new /etc/motd needs no-such-checker"},
		{"a block without end", File{Path: "/etc/motd", Lines: []Line{{Line: "# BEGIN m"}}, Blocks: []Block{{Marker: "m"}}}, "by hand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := modulestest.Decoded(&test.file).Plan(t.Context(), host())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, expected one with %q; the plan is:\n%s", err, test.want, modulestest.Summaries(plan))
			}
		})
	}
}

// TestNameThatSomebodyMade checks that mode and owner of a file with several names are refused, in check mode too, if
// another user could have made one of the names. They are set if the file has one name, or if only root can make names
// there.
func TestNameThatSomebodyMade(t *testing.T) {
	linked := regular("x")
	linked.Others = 1
	homes := []observe.Expectation{observe.Files.Expect("/", dir()), observe.Files.Expect("/home", dir()), observe.Files.Expect("/home/ops", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "ops", Group: "ops"})}
	for _, test := range []struct {
		path string
		file observe.File
		want string
	}{
		{"/home/ops/app.conf", linked, "/home/ops/app.conf on pve1 has further names (hard links), and ops may have made it"},
		{"/home/ops/app.conf", regular("x"), ""},
		{"/etc/app.conf", linked, ""},
	} {
		f := File{Path: test.path, Owner: "ops", Mode: 0o600}
		plan, err := modulestest.Decoded(&f).Plan(t.Context(), host(append(homes, observe.Files.Expect(test.path, test.file))...))
		if test.want == "" && (err != nil || len(plan.Steps) != 1) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s with %d other names: %d steps, %v", test.path, test.file.Others, len(plan.Steps), err)
		}
	}
}

// The host saves a file and restores it by name to undo a change, so no other user may be able to put something else under
// that name.
func TestGuardWhereOthersMakeNames(t *testing.T) {
	ops := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "ops", Group: "ops"}
	every := observe.File{Type: observe.Directory, Mode: 0o1777, Owner: "root", Group: "root"}
	known := []observe.Expectation{
		observe.Files.Expect("/", dir()), observe.Files.Expect("/home", dir()), observe.Files.Expect("/home/ops", ops),
		observe.Files.Expect("/home/ops/app.conf", regular("x")), observe.Files.Expect("/tmp", every), observe.Files.Expect("/tmp/app.conf", owned(regular("x"), "ops")),
		observe.Files.Expect("/etc/app.conf", observe.File{Type: observe.Symlink, Mode: 0o777, Owner: "root", Group: "root", Target: "/home/ops/app.conf"}),
		observe.Programs.Expect("true", true),
	}
	for at, want := range map[string]string{
		"/home/ops/app.conf": "ops can replace /home/ops/app.conf",
		"/tmp/app.conf":      "every user can replace /tmp/app.conf",
		"/etc/app.conf":      "ops can replace /etc/app.conf",
		"/etc/motd":          "",
	} {
		f := File{Path: at, Content: text("new\n"), Guard: &Guard{Apply: []string{"true"}}}
		plan, err := modulestest.Decoded(&f).Plan(t.Context(), host(known...))
		if want == "" && (err != nil || plan.Guard == nil) || want != "" && (err == nil || len(plan.Steps) > 0 || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %d steps, guard %v, %v; want %q", at, len(plan.Steps), plan.Guard, err, want)
		}
	}
}

func owned(f observe.File, by string) observe.File {
	f.Owner, f.Group = by, by
	return f
}

func TestRefusedContentSaysWhoRefusedIt(t *testing.T) {
	f := File{Path: "/etc/motd", Content: text("bye\n"), Checker: []string{"visudo", "-cf", "-"}}
	plan, err := f.Plan(t.Context(), host())
	if err != nil {
		t.Fatal(err)
	}
	look := plan.Steps[0].Action.(modules.Run)
	got := look.Explain(1, nil, []byte("stdin:1:5: syntax error\n"))
	want := "visudo -cf - rejected the new content of /etc/motd (exit code 1): stdin:1:5: syntax error; nothing was written"
	if got == nil || got.Error() != want {
		t.Errorf("the error is %q, expected %q", got, want)
	}
}

// Check mode reports what the run would refuse, unless an earlier change may affect what the program says.
func TestContentIsCheckedBeforehand(t *testing.T) {
	f := File{Path: "/etc/motd", Content: text("bye\n"), Checker: []string{"visudo", "-cf", "-"}}
	h := host(looks("bye\n", remote.Answer{Exit: 1, Stderr: []byte("stdin:1:5: syntax error\n")}))
	if plan, err := f.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "visudo -cf - rejected the new content of /etc/motd (exit code 1): stdin:1:5: syntax error; nothing was written") || len(plan.Steps) > 0 {
		t.Errorf("%d steps, %v", len(plan.Steps), err)
	}
	ask := observe.Reading{Argv: f.Checker, Stdin: "bye\n", Limit: checkLimit}
	h = host(observe.Checks.Unknown(ask.Key(), "its answer may depend on an earlier change"))
	if plan, err := f.Plan(t.Context(), h); err != nil || len(plan.Steps) != 2 {
		t.Errorf("after a change: %d steps, %v", len(plan.Steps), err)
	}
}

func TestUnknownFilesStayUnknown(t *testing.T) {
	h := host(observe.Files.Unknown("/etc/motd", "a package brings it"))
	f := File{Path: "/etc/motd", Lines: []Line{{Line: "x"}}}
	if _, err := f.Plan(t.Context(), h); !observe.IsUnknown(err) {
		t.Errorf("the error is %v, expected an unknown one", err)
	}
}

func TestLargeFilesAreComparedBySum(t *testing.T) {
	big := bytes.Repeat([]byte("x"), observe.FileLimit+10)
	source := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(source, big, 0o600); err != nil {
		t.Fatal(err)
	}
	there := observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(big)), Content: big[:observe.FileLimit], Truncated: true}
	f := &File{Path: "/etc/motd", Source: source}
	same := modulestest.Converges(t, f, host(observe.Files.Expect("/etc/motd", there), observe.Sums.Expect("/etc/motd", fmt.Sprintf("%x", sha256.Sum256(big)))))
	if len(same.Steps) > 0 {
		t.Errorf("a large file that is the same is written again:\n%s", modulestest.Summaries(same))
	}
	other := modulestest.Converges(t, f, host(observe.Files.Expect("/etc/motd", there), observe.Sums.Expect("/etc/motd", strings.Repeat("0", 64))))
	if len(other.Steps) != 1 {
		t.Errorf("a large file that differs behind the limit makes %d steps, expected 1", len(other.Steps))
	}
	modulestest.Converges(t, f, host())
}

// A source that is emptied and written anew while it is read must not be sent as the little that is there at that moment.
func TestSourceShrinksWhileItIsRead(t *testing.T) {
	r, w, err := os.Pipe() // what was read of it is gone
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = w.Write(make([]byte, observe.FileLimit+10))
		_ = w.Close()
	}()
	f := &File{Path: "/etc/motd", Source: fmt.Sprintf("/dev/fd/%d", r.Fd())}
	if _, err := f.read(false); err == nil || !strings.Contains(err.Error(), "has changed while it was read; run again") {
		t.Errorf("error %v, want one that says so", err)
	}
}

func TestDiffsShowTexts(t *testing.T) {
	f := File{Path: "/etc/motd", Content: text("a\x00b")}
	plan, err := f.Plan(t.Context(), host())
	if err != nil {
		t.Fatal(err)
	}
	d := plan.Steps[0].Diff
	if d.Before != "hello\n" || !strings.HasPrefix(d.After, "3 bytes, SHA-256 ") {
		t.Errorf("the diff is %+v, expected the text before and a sum for what is no text", d)
	}
}

func TestFaultsInArguments(t *testing.T) {
	for _, test := range []struct {
		argument string
		file     File
	}{
		{"path", File{Path: "etc/motd"}},
		{"path", File{Path: "/etc/../motd"}},
		{"path", File{Path: "/"}},
		{"recursive", File{Path: "/etc", State: "absent", Recursive: true}},
		{"target", File{Path: "/etc/x", State: "link"}},
		{"target", File{Path: "/etc/x", State: "present", Target: "y"}},
		{"content", File{Path: "/etc/x", State: "directory", Content: text("")}},
		{"mode", File{Path: "/etc/x", State: "link", Target: "y", Mode: 0o600}},
		{"source", File{Path: "/etc/x", Source: "/no/such/file"}},
		{"source", File{Path: "/etc/x", Source: "/no/such/file", Content: text("")}},
		{"owner", File{Path: "/etc/x", Owner: "0"}},
		{"validate", File{Path: "/etc/x", State: "directory", Checker: []string{"true"}}},
		{"validate", File{Path: "/etc/x", Content: text(""), Checker: []string{}}},
		{"validate", File{Path: "/etc/x", Content: text(""), Checker: []string{"visudo", "-cf", "%s"}}},
		{"mode", File{Path: "/etc/x", Mode: 0o17777}},
		{"line.line", File{Path: "/etc/x", Lines: []Line{{}}}},
		{"line.line", File{Path: "/etc/x", Lines: []Line{{Line: "a\nb"}}}},
		{"line", File{Path: "/etc/x", Lines: []Line{{State: "absent"}}}},
		{"line.regexp", File{Path: "/etc/x", Lines: []Line{{Line: "a", Regexp: "("}}}},
		{"line.regexp", File{Path: "/etc/x", Lines: []Line{{Line: "a", Regexp: "^b"}}}},
		{"line.insert_before", File{Path: "/etc/x", Lines: []Line{{Line: "a", InsertAfter: "x", InsertBefore: "y"}}}},
		{"block.marker", File{Path: "/etc/x", Blocks: []Block{{}, {}}}},
		{"block.content", File{Path: "/etc/x", Blocks: []Block{{Marker: "m", Content: "# END m\n"}}}},
	} {
		err := modulestest.Decoded(&test.file).Validate()
		var fault *modules.ArgumentError
		if !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.file, err, test.argument)
		}
	}
}
