// Package defect describes defects of hlplay itself: panics that are caught so that they do not leave other hosts in
// the middle of a step.
package defect

import (
	"fmt"
	"runtime"
	"strings"
)

// shownFrames is the maximum number of frames in a message: enough to see which module called what.
const shownFrames = 12

// Error is a caught panic. It does not unwrap, even if the panic's value is an error: a defect must never be mistaken
// for a lost host or a missing file.
type Error struct {
	// Doing says what panicked, as the subject of a sentence: "the module", "observing pve1".
	Doing string
	// Value is what was passed to panic.
	Value any
	// Stack is the stack of the panicking goroutine, starting at the function that panicked, without the runtime's own
	// frames.
	Stack []runtime.Frame
}

// Recovered returns the error for a panic. It must be called by the deferred function that recovered value. If value
// is an *Error that was raised again in another goroutine, its original value and stack are kept.
func Recovered(doing string, value any) *Error {
	if again, ok := value.(*Error); ok {
		return &Error{Doing: doing, Value: again.Value, Stack: again.Stack}
	}
	return &Error{Doing: doing, Value: value, Stack: stack()}
}

// Error returns the panic's value and, one per line, the innermost frames.
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
