package ceph

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name, steps string
		want        Spread
	}{
		{"by host", `take default; chooseleaf_firstn 0 host; emit`, Spread{PerHost: 1}},
		{"by host of a class", `take default~ssd; chooseleaf_firstn 0 host; emit`, Spread{PerHost: 1, Class: "ssd"}},
		{"by rack", `take default; chooseleaf_firstn 0 rack; emit`, Spread{PerHost: 1}},
		{"by OSD", `take default; choose_firstn 0 osd; emit`, Spread{}},
		{"by OSD, as a leaf", `take default; chooseleaf_firstn 0 osd; emit`, Spread{}},
		{"two on each host", `take default; choose_firstn 0 host; chooseleaf_firstn 2 osd; emit`, Spread{PerHost: 2}},
		{"all on hosts that are chosen", `take default; choose_firstn 2 host; choose_firstn 0 osd; emit`, Spread{}},
		{"hosts below racks", `take default; choose_firstn 2 rack; chooseleaf_firstn 2 host; emit`, Spread{PerHost: 1}},
		{"OSDs below racks", `take default; choose_firstn 2 rack; chooseleaf_firstn 2 osd; emit`, Spread{}},
		{"erasure-coded", `set_chooseleaf_tries 5 x; take default; chooseleaf_indep 0 host; emit`, Spread{PerHost: 1}},
		{"twice", `take ssd; chooseleaf_firstn 1 host; emit; take hdd; chooseleaf_firstn -1 host; emit`, Spread{Unknown: "its rule r chooses more than once"}},
		{"a type of one's own", `take default; chooseleaf_firstn 0 shelf; emit`, Spread{Unknown: "its rule r chooses a shelf"}},
		{"relative", `take default; choose_firstn 0 host; chooseleaf_firstn -1 osd; emit`, Spread{Unknown: "its rule r chooses relative to the size"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := ruleDump{Name: "r"}
			for text := range strings.SplitSeq(test.steps, "; ") {
				words := strings.Fields(text)
				step := map[string]any{"op": words[0]}
				switch len(words) {
				case 2:
					step["item_name"] = words[1]
				case 3:
					step["num"], step["type"] = json.Number(words[1]), words[2]
				}
				encoded, err := json.Marshal(map[string]any{"steps": []any{step}})
				if err != nil {
					t.Fatal(err)
				}
				var one ruleDump
				if err := json.Unmarshal(encoded, &one); err != nil {
					t.Fatal(err)
				}
				r.Steps = append(r.Steps, one.Steps...)
			}
			if diff := cmp.Diff(test.want, r.spread()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
