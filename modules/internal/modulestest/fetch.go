package modulestest

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Fetch observes names of a kind on the machine that the test runs on, in a POSIX shell as the long-lived one of a host.
func Fetch[T any](t *testing.T, k *observe.Kind[T], names ...string) map[string]T {
	t.Helper()
	return Parsed(t, k, names, Answers(t, k.Ask(names))...)
}

// Answers runs queries on the machine that the test runs on.
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

// Parsed observes names of a kind from given answers; the test fails if one is in error.
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

// FuzzAnswer checks that a kind survives any output and tells every name.
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
