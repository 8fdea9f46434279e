package defect

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func catch(doing string, fn func()) (err *Error) {
	defer func() {
		if p := recover(); p != nil {
			err = Recovered(doing, p)
		}
	}()
	fn()
	return nil
}

func outOfRange() {
	var none []int
	_ = none[len(none)]
}

func TestErrorTellsValueAndStack(t *testing.T) {
	err := catch("the module", outOfRange)
	first, rest, _ := strings.Cut(err.Error(), "\n")
	if want := "the module panicked: runtime error: index out of range [0] with length 0; this is a defect of hlplay: please report it with these lines"; first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	innermost, _, _ := strings.Cut(rest, "\n")
	if !strings.HasPrefix(innermost, "  hlplay/engine/defect.outOfRange (") || !strings.Contains(innermost, "defect_test.go:") {
		t.Errorf("the innermost frame is %q", innermost)
	}
	if strings.Contains(rest, "runtime.") {
		t.Errorf("the runtime's own frames are shown:\n%s", rest)
	}
}

func TestErrorPanickedWithAgainKeepsItsStack(t *testing.T) {
	first := catch("a planner", outOfRange)
	again := catch("the module", func() { panic(first) })
	if again.Doing != "the module" || again.Value != first.Value || again.Stack[0] != first.Stack[0] {
		t.Errorf("got %v\nwant the value and stack of %v", again, first)
	}
}

func TestErrorShowsTheInnermostFrames(t *testing.T) {
	var deep func(n int)
	deep = func(n int) {
		if n == 0 {
			panic("bottom")
		}
		deep(n - 1)
	}
	err := catch("the module", func() { deep(50) })
	if len(err.Stack) < 50 {
		t.Errorf("%d frames are kept, want all", len(err.Stack))
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != shownFrames+2 || !strings.HasPrefix(lines[len(lines)-1], "  and ") {
		t.Errorf("the message has %d lines:\n%s", len(lines), err)
	}
}

func TestErrorIsNotItsValue(t *testing.T) {
	err := catch("the module", func() { panic(fs.ErrNotExist) })
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("a panic passes for a missing file")
	}
}
