package observe

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// What a plan has seen is reported as it was then, whatever is observed later.
func TestSeenIsWhatThePlanSaw(t *testing.T) {
	big := File{Type: Regular, Truncated: true, Stamp: "9:9.9", Content: []byte("x")}
	h := NewRecorded("node",
		Files.Expect("/a", File{Type: Regular, Content: []byte("old"), Stamp: "1:2.3"}),
		Files.Expect("/none", File{}),
		Files.Expect("/to", File{Type: Symlink, Target: "a", Stamp: "4:5.6"}),
		Files.Expect("/lost", File{Type: Symlink, Target: "/none"}),
		Files.Expect("/away", File{Type: Symlink, Target: "/not looked at"}),
		Files.Expect("/loop", File{Type: Symlink, Target: "loop"}),
		Files.Expect("/dir", File{Type: Directory}),
		Files.Expect("/big", big), Files.Expect("/bigger", big), Sums.Expect("/big", strings.Repeat("0", 64)),
		Files.Expect("/proc/uptime", File{Type: Regular, Content: []byte("1"), Stamp: "1:1.1"}),
	)
	outer, above := Track(t.Context())
	ctx, saw := Track(outer)
	for _, name := range []string{"/a", "/none", "/to", "/lost", "/away", "/loop", "/dir", "/big", "/bigger", "/proc/uptime"} {
		if _, err := Files.Observe(ctx, h, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Sums.Observe(ctx, h, "/big"); err != nil {
		t.Fatal(err)
	}
	h.Predict([]Expectation{Files.Expect("/a", File{Type: Regular, Content: []byte("new"), Stamp: "1:9.9"})})
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("old")))
	for _, test := range []struct {
		path           string
		follow, itself remote.Seen
	}{
		{"/a", remote.Seen{Stamp: "1:2.3", Sum: sum}, remote.Seen{Stamp: "1:2.3", Sum: sum}},
		{"/none", remote.Seen{Absent: true}, remote.Seen{Absent: true}},
		{"/to", remote.Seen{Stamp: "1:2.3", Sum: sum}, remote.Seen{Stamp: "4:5.6", Target: "a"}},
		{"/lost", remote.Seen{Absent: true}, remote.Seen{Target: "/none"}},
		{"/away", remote.Seen{}, remote.Seen{Target: "/not looked at"}},
		{"/loop", remote.Seen{}, remote.Seen{Target: "loop"}},
		{"/dir", remote.Seen{}, remote.Seen{}},
		{"/big", remote.Seen{Stamp: "9:9.9", Sum: strings.Repeat("0", 64)}, remote.Seen{Stamp: "9:9.9", Sum: strings.Repeat("0", 64)}},
		{"/bigger", remote.Seen{Stamp: "9:9.9"}, remote.Seen{Stamp: "9:9.9"}},
		{"/proc/uptime", remote.Seen{}, remote.Seen{}},
		{"/not looked at", remote.Seen{}, remote.Seen{}},
	} {
		for _, tracker := range []*Tracker{saw, above} {
			if got := tracker.Seen(h, test.path, true); got != test.follow {
				t.Errorf("%s, followed: %+v, want %+v", test.path, got, test.follow)
			}
			if got := tracker.Seen(h, test.path, false); got != test.itself {
				t.Errorf("%s: %+v, want %+v", test.path, got, test.itself)
			}
		}
		if got := saw.Seen(NewRecorded("other"), test.path, true); got != (remote.Seen{}) {
			t.Errorf("%s on another host: %+v, want that nothing was seen", test.path, got)
		}
	}
}

// What is announced can be collected without reading it, even for a host that is only foreseen.
func TestAnnounced(t *testing.T) {
	h := NewRecorded("node", Files.Expect("/known", File{Type: Regular})).Foresee()
	reads := h.Announced(func(h *Host) {
		if _, known := h.Known(Files.Key("/known")); !known {
			t.Error("what the host knows is not known while it announces")
		}
		Files.Want(h, "/known", "/other")
		Kernels.Want(h, "")
	})
	var keys []string
	for _, r := range reads {
		keys = append(keys, r.Key().String())
	}
	if got, want := strings.Join(keys, " "), "file:/known file:/other kernel"; got != want {
		t.Errorf("announced are %s, want %s", got, want)
	}
	if _, known := h.Known(Files.Key("/other")); known {
		t.Error("an announced file is known")
	}
}
