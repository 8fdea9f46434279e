package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hlplay/engine/remote"
)

// Connections that are lost while a host gets ready are made again, as long as the limit of the reboot permits.
func TestConnectionsLostAfterAReboot(t *testing.T) {
	for name, test := range map[string]struct {
		cuts, refused int
		gateway       string
		want          string
	}{
		"never":               {gateway: "up", want: "changed"},
		"once":                {gateway: "up", cuts: 1, want: "changed"},
		"again and again":     {gateway: "up", cuts: 3, want: "changed"},
		"and refused at once": {gateway: "up", cuts: 1, refused: 3, want: "changed"},
		"and never ready":     {cuts: 1, want: "failed"},
		"and for good":        {gateway: "up", cuts: 1, refused: 1000, want: "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			h := s.hosts["a"]
			h.settings["gateway"], h.cuts = test.gateway, test.cuts
			refused := test.refused
			s.onConnect = func(string) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				if h.boots == 0 || h.cuts == test.cuts || refused == 0 {
					return nil
				}
				refused--
				return &remote.UnreachableError{Host: "a", Address: "a", Reason: "nobody answers"}
			}
			r := s.play(t, `play "p" {
  hosts = "all"
  task "again" {
    restart {}
  }
}`)
			if got, want := outcomes(r), []string{"a again: " + test.want}; !slices.Equal(got, want) {
				t.Errorf("it was %v, want %v", got, want)
			}
			if h.boots != 1 {
				t.Errorf("the host was rebooted %d times", h.boots)
			}
		})
	}
}

// A host that has not heard that it is to reboot, because the connection was lost, is told again, once.
func TestRebootNotHeard(t *testing.T) {
	for unheard, want := range map[int]string{1: "changed", 2: "unreachable"} {
		s := newStage("a")
		h := s.hosts["a"]
		h.settings["gateway"], h.unheard = "up", unheard
		began := s.now
		r := s.play(t, `play "p" {
  hosts = "all"
  task "again" {
    restart {}
  }
}`)
		if got, want := outcomes(r), []string{"a again: " + want}; !slices.Equal(got, want) {
			t.Errorf("not heard %d times: it was %v, want %v", unheard, got, want)
		}
		if took := s.now.Sub(began); want == "changed" && (h.boots != 1 || took > 40*time.Second) {
			t.Errorf("after %s the host has rebooted %d times, want once and before the limit of a minute", took, h.boots)
		}
		if notes := fmt.Sprint(r.Notes()); !strings.Contains(notes, "it is told again") {
			t.Errorf("the notes are %s", notes)
		}
	}
}

// A host that goes down after all while it is about to be told again is not told, and not given up.
func TestRebootHeardLate(t *testing.T) {
	s := newStage("a")
	h := s.hosts["a"]
	h.settings["gateway"], h.unheard, h.late = "up", 1, true
	r := s.play(t, `play "p" {
  hosts = "all"
  task "again" {
    restart {}
  }
}`)
	if got, want := outcomes(r), []string{"a again: changed"}; !slices.Equal(got, want) || h.boots != 1 {
		t.Errorf("it was %v, and has rebooted %d times; want %v, and once", got, h.boots, want)
	}
}

// A host that is shutting down already refuses to be told to reboot: somebody else has told it, or it has heard although the
// connection was lost, and something delays it. That is no failure.
func TestRebootUnderway(t *testing.T) {
	for _, unheard := range []int{0, 1} {
		s := newStage("a")
		h := s.hosts["a"]
		h.settings["gateway"], h.unheard, h.leaving = "up", unheard, true
		r := s.play(t, `play "p" {
  hosts = "all"
  task "again" {
    restart {}
  }
}`)
		if got, want := outcomes(r), []string{"a again: changed"}; !slices.Equal(got, want) || h.boots != 1 {
			t.Errorf("connection lost %d times: it was %v, and has rebooted %d times; want %v, and once", unheard, got, h.boots, want)
		}
		if notes := fmt.Sprint(r.Notes()); !strings.Contains(notes, "a: a shutdown is in progress there already") {
			t.Errorf("connection lost %d times: the notes are %s", unheard, notes)
		}
	}
}
