package observe

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hlplay/engine/remote"
)

// holdsHere asks this machine whether values hold.
func holdsHere(t *testing.T, queries []remote.Query, ok bool) bool {
	t.Helper()
	if !ok {
		t.Fatal("it cannot be asked")
	}
	answers, err := thisMachine{}.Ask(t.Context(), queries)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Exit != 0 {
			return false
		}
	}
	return true
}

// plainDir returns a directory for the test below directories that only root and this user can write to, of which there are
// none in /tmp.
func plainDir(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || info.Mode()&(0o022|os.ModeSymlink) != 0 || !owned(info) {
			t.Skipf("others can write to %s, which is above the test's directory", dir)
		}
		if dir == "/" {
			break
		}
	}
	dir, err := os.MkdirTemp(here, "holds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// What was observed holds until anything of it changes that a plan can tell: type, content, mode, links, presence, and who can
// write to the directories above.
func TestFilesHold(t *testing.T) {
	dir := plainDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	names := []string{at("file"), at("empty"), at("sub dir/$x*"), at("sub dir"), at("link"), at("none"), at("none/below"), "/", dir}
	build := func() {
		must(os.Mkdir(at("sub dir"), 0o755))
		write("file", "one\ntwo\n")
		write("empty", "")
		write("sub dir/$x*", "no newline")
		must(os.Symlink("file", at("link")))
	}
	for name, change := range map[string]func(){
		"":                      func() {},
		"the same anew":         func() { must(os.Remove(at("file"))); write("file", "one\ntwo\n") },
		"content":               func() { write("file", "one\ntwO\n") },
		"a newline":             func() { write("sub dir/$x*", "no newline\n") },
		"an empty file":         func() { write("empty", "x") },
		"mode":                  func() { must(os.Chmod(at("file"), 0o600)) },
		"setuid":                func() { must(os.Chmod(at("file"), 0o644|os.ModeSetuid)) },
		"mode of the directory": func() { must(os.Chmod(at("sub dir"), 0o700)) },
		"another name":          func() { must(os.Link(at("file"), at("other"))) },
		"a target":              func() { must(os.Remove(at("link"))); must(os.Symlink("files", at("link"))) },
		"no link":               func() { must(os.Remove(at("link"))); write("link", "file") },
		"gone":                  func() { must(os.Remove(at("file"))) },
		"a directory":           func() { must(os.Mkdir(at("none"), 0o755)) },
		"a dangling link":       func() { must(os.Symlink("nowhere", at("none"))) },
		"others may write":      func() { must(os.Chmod(dir, 0o777)) },
		"a link above":          func() { must(os.Rename(at("sub dir"), at("moved"))); must(os.Symlink("moved", at("sub dir"))) },
		"more in the directory": func() { must(os.Mkdir(at("sub dir/more"), 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			must(os.RemoveAll(dir))
			must(os.Mkdir(dir, 0o755))
			build()
			h := localHost(t)
			values := map[string]File{}
			all, err := Files.ObserveAll(t.Context(), h, names)
			must(err)
			for name, f := range all {
				f.Stamp = "" // as it is foreseen
				values[name] = f
			}
			queries, ok := Files.Holds(values)
			change()
			want := name == "" || name == "the same anew" || name == "more in the directory"
			if got := holdsHere(t, queries, ok); got != want {
				t.Errorf("holds: %v, want %v", got, want)
			}
		})
	}
	for name, f := range map[string]File{
		"/proc/none": {}, "/dev/null": {Type: Other}, "/big": {Type: Regular, Truncated: true},
		"/etc/\"": {Type: Regular}, "/etc/\n": {}, "/etc/ä": {}, "/loose": {Type: Symlink, Target: "x", Loose: "bob"},
	} {
		if _, ok := Files.Holds(map[string]File{name: f}); ok {
			t.Errorf("%q can be asked for", name)
		}
	}
}

// So do files that are read together.
func TestTextFilesHold(t *testing.T) {
	dir := t.TempDir()
	kind := TextFiles("text", dir+"/b/*.conf", dir+"/a/*.conf")
	for _, sub := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want bool, change func(files []TextFile) []TextFile) {
		t.Helper()
		files, err := kind.Observe(t.Context(), localHost(t), "")
		if err != nil {
			t.Fatal(err)
		}
		queries, ok := kind.Holds(map[string][]TextFile{"": change(files)})
		if got := holdsHere(t, queries, ok); got != want {
			t.Errorf("%v hold: %v, want %v", files, got, want)
		}
	}
	same := func(files []TextFile) []TextFile { return files }
	check(true, same)
	for name, text := range map[string]string{"a/1.conf": "x\n", "b/2.conf": "", "b/10.conf": "==> " + dir + "/b/1.conf <==", "a/0.conf": "\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(true, same)
	check(true, func(files []TextFile) []TextFile { return append(files[1:], files[0]) })
	check(false, func(files []TextFile) []TextFile { return files[1:] })
	check(false, func(files []TextFile) []TextFile { return append(files, TextFile{dir + "/a/9.conf", ""}) })
	check(false, func(files []TextFile) []TextFile { files[0].Content += "\n"; return files })
}

// So do kernel settings.
func TestSysctlsHold(t *testing.T) {
	for _, v := range []Sysctl{{}, {Exists: true, Hidden: true}, {Exists: true, Value: "1", Fixed: true}, {Exists: true, Value: "1\n2"}} {
		if _, ok := Sysctls.Holds(map[string]Sysctl{"x": v}); ok {
			t.Errorf("%v can be asked for", v)
		}
	}
	values := map[string]Sysctl{}
	for _, name := range []string{"vm.swappiness", "net.ipv4.ip_local_port_range", "kernel.printk"} {
		v, err := Sysctls.Observe(t.Context(), localHost(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if v.Exists && !v.Hidden && !v.Fixed {
			values[name] = v
		}
	}
	if len(values) == 0 {
		t.Skip("no kernel setting can be written here")
	}
	queries, ok := Sysctls.Holds(values)
	if !holdsHere(t, queries, ok) {
		t.Errorf("%v do not hold", values)
	}
	for name, v := range values {
		v.Value += "1"
		queries, ok := Sysctls.Holds(map[string]Sysctl{name: v})
		if holdsHere(t, queries, ok) {
			t.Errorf("%s = %s holds", name, v.Value)
		}
	}
}

// A foreseen host knows what was remembered and what is predicted, and asks for nothing.
func TestForesee(t *testing.T) {
	h := NewRecorded("node", Files.Expect("/a", File{Type: Regular, Content: []byte("old")}), Files.Expect("/b", File{}))
	f := h.Foresee()
	f.Predict([]Expectation{Files.Expect("/a", File{Type: Regular, Content: []byte("new")})})
	for host, want := range map[*Host]string{h: "old", f: "new"} {
		if got, err := Files.Observe(t.Context(), host, "/a"); err != nil || string(got.Content) != want {
			t.Errorf("%q, %v, want %q", got.Content, err, want)
		}
	}
	if _, err := Files.Observe(t.Context(), f, "/c"); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("what is not known: %v", err)
	}
	read := func(name string) Read { return Read{Files, name} }
	if _, ok := f.Holds([]Read{read("/a"), read("/b")}); !ok {
		t.Error("what is known cannot be asked for")
	}
	if _, ok := f.Holds([]Read{read("/a"), read("/c")}); ok {
		t.Error("what is not known can be asked for")
	}
	if _, ok := h.Holds([]Read{read("/a")}); ok {
		t.Error("a host that is not foreseen can be asked")
	}
	f.Peers()
	if _, ok := f.Holds([]Read{read("/a")}); ok {
		t.Error("a plan that asked for other hosts can be asked for")
	}
}

// owned reports whether a directory belongs to root or to this user.
func owned(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Getuid())
}

// A check holds if the command accepts the content once more.
func TestChecksHold(t *testing.T) {
	at := filepath.Join(t.TempDir(), "pattern")
	accept := func(pattern string) {
		t.Helper()
		if err := os.WriteFile(at, []byte(pattern), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accept("one")
	r := Reading{Argv: []string{"grep", "-f", at}, Stdin: "one\ntwo", Limit: ReadLimit, Env: map[string]string{"A": "b"}}
	queries, ok := Checks.Holds(map[string]remote.Answer{r.Key(): {}})
	if !holdsHere(t, queries, ok) {
		t.Error("it does not hold")
	}
	accept("three")
	if holdsHere(t, queries, ok) {
		t.Error("it holds, although the command refuses the content now")
	}
	if _, ok := Checks.Holds(map[string]remote.Answer{r.Key(): {Exit: 1}}); ok {
		t.Error("a refusal can be asked for")
	}
	r.User = "nobody"
	if _, ok := Checks.Holds(map[string]remote.Answer{r.Key(): {}}); ok {
		t.Error("what another user says can be asked for")
	}
}

// A foreseen host knows what other kinds were answered by the same query, unless a step on another host may have changed it.
func TestForeseeFromKeptAnswers(t *testing.T) {
	for _, changed := range []bool{false, true} {
		w := newWire(t.Context(), "a")
		asked, _ := alikes.Observe(t.Context(), w.host, "x")
		if changed {
			w.host.ForgetTouched(func(r Read) bool { return r.Key().Kind == ours.Name })
		}
		f := w.host.Foresee()
		got, err := ours.Observe(t.Context(), f, "x")
		if known := err == nil && got == asked && got != ""; known == changed {
			t.Errorf("changed elsewhere: %v: %q, %v; the other kind: %q", changed, got, err, asked)
		}
		if n := len(w.host.common); n != 1 {
			t.Errorf("%d kept answers, expected those of one flight", n)
		}
	}
}

// A check may depend on what another host changes, so it is then asked again. Yet a host may go on that has just accepted a
// content.
func TestChecksDependOnOtherHosts(t *testing.T) {
	h := newWire(t.Context(), "a").host
	read := Read{Checks, Reading{Argv: []string{"visudo", "-cf", "-"}, Stdin: "new"}.Key()}
	readback := h.Readback([]Read{read}, everything)
	readback.Arrive(make([]remote.Answer, len(readback.Queries())))
	if queries, ok := h.Foresee().Holds([]Read{read}); !ok || len(queries) != 1 {
		t.Errorf("what a check says cannot be compared: %v, %v", queries, ok)
	}
	if h.ForgetShared(); !read.Shared() {
		t.Error("plans that a check decides survive changes on other hosts")
	}
	if is, known := h.Known(read.Key()); known {
		t.Errorf("what a check has said is remembered: %v", is)
	}
}

func TestProgramsHold(t *testing.T) {
	found, err := Programs.ObserveAll(t.Context(), localHost(t), []string{"sh", "no-such-program", "/bin/sh", "/etc/passwd"})
	if err != nil {
		t.Fatal(err)
	}
	queries, ok := Programs.Holds(found)
	if !holdsHere(t, queries, ok) {
		t.Errorf("%v does not hold", found)
	}
	for name := range found {
		queries, ok := Programs.Holds(map[string]bool{name: !found[name]})
		if holdsHere(t, queries, ok) {
			t.Errorf("the opposite of %s holds", name)
		}
	}
}

// The kernel's files hold as long as their content and mode do.
func TestUnsizedFilesHold(t *testing.T) {
	const name = "/proc/sys/kernel/ostype"
	f, err := Files.Observe(t.Context(), localHost(t), name)
	if err != nil || !f.Exists() {
		t.Skip(err)
	}
	for what, change := range map[string]func(f *File){
		"": func(*File) {}, "content": func(f *File) { f.Content = []byte("Plan 9\n") }, "mode": func(f *File) { f.Mode = 0o600 }, "owner": func(f *File) { f.Owner = "ada" },
	} {
		other := f
		change(&other)
		queries, ok := Files.Holds(map[string]File{name: other})
		if got := holdsHere(t, queries, ok); got != (what == "") {
			t.Errorf("with another %q: %v", what, got)
		}
	}
}

// A file whose content cannot be read does not hold as an empty one.
func TestUnsizedFilesDoNotHoldUnread(t *testing.T) {
	const name = "/proc/1/mem" // nothing is mapped where it begins
	f, err := Files.Observe(t.Context(), localHost(t), name)
	if err == nil {
		t.Skip("it can be read")
	}
	f = File{Type: Regular, Mode: 0o600, Owner: "root", Group: "root", Content: f.Content}
	queries, ok := Files.Holds(map[string]File{name: f})
	if holdsHere(t, queries, ok) {
		t.Error("it holds")
	}
}

// Files that are read together hold in the order of the patterns, even if these share a directory.
func TestTextFilesOfADirectoryHold(t *testing.T) {
	dir := plainDir(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kind := TextFiles("test", dir+"/main", dir+"/*.list", dir+"/*.sources")
	write("main", "0\n")
	write("b.list", "1\n")
	write("a.sources", "2\n")
	files, err := kind.Observe(t.Context(), localHost(t), "")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	// As it is foreseen: a new file is behind the others.
	queries, ok := kind.Holds(map[string][]TextFile{"": {files[2], files[0], files[1]}})
	if !holdsHere(t, queries, ok) {
		t.Error("the files do not hold")
	}
	for name, text := range map[string]string{"a.sources": "3\n", "c.list": "", "main": "0"} {
		before, err := os.ReadFile(filepath.Join(dir, name))
		write(name, text)
		if holdsHere(t, queries, ok) {
			t.Errorf("the files hold although %s has become %q", name, text)
		}
		if err != nil {
			err = os.Remove(filepath.Join(dir, name))
		} else {
			write(name, string(before))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := TextFiles("test", dir+"/*", dir+"/a*").Holds(map[string][]TextFile{"": files}); ok {
		t.Error("a file that matches two patterns can be asked for")
	}
}

// Checksums hold as far as they are known.
func TestChecksumsHold(t *testing.T) {
	name := filepath.Join(plainDir(t), "file")
	if err := os.WriteFile(name, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	is, err := Checksums.Observe(t.Context(), localHost(t), name)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("0", 64)
	for _, test := range []struct {
		name string
		sum  Checksum
		want bool
	}{
		{name, is, true}, {name, Checksum{SHA256: is.SHA256}, true}, {name, Checksum{SHA512: is.SHA512}, true},
		{name, Checksum{SHA256: other}, false}, {name, Checksum{SHA256: is.SHA256, SHA512: other + other}, false}, {name, Checksum{}, false},
		{name + "x", Checksum{}, true}, {name + "x", is, false},
	} {
		queries, ok := Checksums.Holds(map[string]Checksum{test.name: test.sum})
		if got := holdsHere(t, queries, ok); got != test.want {
			t.Errorf("%s holds as %v: %v", test.name, test.sum, got)
		}
	}
}
