package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"hlplay/engine/remote"
)

// thisMachine answers queries with the shell of the machine that runs the test.
type thisMachine struct{}

func (thisMachine) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	answers := make([]remote.Answer, len(queries))
	for i, q := range queries {
		cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", remote.Place + limited(q) + q.Script, "sh"}, q.Args...)...)
		cmd.Env = append(cmd.Environ(), "LC_ALL=C")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return nil, err
		}
		answers[i] = remote.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: cmd.ProcessState.ExitCode()}
	}
	return answers, nil
}

// localHost returns a Host for the machine that runs the test.
func localHost(t *testing.T) *Host {
	t.Helper()
	return NewHost(t.Context(), "local", "127.0.0.1", func(context.Context) (Asker, error) { return thisMachine{}, nil })
}

// told collects what Parse reports.
func told[T any](t *testing.T, k *Kind[T], names []string, answers []remote.Answer) (map[string]T, map[string]error) {
	t.Helper()
	values, errs := map[string]T{}, map[string]error{}
	k.Parse(names, answers, func(name string, value T, err error) {
		if _, twice := values[name]; twice {
			t.Errorf("%s %q was told twice", k.Name, name)
		}
		values[name], errs[name] = value, err
	})
	for _, name := range names {
		if _, ok := values[name]; !ok {
			t.Errorf("%s %q was not told", k.Name, name)
		}
	}
	return values, errs
}

// limited returns the assignment of the variable through which scripts limit their commands.
func limited(q remote.Query) string {
	if q.Limit == 0 {
		return ""
	}
	return fmt.Sprintf("limited='timeout -v -k 2 %.0f'\n", q.Limit.Seconds())
}
