// Package defect describes faults of hlplay itself: panics that are caught so that one of them does not leave other hosts in
// the middle of a step.
package defect

import (
	"fmt"
	"runtime"
	"strings"
)

// shownFrames bounds the frames in a message: enough to see which module called what.
const shownFrames = 12

// Error is a caught panic. It does not unwrap to a panic's value that is an error itself: a defect must never pass for a lost
// host or a missing file.
type Error struct {
	// Doing says what panicked, as the subject of a sentence: "the module", "observing pve1".
	Doing string
	// Value is what was passed to panic.
	Value any
	// Stack is the panicking goroutine's, from the function that panicked outwards; the runtime's own frames are left out.
	Stack []runtime.Frame
}

// Recovered returns the error of a panic. It must be called by the deferred function that recovered value. A value that is
// an *Error, panicked with again in another goroutine, keeps its first value and stack.
func Recovered(doing string, value any) *Error {
	if again, ok := value.(*Error); ok {
		return &Error{Doing: doing, Value: again.Value, Stack: again.Stack}
	}
	return &Error{Doing: doing, Value: value, Stack: stack()}
}

// Error tells the value and, a line each, the innermost frames.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s panicked: %v; this is a defect of hlplay", e.Doing, e.Value)
	if len(e.Stack) > 0 {
		b.WriteString(": please report it with these lines")
	}
	for i, frame := range e.Stack {
		if i == shownFrames {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Stack)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s (%s:%d)", frame.Function, frame.File, frame.Line)
	}
	return b.String()
}

// stack returns the frames below the innermost call of panic.
func stack() []runtime.Frame {
	var callers [256]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers[:])])
	var below []runtime.Frame
	panicked := false
	for {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicked = true
		case panicked && !strings.HasPrefix(frame.Function, "runtime."):
			below = append(below, frame)
		}
		if !more {
			return below
		}
	}
}
