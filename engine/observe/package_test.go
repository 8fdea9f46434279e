package observe

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// runQueries answers queries with the shell of the machine that runs the test.
func runQueries(t *testing.T, queries []remote.Query) []remote.Answer {
	t.Helper()
	answers := make([]remote.Answer, len(queries))
	for i, q := range queries {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", remote.Place + q.Script, "sh"}, q.Args...)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("running %q: %v", q.Script, err)
		}
		answers[i] = remote.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: cmd.ProcessState.ExitCode()}
	}
	return answers
}

// fetch observes names of a kind by running its scripts on this machine.
func fetch[T any](t *testing.T, k *Kind[T], names ...string) map[string]T {
	t.Helper()
	return parsed(t, k, names, runQueries(t, k.Ask(names))...)
}

// parsed observes names of a kind from the given answers.
func parsed[T any](t *testing.T, k *Kind[T], names []string, answers ...remote.Answer) map[string]T {
	t.Helper()
	values := map[string]T{}
	k.Parse(names, answers, func(name string, value T, err error) {
		if err != nil {
			t.Errorf("%s: %v", k.Key(name), err)
		}
		values[name] = value
	})
	for _, name := range names {
		if _, ok := values[name]; !ok {
			t.Errorf("%s: the kind does not tell it", k.Key(name))
		}
	}
	return values
}

func out(text string) remote.Answer { return remote.Answer{Stdout: []byte(text)} }

// fuzzAnswer checks that a kind survives any output and reports every name.
func fuzzAnswer[T any](t *testing.T, k *Kind[T], names []string, stdout []byte, exit int) {
	answers := make([]remote.Answer, len(k.Ask(names)))
	for i := range answers {
		answers[i] = remote.Answer{Stdout: stdout, Exit: exit}
	}
	told := map[string]bool{}
	k.Parse(names, answers, func(name string, _ T, _ error) { told[name] = true })
	for _, name := range names {
		if !told[name] {
			t.Errorf("%s is not told for the output %q", k.Key(name), stdout)
		}
	}
}

func TestPackages(t *testing.T) {
	got := parsed(t, Packages, []string{"bash", "libc6", "libc6:i386", "mutt", "nosuch", "pve-cluster", "vim"}, remote.Answer{Exit: 1, Stdout: []byte(
		"bash\tamd64\tinstall ok installed\t5.2.15-2+b8\n" +
			"libc6\tamd64\tinstall ok installed\t2.36-9\n" +
			"libc6\ti386\tdeinstall ok config-files\t2.35-1\n" +
			"mutt\tamd64\tdeinstall ok config-files\t2.2\n" +
			"pve-cluster\tamd64\tinstall ok half-configured\t8.1.3\n" +
			"vim\t\tunknown ok not-installed\t\n")})
	want := map[string]Package{
		"bash":        {InstalledStatus, "5.2.15-2+b8"},
		"libc6":       {InstalledStatus, "2.36-9"},
		"libc6:i386":  {"deinstall ok config-files", "2.35-1"},
		"mutt":        {"deinstall ok config-files", "2.2"},
		"nosuch":      {},
		"pve-cluster": {"install ok half-configured", "8.1.3"},
		"vim":         {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages differ (-want +got):\n%s", diff)
	}
}

func TestPackageStates(t *testing.T) {
	for _, c := range []struct {
		status                               string
		installed, broken, held, configFiles bool
	}{
		{"", false, false, false, false},
		{"install ok installed", true, false, false, false},
		{"hold ok installed", true, false, true, false},
		{"install ok triggers-awaited", true, false, false, false},
		{"deinstall ok config-files", false, false, false, true},
		{"install ok unpacked", false, true, false, false},
		{"install ok half-configured", false, true, false, false},
		{"install reinstreq half-installed", false, true, false, false},
	} {
		p := Package{Status: c.status}
		got := []bool{p.Installed(), p.Broken(), p.Held(), p.ConfigFiles()}
		if want := []bool{c.installed, c.broken, c.held, c.configFiles}; !cmp.Equal(want, got) {
			t.Errorf("%q: installed, broken, held, config-files are %v, expected %v", c.status, got, want)
		}
	}
}

func TestPackageGlobs(t *testing.T) {
	got := parsed(t, PackageGlobs, []string{"linux-image-6.1*", "nosuch*"}, out(
		"linux-image-6.1.0-30-amd64\tamd64\tinstall ok installed\t6.1.124-1\n"+
			"linux-image-6.1.0-28-amd64\tamd64\tinstall ok installed\t6.1.119-1\n"+
			"linux-image-6.1.0-9-amd64\tamd64\tdeinstall ok config-files\t6.1.27-1\n"+
			"linux-image-amd64\tamd64\tinstall ok installed\t6.1.124-1\n"))
	want := map[string][]string{
		"linux-image-6.1*": {"linux-image-6.1.0-28-amd64", "linux-image-6.1.0-30-amd64"},
		"nosuch*":          {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matches differ (-want +got):\n%s", diff)
	}
}

func TestDpkgIsAbsent(t *testing.T) {
	Packages.Parse([]string{"bash"}, []remote.Answer{{Exit: 127, Stderr: []byte("sh: 1: dpkg-query: not found\n")}}, func(_ string, _ Package, err error) {
		if err == nil {
			t.Error("a host without dpkg-query has no packages that could be told, but there was no error")
		}
	})
}

// These tests run the real commands, which only read, on the Debian machine that runs the test.
func TestPackageScripts(t *testing.T) {
	if p := fetch(t, Packages, "dpkg", "no-such-package"); !p["dpkg"].Installed() || p["dpkg"].Version == "" || p["no-such-package"].Installed() {
		t.Errorf("expected dpkg to be installed and no-such-package not to be, found %+v", p)
	}
	if g := fetch(t, PackageGlobs, "dpk?", "no-such-*"); !cmp.Equal(g, map[string][]string{"dpk?": {"dpkg"}, "no-such-*": {}}) {
		t.Errorf("expected dpk? to match dpkg alone, found %v", g)
	}
}

func FuzzPackages(f *testing.F) {
	f.Add([]byte("bash\tamd64\tinstall ok installed\t5.2\n"), 0)
	f.Add([]byte("x\t\t\t\n\n"), 1)
	f.Fuzz(func(t *testing.T, stdout []byte, exit int) {
		fuzzAnswer(t, Packages, []string{"bash", "libc6:i386"}, stdout, exit)
		fuzzAnswer(t, PackageGlobs, []string{"b*", "[", "linux-image-6.1*"}, stdout, exit)
		fuzzAnswer(t, Checksums, []string{"/a", "relative"}, stdout, exit)
	})
}
