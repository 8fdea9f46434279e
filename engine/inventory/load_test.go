package inventory

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got), if that is meant, run go test -update:\n%s", path, diff)
	}
}

var values = cmp.Comparer(func(a, b cty.Value) bool { return a.RawEquals(b) })

// load loads an inventory that must be valid.
func load(t *testing.T, text string) *Inventory {
	t.Helper()
	inv, diags := new(declarations).parse("inventory.hcl", []source{{"/lab/inventory.hcl", []byte(text)}}, nil)
	if diags.HasErrors() {
		t.Fatalf("unexpected: %v", diags)
	}
	return inv
}

func cluster(t *testing.T) *Inventory {
	t.Helper()
	t.Setenv("HOME", "/home/me")
	inv, diags := Load(filepath.Join("testdata", "cluster"))
	if len(diags) != 0 {
		t.Fatalf("unexpected: %v", diags)
	}
	return inv
}

func TestLoad(t *testing.T) {
	inv := cluster(t)
	here, err := filepath.Abs(filepath.Join("testdata", "cluster"))
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmp.Options{cmpopts.IgnoreTypes(hcl.Range{}), cmpopts.IgnoreUnexported(Host{}, Group{})}
	want := &Host{
		Name: "pve1", Address: "192.168.1.11", Port: 2222, User: "root", Connection: "ssh",
		Keys: []string{"/home/me/.ssh/id_lab", filepath.Join(here, "id_more")},
		Vars: map[string]cty.Value{
			"cluster":     cty.StringVal("dream"),
			"ntp":         cty.StringVal("ntp.lan"),
			"osd_devices": cty.TupleVal([]cty.Value{cty.StringVal("/dev/disk/by-id/wwn-1"), cty.StringVal("/dev/disk/by-id/wwn-2")}),
		},
		Groups: []string{"all", "datacentre", "ceph", "pve"},
		Rehearsal: Rehearsal{
			Debian: "trixie", Addresses: []string{"10.10.10.11/24"}, Guests: map[string]string{"100": "vm"}, BootLoader: "systemd-boot",
			Disks: []Disk{
				{Name: "sdb", Size: 1e12, Serial: "S1", Model: "Exos", Rotational: true},
				{Name: "nvme0n1", Size: 512 << 30, Use: "ext4"},
			},
		},
	}
	if diff := cmp.Diff(want, inv.Host("pve1"), values, ignore); diff != "" {
		t.Errorf("pve1 (-want +got):\n%s", diff)
	}
	want = &Host{
		Name: "backup", Address: "backup.lan", SSHAddress: "127.0.0.1", Port: 2201, User: "admin", Connection: "ssh", Become: true, BecomeUser: "root", BecomeGiven: true,
		Keys: []string{"/home/me/.ssh/id_lab"}, KnownHosts: filepath.Join(here, "known_hosts"),
		Vars:   map[string]cty.Value{"ntp": cty.StringVal("ntp.lan")},
		Groups: []string{"all", "ungrouped"},
	}
	if diff := cmp.Diff(want, inv.Host("backup"), values, ignore); diff != "" {
		t.Errorf("backup (-want +got):\n%s", diff)
	}
	var order []string
	for _, host := range inv.Hosts {
		order = append(order, host.Name)
	}
	if diff := cmp.Diff([]string{"pve1", "pve2", "pve3", "here", "backup"}, order); diff != "" {
		t.Errorf("order of hosts:\n%s", diff)
	}
	if inv.Host("nobody") != nil || inv.Group("nobody") != nil {
		t.Error("a host or group that does not exist was found")
	}
}

// TestPrecedence sets a variable and an attribute in every place, and then removes them one by one, beginning with the
// highest precedence.
func TestPrecedence(t *testing.T) {
	places := []struct{ name, block string }{
		{"defaults", `defaults { %s }`},
		{"all", `group "all" { %s }`},
		{"parent", "group \"parent\" {\n children = [\"child\"]\n %s\n}"},
		{"sibling", "group \"sibling\" {\n hosts = [\"h\"]\n children = [\"child\"]\n %s\n}"}, // as deep as parent, and later in the source
		{"child", "group \"child\" {\n hosts = [\"h\"]\n %s\n}"},
		{"host", `host "h" { %s }`},
	}
	for last := range places {
		var text strings.Builder
		// The child comes first in the source: depth takes precedence over order.
		for _, i := range []int{4, 5, 0, 1, 2, 3} {
			given := ""
			if i <= last {
				given = "user = \"" + places[i].name + "\"\n vars = { who = \"" + places[i].name + "\", of_" + places[i].name + " = true }\n"
			}
			text.WriteString(strings.ReplaceAll(strings.ReplaceAll(strings.Replace(places[i].block, "%s", given, 1), "{ user", "{\n user"), "\n }", "\n}") + "\n")
		}
		host := load(t, text.String()).Host("h")
		if host.User != places[last].name {
			t.Errorf("user is of %q, want %q", host.User, places[last].name)
		}
		if !host.Vars["who"].RawEquals(cty.StringVal(places[last].name)) {
			t.Errorf("the variable is of %#v, want %q", host.Vars["who"], places[last].name)
		}
		for _, place := range places[:last+1] {
			if _, ok := host.Vars["of_"+place.name]; !ok {
				t.Errorf("variables do not merge: that of %s is missing", place.name)
			}
		}
	}
}

func TestNullIsNotGiven(t *testing.T) {
	host := load(t, "defaults {\n user = \"root\"\n port = 22\n keys = [\"/k\"]\n become = true\n}\nhost \"h\" {\n user = null\n port = null\n keys = null\n become = null\n vars = null\n}").Host("h")
	if host.User != "root" || host.Port != 22 || len(host.Keys) != 1 || !host.Become {
		t.Errorf("null replaced a default: %+v", host)
	}
}

// TestBecomeGiven tells a host of which the inventory says that it becomes nobody from one of which it says nothing,
// also after the inventory has been written and read again.
func TestBecomeGiven(t *testing.T) {
	for text, want := range map[string]bool{
		"host \"h\" {}":                                                      false,
		"host \"h\" {\n become = null\n}":                                    false,
		"host \"h\" {\n become_user = \"x\"\n}":                              false,
		"host \"h\" {\n become = false\n}":                                   true,
		"host \"h\" {\n become = true\n}":                                    true,
		"defaults {\n become = false\n}\nhost \"h\" {}":                      true,
		"group \"g\" {\n hosts = [\"h\"]\n become = false\n}\nhost \"h\" {}": true,
	} {
		inv := load(t, text)
		if got := inv.Host("h").BecomeGiven; got != want {
			t.Errorf("%s: given: %v", text, got)
		}
		var written bytes.Buffer
		if err := Write(&written, inv); err != nil {
			t.Fatal(err)
		}
		again := load(t, written.String()).Host("h")
		if again.BecomeGiven != want || again.Become != inv.Host("h").Become {
			t.Errorf("%s, written and read again: become %v, given: %v", text, again.Become, again.BecomeGiven)
		}
	}
}

func TestDepthIsTheLongestWay(t *testing.T) {
	inv := load(t, `
group "deep" {
  hosts = ["h"]
  vars  = { who = "deep" }
}
group "top" { children = ["middle", "deep"] }
group "middle" {
  children = ["deep"]
  vars     = { who = "middle" }
}
host "h" {}
`)
	if who := inv.Host("h").Vars["who"]; !who.RawEquals(cty.StringVal("deep")) {
		t.Errorf("the variable is %#v, want that of the deepest group", who)
	}
	if diff := cmp.Diff([]string{"all", "top", "middle", "deep"}, inv.Host("h").Groups); diff != "" {
		t.Errorf("groups:\n%s", diff)
	}
}

func TestGroupsRehearsalMerges(t *testing.T) {
	inv := load(t, `
group "pve" {
  rehearsal {
    debian = "bookworm"
    guests = { "100" = "ct" }
    usb    = { "1-2.3" = "0781:5567" }
    disk "sdb" {}
  }
  host "a" {}
  host "b" {
    rehearsal {
      guests = {}
      usb    = {}
      disk "sdc" { size = 5 }
    }
  }
}
`)
	want := []Rehearsal{
		{Debian: "bookworm", Guests: map[string]string{"100": "ct"}, USB: map[string]string{"1-2.3": "0781:5567"}, Disks: []Disk{{Name: "sdb"}}},
		{Debian: "bookworm", Disks: []Disk{{Name: "sdc", Size: 5}}},
	}
	if diff := cmp.Diff(want, []Rehearsal{inv.Hosts[0].Rehearsal, inv.Hosts[1].Rehearsal}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMissing(t *testing.T) {
	empty := t.TempDir()
	for path, want := range map[string]string{
		"":                             "name a file or a directory",
		filepath.Join(empty, "absent"): "There is no file or directory",
		empty:                          "has no file whose name ends in .hcl",
	} {
		inv, diags := Load(path)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%q: %v, want %q", path, diags, want)
		}
		if inv == nil || inv.Files == nil {
			t.Errorf("%q: no inventory to print the diagnostics with", path)
		}
	}
}

// TestErrors compares the diagnostics for every file in testdata/bad with the text next to it.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			inv, diags := Load(file)
			if len(diags) == 0 {
				t.Fatal("nothing is said")
			}
			var out bytes.Buffer
			if err := hcl.NewDiagnosticTextWriter(&out, inv.Files, 100, false).WriteDiagnostics(diags); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("bad", strings.TrimSuffix(filepath.Base(file), ".hcl")+".txt"), out.String())
		})
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"20-b.hcl": `host "b" {}`, "10-a.hcl": `host "a" {}`, ".hidden.hcl": "nonsense", "notes.txt": "nonsense", "30.hcl~": "nonsense",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub.hcl"), 0o700); err != nil {
		t.Fatal(err)
	}
	inv, diags := Load(dir)
	if diags.HasErrors() || len(inv.Hosts) != 2 || inv.Hosts[0].Name != "a" {
		t.Errorf("%v %v", inv.Hosts, diags)
	}
	if len(diags) != 1 || !strings.Contains(diags.Error(), "also contains notes.txt, sub.hcl/.") {
		t.Errorf("what is not read is not told: %v", diags)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1TB": 1e12, "1.92TB": 192e10, "512 GiB": 512 << 30, "1kb": 1000, "7": 7, "7B": 7, "2PiB": 2 << 50,
		"": 0, "0": 0, "-1TB": 0, "1.5": 0, "1XB": 0, "TB": 0, "99999999PB": 0, "1e3": 0,
	} {
		got := parseSize(text)
		if got != want {
			t.Errorf("%q is %d bytes, want %d", text, got, want)
		}
		if got > 0 && parseSize(formatSize(got)) != got {
			t.Errorf("%d bytes are written as %q", got, formatSize(got))
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"cluster", "bad"} {
		files, err := filepath.Glob(filepath.Join("testdata", pattern, "*.hcl"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		inv, diags := new(declarations).parse("x", []source{{"/lab/x.hcl", []byte(text)}}, nil)
		if diags.HasErrors() {
			return
		}
		roundTrip(t, inv)
		if _, err := inv.JSON(); err != nil {
			t.Errorf("JSON: %v", err)
		}
		if hosts, err := inv.Match("all"); err != nil || len(hosts) != len(inv.Hosts) {
			t.Errorf("\"all\" matches %d of %d hosts: %v", len(hosts), len(inv.Hosts), err)
		}
		if err := inv.Tree(&bytes.Buffer{}); err != nil {
			t.Errorf("tree: %v", err)
		}
		inv.HostsValue()
		inv.GroupsValue()
	})
}

// roundTrip checks that an inventory is read back as it was written, and returns the text.
func roundTrip(t *testing.T, inv *Inventory) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, inv); err != nil {
		t.Fatal(err)
	}
	again, diags := new(declarations).parse(inv.Path, []source{{"/other/place.hcl", out.Bytes()}}, nil)
	if diags.HasErrors() {
		t.Fatalf("what was written is not an inventory: %v\n%s", diags, out.String())
	}
	if diff := cmp.Diff(inv, again, values, cmpopts.IgnoreTypes(hcl.Range{}), cmpopts.IgnoreFields(Inventory{}, "Files"), cmpopts.IgnoreUnexported(Host{}, Group{}, Inventory{})); diff != "" {
		t.Fatalf("what was written reads back differently (-before +after):\n%s\n%s", diff, out.String())
	}
	return out.String()
}

func TestWrite(t *testing.T) {
	text := roundTrip(t, cluster(t))
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "written.txt", strings.ReplaceAll(text, here, "HERE"))
}

// TestWriteLab does what a lab does: it writes the same hosts with other addresses.
func TestWriteLab(t *testing.T) {
	inv := cluster(t)
	for i, host := range inv.Hosts {
		host.SSHAddress, host.Port, host.Keys, host.KnownHosts, host.Connection = "127.0.0.1", 2200+i, []string{"/lab/key"}, "/lab/known_hosts", "ssh"
	}
	roundTrip(t, inv)
}

func TestTree(t *testing.T) {
	var out bytes.Buffer
	if err := cluster(t).Tree(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "tree.txt", out.String())
}

func TestJSON(t *testing.T) {
	text, err := cluster(t).JSON()
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "inventory.json", strings.ReplaceAll(string(text), here, "HERE")+"\n")
}

func TestValues(t *testing.T) {
	inv := cluster(t)
	host := inv.HostsValue().GetAttr("here")
	want := cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal("here"), "address": cty.StringVal("here"), "port": cty.NumberIntVal(22), "user": cty.StringVal("root"),
		"groups": cty.ListVal([]cty.Value{cty.StringVal("all"), cty.StringVal("controllers")}),
		"vars":   cty.ObjectVal(map[string]cty.Value{"ntp": cty.StringVal("ntp.lan")}),
	})
	if !host.RawEquals(want) {
		t.Errorf("host is\n%#v, want\n%#v", host, want)
	}
	groups := inv.GroupsValue()
	if ceph := groups.GetAttr("ceph"); !ceph.RawEquals(stringList([]string{"pve1", "pve2"})) {
		t.Errorf("groups.ceph is %#v", ceph)
	}
	if empty := groups.GetAttr("empty"); !empty.RawEquals(cty.ListValEmpty(cty.String)) {
		t.Errorf("groups.empty is %#v", empty)
	}
}

func TestLoadSeveral(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one.hcl", `host "pve1" { address = "192.0.2.1" }`)
	two := write("two.hcl", "host \"pve2\" { address = \"192.0.2.2\" }\ngroup \"pve\" { hosts = [\"pve1\", \"pve2\"] }\n")
	inv, diags := Load(one, two)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if hosts, err := inv.Match("pve"); err != nil || len(hosts) != 2 {
		t.Errorf("group pve of both files has %v (error %v)", hosts, err)
	}

	link := filepath.Join(dir, "link.hcl")
	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{one, write("again.hcl", `host "pve1" { address = "192.0.2.9" }`)}, `The host "pve1" is declared at ` + one},
		{[]string{two, write("group.hcl", `group "pve" {}`)}, `There is a group "pve" already, at ` + two},
		{[]string{one, one}, "are the same file"},
		{[]string{dir, one}, "are the same file"},
		{[]string{one, link}, "are the same file"},
		{[]string{one, filepath.Join(dir, "nosuch.hcl")}, "There is no file or directory"},
		{[]string{"pve1,pve2"}, "Hosts are declared in the inventory, not on the command line"},
	} {
		if _, diags := Load(test.paths...); !strings.Contains(diags.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.paths, diags, test.want)
		}
	}
}
