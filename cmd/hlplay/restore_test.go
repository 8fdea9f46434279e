package main

import (
	"testing"

	"hlplay/engine/journal"
	"hlplay/engine/observe"
)

// TestApproveSentinel changes the file between the question and the step.
func TestApproveSentinel(t *testing.T) {
	asked := observe.File{Type: observe.Regular, Content: []byte("asked about\n")}
	for name, test := range map[string]struct {
		found observe.File
		stops bool
	}{
		"the same":       {asked, false},
		"another mode":   {observe.File{Type: observe.Regular, Content: asked.Content, Mode: 0o600}, false},
		"written to":     {observe.File{Type: observe.Regular, Content: []byte("meanwhile\n")}, true},
		"gone":           {observe.File{}, true},
		"emptied":        {observe.File{Type: observe.Regular}, true},
		"a link instead": {observe.File{Type: observe.Symlink, Target: "/etc/passwd"}, true},
	} {
		var why error
		s := &sentinel{&journal.Writer{}, journal.LeftOf("n1", "/f", asked), func(err error) { why = err }}
		if err := s.Before("n1", "/f", test.found); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (why != nil) != test.stops {
			t.Errorf("%s: stopped by %v", name, why)
		}
	}
}
