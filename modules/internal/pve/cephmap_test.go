package pve

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

func TestMappings(t *testing.T) {
	text := "gpu\n\tcomment first GPU\n\tmap id=10de:2204,iommugroup=14,node=pve1,path=0000:01:00\n\tmap id=10de:2204,node=pve2,path=0000:41:00\n\tmdev 0\n\nnone\n"
	got := map[string][]string{}
	if err := readMappings([]byte(text), "pci", got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"pci/gpu": {"pve1", "pve2"}, "pci/none": nil}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := readMappings([]byte("\tmap node=pve1\n"), "pci", got); err == nil {
		t.Error("a device that belongs to no mapping is read")
	}
}

func TestQDevice(t *testing.T) {
	conf := "totem {\n  cluster_name: lab\n}\nquorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 10.0.0.9\n      tls: on\n    }\n    votes: 1\n  }\n  provider: corosync_votequorum\n}\n"
	c, err := parseCorosync([]byte(conf))
	if err != nil || c.device != 1 {
		t.Errorf("%d votes of the QDevice (%v), want 1", c.device, err)
	}
}
