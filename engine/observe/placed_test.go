package observe

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlacingAFileShowsEverywhere(t *testing.T) {
	h := NewRecorded("h",
		Files.Expect("/etc/apt/x.list", File{}),
		Dirs.Expect("/etc/apt", Listing{Exists: true, Entries: []string{"a", "z"}}))
	h.Predict(Placed(h, "/etc/apt/x.list", text("hello\n")))
	d, err := Dirs.Observe(t.Context(), h, "/etc/apt")
	if diff := cmp.Diff(Listing{Exists: true, Entries: []string{"a", "x.list", "z"}}, d); err != nil || diff != "" {
		t.Errorf("the directory is wrong (error %v, -want +got):\n%s", err, diff)
	}
	sum, err := Sums.Observe(t.Context(), h, "/etc/apt/x.list")
	if sum != "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" || err != nil {
		t.Errorf("the sum is %q (error %v)", sum, err)
	}
	h.Predict(Placed(h, "/etc/apt/x.list", File{}))
	if exists, err := Exists(t.Context(), h, "/etc/apt/x.list"); exists || err != nil {
		t.Errorf("the removed file exists: %v (error %v)", exists, err)
	}
}

func TestPlacedHostsFile(t *testing.T) {
	h := NewRecorded("h", Files.Expect("/etc/hosts", text("127.0.1.1 pve1\n192.0.2.9 gone\n")))
	h.Predict(Placed(h, "/etc/hosts", text("192.0.2.11 pve1.example.org pve1 # us\n2001:db8::11 pve1\n")))
	got, err := Resolves.Observe(t.Context(), h, "pve1")
	want := []netip.Addr{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")}
	if diff := cmp.Diff(want, got, comparePrefixes...); err != nil || diff != "" {
		t.Errorf("pve1 resolves wrong (error %v, -want +got):\n%s", err, diff)
	}
	if _, err := Resolves.Observe(t.Context(), h, "gone"); !IsUnknown(err) {
		t.Errorf("a name whose entry goes is told as known (error %v)", err)
	}
}

func TestPlacedUnitFile(t *testing.T) {
	h := NewRecorded("h", Files.Expect("/etc/systemd/system/x.service", File{}), Units.Expect("x.service", Unit{}))
	h.Predict(Placed(h, "/etc/systemd/system/x.service", text("[Unit]\n")))
	if _, err := Units.Observe(t.Context(), h, "x.service"); !IsUnknown(err) {
		t.Errorf("a unit whose file is about to change is told as known (error %v)", err)
	}
}

// Everything in a removed tree is absent, whatever was remembered or predicted about it before. Files that are put
// there afterwards exist.
func TestPlacedTree(t *testing.T) {
	const tree = "/srv/t"
	h := NewRecorded("h")
	file := File{Type: Regular, Content: []byte("x")}
	for _, name := range []string{tree + "/a", tree + "/d/b", "/srv/tree"} {
		h.Predict(Placed(h, name, file))
	}
	h.Predict([]Expectation{Files.Unknown(tree+"/u", "a package brings it")})
	h.memory[Files.Key(tree+"/old")] = &entry{done: true, value: file}
	h.Predict(append(Placed(h, tree, File{}), TreeGone(tree)))
	h.Predict(Placed(h, tree+"/again", file))
	for name, want := range map[string]bool{
		tree: false, tree + "/a": false, tree + "/d/b": false, tree + "/u": false, tree + "/old": false, tree + "/never": false,
		tree + "/again": true, "/srv/tree": true,
	} {
		got, err := Files.Observe(t.Context(), h, name)
		if err != nil || got.Exists() != want {
			t.Errorf("%s exists: %v, %v; want %v", name, got.Exists(), err, want)
		}
		if known, ok := h.Known(Files.Key(name)); !ok || known.(File).Exists() != want {
			t.Errorf("%s is known to be %v, %v; want it to exist: %v", name, known, ok, want)
		}
		if exists, err := Paths.Observe(t.Context(), h, name); err == nil && exists != want {
			t.Errorf("a path %s exists: %v, want %v", name, exists, want)
		}
	}
}
