package modulestest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/lab/transcript"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Fetch observes names of a kind on the machine that runs the test, in a POSIX shell like the long-lived one of a
// host.
func Fetch[T any](t *testing.T, k *observe.Kind[T], names ...string) map[string]T {
	t.Helper()
	return Parsed(t, k, names, Answers(t, k.Ask(names))...)
}

// Answers runs queries on the machine that runs the test.
func Answers(t *testing.T, queries []remote.Query) []remote.Answer {
	t.Helper()
	var answers []remote.Answer
	for _, q := range queries {
		cmd := exec.Command("sh", append([]string{"-c", remote.Place + q.Script, "sh"}, q.Args...)...)
		cmd.Env = append(cmd.Environ(), "LC_ALL=C")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		var ended *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		answers = append(answers, remote.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: cmd.ProcessState.ExitCode()})
	}
	return answers
}

// Parsed observes names of a kind from the given answers; the test fails if one of them is an error.
func Parsed[T any](t *testing.T, k *observe.Kind[T], names []string, answers ...remote.Answer) map[string]T {
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

// FuzzAnswer checks that a kind survives any output and reports every name.
func FuzzAnswer[T any](t *testing.T, k *observe.Kind[T], names []string, stdout []byte, exit int) {
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

// FetchBelow is like Fetch for a single name, but looks for the given absolute paths below root.
func FetchBelow[T any](t *testing.T, k *observe.Kind[T], root string, paths []string, name string) (value T, err error) {
	t.Helper()
	var pairs []string
	for _, p := range paths {
		pairs = append(pairs, p, root+p)
	}
	below := strings.NewReplacer(pairs...)
	queries := slices.Clone(k.Ask([]string{name}))
	for i, q := range queries {
		queries[i].Script = below.Replace(q.Script)
		queries[i].Args = nil
		for _, arg := range q.Args {
			queries[i].Args = append(queries[i].Args, below.Replace(arg))
		}
	}
	answers := Answers(t, queries)
	for i, a := range answers {
		answers[i].Stdout = bytes.ReplaceAll(a.Stdout, []byte(root), nil)
		answers[i].Stderr = bytes.ReplaceAll(a.Stderr, []byte(root), nil)
	}
	k.Parse([]string{name}, answers, func(_ string, v T, e error) { value, err = v, e })
	return value, err
}

// Place creates files below root, given by absolute path. A path that ends in a slash is a directory; content of the
// form "-> X" makes a symbolic link to X.
func Place(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(root, name)
		target, link := strings.CutPrefix(content, "-> ")
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o755)
		case link:
			err = os.Symlink(target, file)
		default:
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Recorded returns the answer of a recording in testdata, as a query would have received it.
func Recorded(t testing.TB, file string) remote.Answer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := transcript.Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return remote.Answer{Stdout: []byte(tr.Stdout), Stderr: []byte(tr.Stderr), Exit: tr.Code}
}
