package main

import (
	"context"
	"errors"
	"testing"

	"hlplay/engine/report"
)

func TestVerdict(t *testing.T) {
	hosts := func(c report.Counts) report.Recap {
		return report.Recap{Hosts: map[string]report.Counts{"a": {OK: 1}, "b": c}}
	}
	tests := []struct {
		name  string
		recap report.Recap
		err   error
		want  int
	}{
		{"all is well", hosts(report.Counts{Changed: 1}), nil, exitOK},
		{"a task failed", hosts(report.Counts{Failed: 1}), nil, exitFailed},
		{"a host was unreachable", hosts(report.Counts{Unreachable: 1}), nil, exitUnreachable},
		{"a task failed, and a host was lost", hosts(report.Counts{Failed: 1, Unreachable: 1}), nil, exitFailed},
		{"interrupted", report.Recap{Interrupted: true}, context.Canceled, exitInterrupted},
		{"no host matches", report.Recap{}, errors.New("no host matches"), exitInput},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code := exitOK
			if err := verdict(t.Context(), test.recap, test.err); err != nil {
				var exit *exitError
				if code = exitInput; errors.As(err, &exit) {
					code = exit.code
				}
			}
			if code != test.want {
				t.Errorf("exit code %d, want %d", code, test.want)
			}
		})
	}
}
