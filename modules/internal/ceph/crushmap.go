package ceph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
)

// CrushMap is the map by which Ceph places data.
type CrushMap struct {
	// Version counts the changes of the cluster's map; 0 in a text and in a prediction.
	Version  int
	Tunables map[string]int
	Types    map[int]string
	Devices  map[int]CrushDevice
	// Buckets holds the nodes of the tree by ID, without those that Ceph derives for each device class.
	Buckets map[int]CrushBucket
	// Rules holds the rules by ID, by which pools refer to them.
	Rules map[int]CrushMapRule
	// Unsupported says what part of the cluster's map a text of hlplay cannot represent; empty if nothing is lost.
	Unsupported string
}

// CrushDevice is an OSD in a CRUSH map.
type CrushDevice struct{ Name, Class string }

// CrushBucket is a node of the tree in a CRUSH map.
type CrushBucket struct {
	Name, Type, Alg string
	// Shadows holds the IDs of the bucket's copies by device class, as far as they are known.
	Shadows map[string]int
	// Items are sorted by name if their order has no meaning.
	Items []CrushItem
}

// CrushItem is an OSD or a bucket in a bucket.
type CrushItem struct {
	Name string
	// Weight is in units of 1/65536.
	Weight int
}

// CrushMapRule is a rule of a CRUSH map.
type CrushMapRule struct {
	Name string
	// Type is "replicated" or "erasure".
	Type string
	// MinSize and MaxSize are limits that Ceph had up to version 16; 0 in later versions.
	MinSize, MaxSize int
	// Steps are written as in the text: "take default class ssd", "chooseleaf firstn 0 type host", "emit".
	Steps []string
}

// CrushMaps observes the CRUSH map, under the empty name.
//
// An expectation claims neither the version nor the IDs of a bucket's copies for device classes, which Ceph assigns.
var CrushMaps = &observe.Kind[CrushMap]{
	Complete: func(expected, found CrushMap) CrushMap {
		expected.Version = found.Version
		expected.Buckets = maps.Clone(expected.Buckets)
		for id, b := range expected.Buckets {
			b.Shadows = found.Buckets[id].Shadows
			expected.Buckets[id] = b
		}
		return expected
	},
	Name: "ceph-crushmap", What: "the CRUSH map",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseCrushMap),
}

// crushRuleTypes maps the types of rules to their names.
var crushRuleTypes = map[int]string{1: "replicated", 3: "erasure"}

func parseCrushMap(s monitorsAnswer) (CrushMap, error) {
	var report struct {
		Map struct {
			Version int `json:"crush_version"`
		} `json:"osdmap"`
		Crush struct {
			Devices []struct {
				ID          int
				Name, Class string
			}
			Types []struct {
				ID   int `json:"type_id"`
				Name string
			}
			Buckets []struct {
				ID              int
				Name, Alg, Hash string
				Type            string `json:"type_name"`
				Items           []struct{ ID, Weight int }
			}
			Rules []struct {
				ruleDump
				MinSize int `json:"min_size"`
				MaxSize int `json:"max_size"`
			}
			Tunables   map[string]any
			ChooseArgs map[string]any `json:"choose_args"`
		} `json:"crushmap"`
	}
	if err := readReport(s, &report); err != nil {
		return CrushMap{}, err
	}
	c := report.Crush
	m := CrushMap{Version: report.Map.Version, Tunables: map[string]int{}, Types: map[int]string{}, Devices: map[int]CrushDevice{}, Buckets: map[int]CrushBucket{}, Rules: map[int]CrushMapRule{}}
	for name, value := range c.Tunables {
		number, ok := value.(float64)
		usual, known := multiStep[name]
		switch {
		case ok && slices.Contains(crushTunables, name):
			m.Tunables[name] = int(number)
		case known && (!ok || int(number) != usual):
			m.Unsupported = fmt.Sprintf("its tunable %s is %v", name, value)
		}
	}
	for _, t := range c.Types {
		m.Types[t.ID] = t.Name
	}
	names := map[int]string{}
	for _, d := range c.Devices {
		names[d.ID] = d.Name
		m.Devices[d.ID] = CrushDevice{Name: d.Name, Class: d.Class}
	}
	shadows := map[string]map[string]int{}
	for _, b := range c.Buckets {
		names[b.ID] = b.Name
		if name, class, ok := strings.Cut(b.Name, "~"); ok {
			if shadows[name] == nil {
				shadows[name] = map[string]int{}
			}
			shadows[name][class] = b.ID
		}
	}
	for _, b := range c.Buckets {
		if strings.Contains(b.Name, "~") {
			continue
		}
		bucket := CrushBucket{Name: b.Name, Type: b.Type, Alg: b.Alg, Shadows: shadows[b.Name]}
		for _, item := range b.Items {
			bucket.Items = append(bucket.Items, CrushItem{names[item.ID], item.Weight})
		}
		m.Buckets[b.ID] = bucket
		if b.Hash != "rjenkins1" {
			m.Unsupported = fmt.Sprintf("bucket %s has the hash %q", b.Name, b.Hash)
		}
	}
	for _, r := range c.Rules {
		rule := CrushMapRule{Name: r.Name, Type: crushRuleTypes[r.Type], MinSize: r.MinSize, MaxSize: r.MaxSize}
		if rule.Type == "" {
			m.Unsupported = fmt.Sprintf("rule %s has type %d", r.Name, r.Type)
		}
		for _, step := range r.Steps {
			text, ok := stepText(step.Op, step.Item, step.Type, step.Num)
			if !ok {
				m.Unsupported = fmt.Sprintf("rule %s has a step %q", r.Name, step.Op)
			}
			rule.Steps = append(rule.Steps, text)
		}
		m.Rules[r.ID] = rule
	}
	if len(c.ChooseArgs) > 0 {
		m.Unsupported = "it has weight sets (choose_args), which the balancer's mode crush-compat makes; ceph osd crush weight-set rm-compat removes them, and data moves"
	}
	placed := map[string]bool{}
	for _, b := range m.Buckets {
		for _, item := range b.Items {
			placed[item.Name] = true
		}
	}
	maps.DeleteFunc(m.Devices, func(id int, d CrushDevice) bool { // Ceph's JSON shows unused numbers like this
		return d.Name == "device"+strconv.Itoa(id) && !placed[d.Name]
	})
	m.settle()
	return m, nil
}

// stepText returns a step of a rule in the text form.
func stepText(op, item, kind string, num int) (string, bool) {
	how, mode, chooses := strings.Cut(op, "_")
	switch {
	case op == "take":
		if root, class, ok := strings.Cut(item, "~"); ok {
			item = root + " class " + class
		}
		return "take " + item, item != ""
	case op == "emit":
		return "emit", true
	case slices.Contains(crushSettings, op):
		return fmt.Sprintf("%s %d", op, num), true
	case chooses && (how == "choose" || how == "chooseleaf") && (mode == "firstn" || mode == "indep"):
		return fmt.Sprintf("%s %s %d type %s", how, mode, num, kind), true
	}
	return op, false
}

// crushSettings lists the steps that change a setting for the rest of a rule, as far as Ceph's JSON shows them.
var crushSettings = []string{"set_choose_tries", "set_chooseleaf_tries"}

// settle normalizes a map, so that maps with the same meaning are equal.
func (m *CrushMap) settle() {
	classes := map[string]bool{}
	for id, b := range m.Buckets {
		if b.Alg == "straw2" {
			slices.SortFunc(b.Items, func(x, y CrushItem) int { return cmp.Compare(x.Name, y.Name) })
		}
		m.Buckets[id] = b
	}
	for _, d := range m.Devices {
		classes[d.Class] = true
	}
	for id, b := range m.Buckets {
		b.Shadows = maps.Clone(b.Shadows)
		maps.DeleteFunc(b.Shadows, func(class string, _ int) bool { return !classes[class] })
		m.Buckets[id] = b
	}
}

// Same reports whether both maps place data alike. The IDs of copies for device classes are compared only if both maps
// have them.
func (m CrushMap) Same(other CrushMap) bool { return m.comparable(other) == other.comparable(m) }

// comparable returns the map as text, without IDs that the other map does not have.
func (m CrushMap) comparable(other CrushMap) string {
	m.Buckets = maps.Clone(m.Buckets)
	for id, b := range m.Buckets {
		b.Shadows = maps.Clone(b.Shadows)
		maps.DeleteFunc(b.Shadows, func(class string, _ int) bool {
			_, known := other.Buckets[id].Shadows[class]
			return !known
		})
		m.Buckets[id] = b
	}
	return m.Text()
}

// Text returns the map in crushtool's language, with exact weights. crushtool itself writes only three to five decimals,
// so its own text describes a slightly different map.
func (m CrushMap) Text() string {
	var b strings.Builder
	b.WriteString("# begin crush map\n")
	for _, name := range crushTunables {
		if value, ok := m.Tunables[name]; ok {
			fmt.Fprintf(&b, "tunable %s %d\n", name, value)
		}
	}
	b.WriteString("\n# devices\n")
	for _, id := range slices.Sorted(maps.Keys(m.Devices)) {
		d := m.Devices[id]
		fmt.Fprintf(&b, "device %d %s", id, d.Name)
		if d.Class != "" {
			fmt.Fprintf(&b, " class %s", d.Class)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n# types\n")
	for _, id := range slices.Sorted(maps.Keys(m.Types)) {
		fmt.Fprintf(&b, "type %d %s\n", id, m.Types[id])
	}
	b.WriteString("\n# buckets\n")
	for _, id := range m.bottomUp() {
		bucket := m.Buckets[id]
		fmt.Fprintf(&b, "%s %s {\n\tid %d\n", bucket.Type, bucket.Name, id)
		for _, class := range slices.Sorted(maps.Keys(bucket.Shadows)) {
			fmt.Fprintf(&b, "\tid %d class %s\n", bucket.Shadows[class], class)
		}
		fmt.Fprintf(&b, "\talg %s\n\thash 0\n", bucket.Alg)
		for _, item := range bucket.Items {
			fmt.Fprintf(&b, "\titem %s weight %s\n", item.Name, exactWeight(item.Weight))
		}
		b.WriteString("}\n")
	}
	b.WriteString("\n# rules\n")
	for _, id := range slices.Sorted(maps.Keys(m.Rules)) {
		r := m.Rules[id]
		fmt.Fprintf(&b, "rule %s {\n\tid %d\n\ttype %s\n", r.Name, id, r.Type)
		if r.MaxSize > 0 {
			fmt.Fprintf(&b, "\tmin_size %d\n\tmax_size %d\n", r.MinSize, r.MaxSize)
		}
		for _, step := range r.Steps {
			fmt.Fprintf(&b, "\tstep %s\n", step)
		}
		b.WriteString("}\n")
	}
	b.WriteString("\n# end crush map\n")
	return b.String()
}

// exactWeight formats a weight so that crushtool, which multiplies by 65536 in single precision and truncates, reads the
// same weight: with five decimals, the usual form, if that is exact.
func exactWeight(weight int) string {
	for decimals := 5; ; decimals++ {
		text := strconv.FormatFloat(float64(weight)/65536, 'f', decimals, 64)
		if crushWeight(text) == weight || decimals == 16 {
			return text
		}
	}
}

// crushWeight returns the weight that crushtool reads from a text, or -1.
func crushWeight(text string) int {
	f, err := strconv.ParseFloat(text, 32)
	if err != nil || strings.Trim(text, "0123456789.") != "" || f > MaxCrushWeight {
		return -1
	}
	return int(float32(f) * 65536)
}

// MaxCrushWeight is the greatest weight in a text: crushtool stores weights in 32 bits.
const MaxCrushWeight = 60000

// bottomUp returns the IDs of the buckets in an order in which each comes after its items, and otherwise from -1 downwards.
func (m CrushMap) bottomUp() []int {
	byName := map[string]int{}
	for id, b := range m.Buckets {
		byName[b.Name] = id
	}
	var order []int
	seen := map[int]bool{}
	var visit func(id int)
	visit = func(id int) {
		if seen[id] {
			return
		}
		seen[id] = true
		for _, item := range m.Buckets[id].Items {
			if child, ok := byName[item.Name]; ok {
				visit(child)
			}
		}
		order = append(order, id)
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.Buckets))) {
		visit(id)
	}
	return order
}

// Meanings returns the rules by name, in the form of CrushRules and of Spreads.
func (m CrushMap) Meanings() (map[string]CrushRule, map[string]Spread) {
	rules, spreads := map[string]CrushRule{}, map[string]Spread{}
	for id, r := range m.Rules {
		dump := ruleDump{ID: id, Name: r.Name}
		for number, name := range crushRuleTypes {
			if name == r.Type {
				dump.Type = number
			}
		}
		for _, step := range r.Steps {
			dump.Steps = append(dump.Steps, stepDump(step))
		}
		rules[r.Name], spreads[r.Name] = dump.meaning(), dump.spread()
	}
	return rules, spreads
}

// stepDump reverses stepText.
func stepDump(text string) ruleStep {
	words := strings.Fields(text)
	switch {
	case words[0] == "take" && len(words) == 4:
		return ruleStep{Op: "take", Item: words[1] + "~" + words[3]}
	case words[0] == "take":
		return ruleStep{Op: "take", Item: words[1]}
	case len(words) == 5:
		num, _ := strconv.Atoi(words[2]) // the parser accepts only numbers here
		return ruleStep{Op: words[0] + "_" + words[1], Num: num, Type: words[4]}
	}
	return ruleStep{Op: words[0]}
}

// Weights returns the weights of the devices in the tree by ID, in TiB.
func (m CrushMap) Weights() map[int]float64 {
	ids := map[string]int{}
	for id, d := range m.Devices {
		ids[d.Name] = id
	}
	all := map[int]float64{}
	for _, b := range m.Buckets {
		for _, item := range b.Items {
			if id, ok := ids[item.Name]; ok {
				all[id] = float64(item.Weight) / 65536
			}
		}
	}
	return all
}

// CrushImbalance is a bucket whose weight in its parent differs from the sum of its items.
type CrushImbalance struct {
	Bucket, Parent string
	// Weight is its weight in the parent, and Items the sum of the weights of its items, in TiB.
	Weight, Items float64
}

// Imbalances returns the buckets whose weight in their parent differs from the sum of their items by more than rounding
// explains.
func (m CrushMap) Imbalances() []CrushImbalance {
	sums, counts := map[string]int{}, map[string]int{}
	for _, b := range m.Buckets {
		sums[b.Name], counts[b.Name] = 0, len(b.Items)
		for _, item := range b.Items {
			sums[b.Name] += item.Weight
		}
	}
	var all []CrushImbalance
	for _, id := range m.bottomUp() {
		parent := m.Buckets[id]
		for _, item := range parent.Items {
			sum, bucket := sums[item.Name]
			if bucket && !rounded(item.Weight, sum, counts[item.Name]) {
				all = append(all, CrushImbalance{item.Name, parent.Name, float64(item.Weight) / 65536, float64(sum) / 65536})
			}
		}
	}
	return all
}

// CrushMapObject is the name of the CRUSH map in the copies that a run keeps (modules.Object).
const CrushMapObject = "crushmap"

// CrushTexts observes the CRUSH map as a file with its text, under the empty name; it is absent if there is no cluster.
var CrushTexts = &observe.Kind[observe.File]{
	Name: "ceph-crushmap-text", What: "the CRUSH map as text",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseCrushText),
}

func parseCrushText(s monitorsAnswer) (observe.File, error) {
	m, err := parseCrushMap(s)
	if err == nil && m.Unsupported != "" {
		err = fmt.Errorf("a text cannot hold it: %s", m.Unsupported)
	}
	if err != nil {
		return observe.File{}, err
	}
	text := []byte(m.Text())
	return observe.File{Type: observe.Regular, Content: text, Size: int64(len(text))}, nil
}
