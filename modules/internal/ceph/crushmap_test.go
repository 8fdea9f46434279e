package ceph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func recordedMap(t testing.TB) CrushMap {
	t.Helper()
	m, err := parseCrushMap(monitorsAnswer{asked: true, report: []byte(report(t))})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// crushtoolText returns the recorded output of crushtool -d for a map.
func crushtoolText(t testing.TB) string {
	t.Helper()
	_, text, _ := strings.Cut(string(modulestest.Recorded(t, "crushtrial.txt").Stdout), "compiled\n")
	text, _, _ = strings.Cut(text, "use ")
	return text
}

func TestCrushMap(t *testing.T) {
	m := recordedMap(t)
	if m.Version != 16 || m.Unsupported != "" {
		t.Errorf("version %d, unsupported %q", m.Version, m.Unsupported)
	}
	text := m.Text()
	for _, want := range []string{"\ttype replicated\n\tmin_size 1\n\tmax_size 10\n\tstep take default\n\tstep chooseleaf firstn 0 type host\n\tstep emit\n}",
		"host pve2 {\n\tid -5\n\tid -6 class hdd\n\talg straw2\n\thash 0\n\titem osd.2 weight 0.90970\n\titem osd.3 weight 0.45479\n}\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	parsed, err := ParseCrushText(text)
	if err != nil {
		t.Fatal(err)
	}
	if again := parsed.On(m); !again.Same(m) {
		t.Errorf("-map +its text:\n%s", cmp.Diff(text, again.Text()))
	}
	rules, spreads := m.Meanings()
	if diff := cmp.Diff(map[string]CrushRule{"replicated_rule": {Root: "default", FailureDomain: "host"}}, rules); diff != "" {
		t.Errorf("rules: -want +got:\n%s", diff)
	}
	if spreads["replicated_rule"] != (Spread{PerHost: 1}) {
		t.Errorf("spreads: %+v", spreads)
	}
	if odd := m.Imbalances(); len(odd) > 0 {
		t.Errorf("weights that do not add up: %v", odd)
	}
}

// A map that crushtool has written with three decimals keeps its exact weights, and formatting has no meaning.
func TestCrushTextKeepsExactWeights(t *testing.T) {
	m := recordedMap(t)
	edited := crushtoolText(t)
	for _, r := range []string{"rule ec", "rule racks"} {
		from := strings.Index(edited, r)
		edited = edited[:from] + edited[from+strings.Index(edited[from:], "}")+1:]
	}
	edited = strings.NewReplacer("item osd.5 weight 0.800", "item osd.5 weight 0.910", "item pve3 weight 1.710", "item pve3", "\tid -8 class hdd", "", "# rules", "# comment",
		"alg straw2\n\thash 0\t# rjenkins1\n", "alg straw2 hash rjenkins1 ", "\tid -5\t", "", "\tmin_size 1\n\tmax_size 10\n", "").Replace(edited)
	parsed, err := ParseCrushText(edited)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.On(m); !got.Same(m) {
		t.Errorf("-map +text:\n%s", cmp.Diff(m.Text(), got.Text()))
	}
	parsed, err = ParseCrushText(strings.Replace(edited, "item osd.5 weight 0.910", "item osd.5 weight 0.91", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.On(m).Weights()[5]; got == m.Weights()[5] || !SameWeight(got, 0.91) {
		t.Errorf("a weight that nobody has rounded is %v", got)
	}
}

// An unused number is not a device. An ID that the text gives to another bucket is no longer that of its previous bucket.
func TestCrushMapNumbers(t *testing.T) {
	free := strings.Replace(report(t), `"devices":[{"id":0,"name":"osd.0","class":"hdd"}`, `"devices":[{"id":6,"name":"device6"},{"id":0,"name":"osd.0","class":"hdd"}`, 1)
	m, err := parseCrushMap(monitorsAnswer{asked: true, report: []byte(free)})
	if err != nil || !m.Same(recordedMap(t)) || len(m.Devices) != 6 {
		t.Errorf("%v, devices %v", err, m.Devices)
	}
	parsed, err := ParseCrushText(strings.NewReplacer("host pve1 {\n\tid -3\n", "host pve1 {\n", "id -5\n", "id -3\n").Replace(m.Text()))
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.On(m); len(got.Buckets) != 4 || got.Buckets[-3].Name != "pve2" || got.Buckets[-9].Name != "pve1" {
		t.Errorf("buckets %v", got.Buckets)
	}
}

func TestExactWeight(t *testing.T) {
	for weight := range 1 << 18 {
		if got := crushWeight(exactWeight(weight)); got != weight {
			t.Fatalf("%d is written as %s, which is %d", weight, exactWeight(weight), got)
		}
	}
	for text, want := range map[string]int{"0.910": 59637, "1": 65536, "60000": 60000 << 16, "60001": -1, "-1": -1, "nan": -1, "1e3": -1, "": -1} {
		if got := crushWeight(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestParseCrushTextRefuses(t *testing.T) {
	text := recordedMap(t).Text()
	for name, test := range map[string]struct{ old, new, want string }{
		"an unknown word":           {"# types", "shelf a { }", `line 19: found "shelf", expected a definition`},
		"a bucket without end":      {"}\n\n# rules", "\n# rules", `found "rule", expected an item or }`},
		"a rule without end":        {"\tstep emit\n}\n", "\tstep emit\n", "the text ends in the middle"},
		"no OSD":                    {"item osd.5 ", "item osd.9 ", "line 56: item osd.9 of pve3 is not defined"},
		"no weight":                 {"item osd.5 weight 0.90970", "item osd.5", "item osd.5 has no weight: that of an OSD is its capacity in TiB"},
		"a wrong weight":            {"item osd.5 weight 0.90970", "item osd.5 weight much", `"much" is not a weight`},
		"a wrong type":              {"type host", "type cellar", "rule replicated_rule chooses a cellar, which is not a type"},
		"nothing to take":           {"take default", "take elsewhere", "rule replicated_rule takes elsewhere, which is not defined"},
		"no device of the class":    {"take default", "take default class nvme", "rule replicated_rule takes class nvme, which no device has"},
		"a bucket in itself":        {"item pve1 ", "item default ", "default contains itself"},
		"an ID twice":               {"id -6 class", "id -5 class", "bucket pve2: the ID -5 is used twice"},
		"a device twice":            {"device 5", "device 4", "device 4 is there twice"},
		"a name twice":              {"host pve2", "host pve1", "pve1 is there twice"},
		"a step that is not known":  {"step emit", "step bogus", "hlplay does not know the step bogus"},
		"a tunable not known":       {"choose_total_tries", "choose_more", "line 4: hlplay does not know the tunable choose_more"},
		"weight sets":               {"# end crush map", "choose_args 0 { }", "hlplay does not set weight sets"},
		"a bucket of no such kind":  {"alg straw2", "alg heap", `"heap" where uniform or list or tree or straw or straw2 is expected`},
		"an end where none is open": {"# end crush map", "}", `found "}", expected a definition`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(text, test.old) {
				t.Fatalf("the text has no %q", test.old)
			}
			_, err := ParseCrushText(strings.Replace(text, test.old, test.new, 1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzParseCrushText(f *testing.F) {
	m := recordedMap(f)
	f.Add(m.Text())
	f.Add(crushtoolText(f))
	f.Add("type 0 osd type 1 host host a { alg straw2 item b } host b { alg straw2 item a }")
	f.Add("device 0 osd.0 type 1 host host a { id -1 alg list item osd.0 weight 1 pos 0 } rule r { id 0 type erasure step take a step emit }")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseCrushText(text)
		if err != nil {
			return
		}
		is := parsed.On(m)
		again, err := ParseCrushText(is.Text())
		if err != nil {
			t.Fatalf("its own text is refused: %v\n%s", err, is.Text())
		}
		if got := again.On(is); !got.Same(is) {
			t.Errorf("-map +its text:\n%s", cmp.Diff(is.Text(), got.Text()))
		}
	})
}

func TestCrushTrial(t *testing.T) {
	hosts, ec, racks := CrushUse{Rule: 0, Size: 3}, CrushUse{Rule: 1, Size: 1, New: true}, CrushUse{Rule: 2, Size: 1, New: true}
	name := CrushTrial{Map: "m", Uses: []CrushUse{hosts, ec, racks}, Overrides: map[int]float64{1: 0.5}}.Name()
	recorded := modulestest.Recorded(t, "crushtrial.txt")
	got := modulestest.Parsed(t, CrushTrials, []string{name}, recorded)[name]
	if got.Version != 16 || got.Compiled != crushtoolText(t) {
		t.Errorf("version %d, compiled %q", got.Version, got.Compiled)
	}
	want := map[CrushUse]CrushMove{hosts: {Moved: 4.0 / 192, Tried: 64}, ec: {Tried: 64}, racks: {Tried: 64, After: 64}}
	if diff := cmp.Diff(want, got.Moves); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if args := CrushTrials.Ask([]string{name})[0].Args; !cmp.Equal(args, []string{"/etc/pve/ceph.conf", "m", "2", "1", "0.5", "old", "0", "3", "new", "1", "1", "new", "2", "1"}) {
		t.Errorf("asked with %q", args)
	}
	refused := modulestest.Parsed(t, CrushTrials, []string{name}, text("version 16\nrefused\nin rule 'r' item 'x' not defined\n"))[name]
	if refused.Refusal != "in rule 'r' item 'x' not defined" {
		t.Errorf("refusal %q", refused.Refusal)
	}
	for said, answer := range map[string]remote.Answer{
		"expected the version of the map": text("version \ncompiled\ndone\n"),
		"is not complete":                 text("version 16\ncompiled\nuse old 0 3\n"),
		"hlplay does not understand":      text("version 16\ncompiled\nuse old 0 3\nCRUSH rule 0 x 0 [1,a]\ndone\n"),
		"printed 0 placements":            text("version 16\ncompiled\nuse old 0 3\nuse new 0 3\ndone\n"),
		"trying the CRUSH map":            {Exit: 1},
	} {
		CrushTrials.Parse([]string{name}, []remote.Answer{answer}, func(_ string, _ CrushResult, err error) {
			if err == nil || !strings.Contains(err.Error(), said) {
				t.Errorf("got %v, want %q", err, said)
			}
		})
	}
}

// Parts of erasure-coded data move if their OSDs change places; copies do not.
func TestCompareMappings(t *testing.T) {
	before, after := [][]int{{1, 2, 3}, {4, noOSD, 6}}, [][]int{{2, 1, 3}, {4, 5, noOSD}}
	for ordered, moved := range map[bool]float64{false: 1.0 / 6, true: 3.0 / 6} {
		if got := compareMappings(before, after, CrushUse{Size: 3, Ordered: ordered}); got != (CrushMove{Moved: moved, Tried: 2, Before: 1, After: 1}) {
			t.Errorf("ordered %v: %+v", ordered, got)
		}
	}
	if got := compareMappings([][]int{{1, 2}, {3, 4}}, [][]int{{1}, {3, 4}}, CrushUse{Size: 3}); got != (CrushMove{Tried: 2, Before: 2, After: 2, Fewer: 1}) {
		t.Errorf("one copy of three is left of two: %+v", got)
	}
}
