package run

import (
	"testing"
	"time"

	"hlplay/engine/remote"
)

func TestHowACommandEnded(t *testing.T) {
	tests := map[string]struct {
		result remote.Result
		want   string
		hint   bool
	}{
		"failed":          {remote.Result{Exit: 2}, "make it: prog -x: exit code 2", false},
		"at its limit":    {remote.Result{Exit: 124, Limit: 16 * time.Second, Duration: 18 * time.Second}, "make it: prog -x: stopped at its time limit of 16s", false},
		"its own 124":     {remote.Result{Exit: 124, Duration: 16 * time.Second}, "make it: prog -x: exit code 124", false},
		"killed":          {remote.Result{Exit: 137, Duration: 16 * time.Second}, "make it: prog -x: killed by signal 9 (SIGKILL)", true},
		"terminated":      {remote.Result{Exit: 143}, "make it: prog -x: killed by signal 15 (SIGTERM)", false},
		"crashed":         {remote.Result{Exit: 139}, "make it: prog -x: killed by signal 11 (SIGSEGV)", false},
		"not there":       {remote.Result{Exit: 127}, "make it: prog -x: command not found (exit code 127)", false},
		"not executable":  {remote.Result{Exit: 126}, "make it: prog -x: it cannot be executed (exit code 126)", false},
		"lost the master": {remote.Result{Exit: 255}, "make it: prog -x: exit code 255", false},
	}
	for name, test := range tests {
		err := &commandError{summary: "make it", argv: []string{"prog", "-x"}, result: test.result}
		if got := err.Error(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if got := err.Hint() != ""; got != test.hint {
			t.Errorf("%s: hint %q", name, err.Hint())
		}
	}
}
