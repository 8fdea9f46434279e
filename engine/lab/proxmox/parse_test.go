package proxmox

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseCorosync(f *testing.F) {
	conf := &Corosync{Name: "lab", Version: 3, Totem: map[string]string{"version": "2", "secauth": "on"}, Links: []CorosyncLink{{}, {Number: 1, Priority: 20}},
		Nodes: []CorosyncNode{{Name: "pve1", ID: 1, Votes: 1, Links: map[int]string{0: "10.77.0.11", 1: "10.78.0.11"}}}}
	f.Add(conf.String())
	f.Add("nodelist {\n node {\n  ring0_addr: a # comment\n }\n}\n")
	f.Add("}\n")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseCorosync(text)
		if err != nil {
			return
		}
		second, err := ParseCorosync(first.String())
		if err != nil {
			if strings.ContainsAny(text, "{}:#\r\v\f") { // the format cannot represent these values
				return
			}
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		if len(first.Nodes) != len(second.Nodes) {
			t.Fatalf("%d nodes became %d", len(first.Nodes), len(second.Nodes))
		}
	})
}

func TestCorosyncRoundTrip(t *testing.T) {
	conf := &Corosync{Name: "lab", Version: 3, Totem: map[string]string{"ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "token_coefficient": "125", "version": "2"}, Links: []CorosyncLink{{}, {Number: 1, Priority: 20}},
		Nodes: []CorosyncNode{{Name: "pve1", ID: 1, Votes: 1, Links: map[int]string{0: "10.77.0.11", 1: "10.78.0.11"}}, {Name: "pve2", ID: 2, Votes: 2, Links: map[int]string{0: "10.77.0.12", 1: "10.78.0.12"}}}}
	got, err := ParseCorosync(conf.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(conf, got); diff != "" {
		t.Errorf("written and read back (-written +read):\n%s", diff)
	}
}

func FuzzParseSections(f *testing.F) {
	f.Add("vm: 100\n\tcomment hello\n\tstate started\n\nct: 101\n\tstate stopped\n\n")
	f.Add("node-affinity: keep\n\tdisable\n\tnodes pve1\n")
	f.Add("gpu\n\tmap id=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		first := ParseSections(text)
		second := ParseSections(FormatSections(first))
		if len(second) > len(first) {
			t.Fatalf("%d sections became %d", len(first), len(second))
		}
	})
}

func FuzzParseCephConf(f *testing.F) {
	f.Add("[global]\n\tfsid = 1\n\tmon host = a b\n\n[mon.pve1]\n\tpublic_addr = 10.0.0.1\n\n")
	f.Add("# comment\nkey = without section\n[client]\nkeyring=/etc/pve/priv/$cluster.$name.keyring\n")
	f.Fuzz(func(t *testing.T, text string) {
		conf := parseCephConf(text)
		again := parseCephConf(conf.String())
		if len(again.sections) > len(conf.sections) {
			t.Fatalf("%d sections became %d", len(conf.sections), len(again.sections))
		}
	})
}

func FuzzComments(f *testing.F) {
	f.Add("two words")
	f.Add("50 % of: äöü\n")
	f.Fuzz(func(t *testing.T, text string) {
		if got := decodeComment(encodeComment(text)); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func FuzzParseCeph(f *testing.F) {
	f.Add("osd tree -f json --connect-timeout 5")
	f.Add("-s --format=json")
	f.Add("--connect-timeout")
	f.Fuzz(func(t *testing.T, line string) {
		a, problem := parseCeph(strings.Fields(line))
		if problem == "" && len(a.words) > len(strings.Fields(line)) {
			t.Fatalf("%q gave %d words", line, len(a.words))
		}
	})
}

// TestCorosyncInUse asks for the configuration that corosync uses as often as programs look at /etc/pve: that must not parse
// it again, and whoever changes a clone does not change what the others see.
func TestCorosyncInUse(t *testing.T) {
	conf := &Corosync{Name: "lab", Version: 3, Totem: map[string]string{}, Links: []CorosyncLink{{}}, Device: &CorosyncDevice{Host: "10.77.0.5"},
		Nodes: []CorosyncNode{{Name: "pve1", ID: 1, Votes: 1, Links: map[int]string{0: "10.77.0.11"}}}}
	db := newDatabase("1")
	db.Write(corosyncFile, []byte(conf.String()), time.Time{})
	clone := db.corosync().clone()
	clone.Version++
	clone.Nodes[0].Links[0], clone.Links[0].Priority, clone.Totem["secauth"], clone.Device.Votes = "10.77.0.12", 20, "on", 1
	if diff := cmp.Diff(conf, db.corosync()); diff != "" {
		t.Errorf("after a change to a clone (-written +in use):\n%s", diff)
	}
	if n := testing.AllocsPerRun(10, func() { db.corosync() }); n != 0 {
		t.Errorf("looking at the configuration allocates %g times, want 0", n)
	}
	db.Write(corosyncFile, []byte(clone.String()), time.Time{})
	if diff := cmp.Diff(conf, db.corosync()); diff != "" {
		t.Errorf("after a change that corosync refuses (-in use +found):\n%s", diff)
	}
	clone.Nodes[0].Links[0] = "10.77.0.11"
	db.Write(corosyncFile, []byte(clone.String()), time.Time{})
	if diff := cmp.Diff(clone, db.corosync()); diff != "" {
		t.Errorf("after a change that corosync accepts (-written +in use):\n%s", diff)
	}
	db.Remove(corosyncFile)
	if db.corosync() != nil {
		t.Error("corosync has a configuration without a file")
	}
}
