package ceph

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CrushText is a CRUSH map in crushtool's language. What the text leaves out is filled in by On.
type CrushText struct {
	// m holds everything except the buckets.
	m       CrushMap
	buckets []*textBucket
}

// textBucket is a bucket in a text. Its id is 0 if the text gives none.
type textBucket struct {
	id, line int
	CrushBucket
	items []textItem
}

// textItem is an item of a bucket. Its weight is as written, or empty if the text gives none.
type textItem struct {
	name, weight string
	line         int
}

// crushTunables lists the tunables in a text, in crushtool's order.
var crushTunables = []string{
	"choose_local_tries", "choose_local_fallback_tries", "choose_total_tries", "chooseleaf_descend_once", "chooseleaf_vary_r", "chooseleaf_stable",
	"straw_calc_version", "allowed_bucket_algs",
}

// multiStep lists tunables of rules that hlplay does not support, with the value that they have if no such rule is used.
var multiStep = map[string]int{"msr_descents": 100, "msr_collision_tries": 100}

var crushAlgorithms = []string{"uniform", "list", "tree", "straw", "straw2"}

// textError describes an error in a text.
type textError struct {
	line    int
	problem string
}

func (e *textError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.problem) }

// crushParser reads the words of a text. Braces are words of their own, and "#" begins a comment.
type crushParser struct {
	words []crushWord
	CrushText
	// lines holds the lines of devices and rules, by name.
	lines map[string]int
}

type crushWord struct {
	text string
	line int
}

// ParseCrushText parses a CRUSH map. Its errors name the line.
func ParseCrushText(text string) (parsed *CrushText, err error) {
	p := &crushParser{lines: map[string]int{}, CrushText: CrushText{m: CrushMap{Tunables: map[string]int{}, Types: map[int]string{}, Devices: map[int]CrushDevice{}, Rules: map[int]CrushMapRule{}}}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(strings.NewReplacer("{", " { ", "}", " } ").Replace(line)) {
			p.words = append(p.words, crushWord{word, number})
		}
	}
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case *textError:
			parsed, err = nil, problem
		default:
			panic(problem)
		}
	}()
	p.words = append(p.words, crushWord{"", max(number, 1)})
	for p.peek() != "" {
		p.section()
	}
	p.check()
	return &p.CrushText, nil
}

// fail ends the parsing with an error: it panics, and ParseCrushText recovers.
func (p *crushParser) fail(line int, format string, args ...any) {
	panic(&textError{line, fmt.Sprintf(format, args...)})
}

func (p *crushParser) peek() string { return p.words[0].text }

// next returns the next word. It fails at the end of the text.
func (p *crushParser) next() crushWord {
	w := p.words[0]
	if w.text == "" {
		p.fail(w.line, "the text ends in the middle of a definition")
	}
	p.words = p.words[1:]
	return w
}

// maybe reports whether the next word is the given one, and if so consumes it.
func (p *crushParser) maybe(word string) bool {
	if p.peek() == word {
		p.next()
		return true
	}
	return false
}

func (p *crushParser) expect(words ...string) string {
	w := p.next()
	if !slices.Contains(words, w.text) {
		p.fail(w.line, "%q where %s is expected", w.text, strings.Join(words, " or "))
	}
	return w.text
}

func (p *crushParser) name() string {
	w := p.next()
	if strings.Trim(w.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		p.fail(w.line, "%q is not a name: letters, digits, and any of - _ .", w.text)
	}
	return w.text
}

func (p *crushParser) number(least, most int) int {
	w := p.next()
	n, err := strconv.Atoi(w.text)
	if err != nil || n < least || n > most {
		p.fail(w.line, "%q is not a number from %d to %d", w.text, least, most)
	}
	return n
}

// most bounds the numbers in a text; no cluster has that many of anything.
const most = 1 << 20

// section parses a top-level definition.
func (p *crushParser) section() {
	switch w := p.next(); w.text {
	case "tunable":
		name, value := p.next(), p.number(0, most)
		usual, known := multiStep[name.text]
		switch {
		case slices.Contains(crushTunables, name.text):
			p.m.Tunables[name.text] = value
		case !known:
			p.fail(name.line, "hlplay does not know the tunable %s", name.text)
		case value != usual:
			p.fail(name.line, "hlplay does not set the tunable %s", name.text)
		}
	case "device":
		id := p.number(0, most)
		if _, exists := p.m.Devices[id]; exists {
			p.fail(w.line, "device %d is there twice", id)
		}
		d := CrushDevice{Name: p.name()}
		p.lines[d.Name] = w.line
		if p.maybe("class") {
			d.Class = p.name()
		}
		p.m.Devices[id] = d
	case "type":
		id := p.number(0, most)
		if _, exists := p.m.Types[id]; exists {
			p.fail(w.line, "type %d is there twice", id)
		}
		p.m.Types[id] = p.name()
	case "rule":
		p.rule(w.line)
	case "choose_args":
		p.fail(w.line, "hlplay does not set weight sets (choose_args), which the balancer's mode crush-compat makes")
	default:
		if !slices.Contains(slices.Collect(maps.Values(p.m.Types)), w.text) {
			p.fail(w.line, "found %q, expected a definition: tunable, device, type, rule, or a bucket type that is defined above", w.text)
		}
		p.bucket(w)
	}
}

func (p *crushParser) bucket(kind crushWord) {
	b := &textBucket{line: kind.line, CrushBucket: CrushBucket{Type: kind.text, Name: p.name(), Shadows: map[string]int{}}}
	p.expect("{")
	for p.maybe("id") {
		id := p.number(-most, -1)
		if p.maybe("class") {
			b.Shadows[p.name()] = id
		} else {
			b.id = id
		}
	}
	p.expect("alg")
	b.Alg = p.expect(crushAlgorithms...)
	if p.maybe("hash") {
		p.expect("0", "rjenkins1")
	}
	for w := p.next(); w.text != "}"; w = p.next() {
		if w.text != "item" {
			p.fail(w.line, "found %q, expected an item or }", w.text)
		}
		item := textItem{name: p.name(), line: w.line}
		if p.maybe("weight") {
			item.weight = p.next().text
			if crushWeight(item.weight) < 0 {
				p.fail(w.line, "item %s: %q is not a weight from 0 to %d", item.name, item.weight, MaxCrushWeight)
			}
		}
		if p.maybe("pos") && p.number(0, most) != len(b.items) {
			p.fail(w.line, "item %s: write the items in the order of pos", item.name)
		}
		b.items = append(b.items, item)
	}
	p.buckets = append(p.buckets, b)
}

func (p *crushParser) rule(line int) {
	r := CrushMapRule{Name: p.name()}
	p.lines["rule "+r.Name] = line
	p.expect("{")
	p.expect("id", "ruleset")
	id := p.number(0, 255)
	if _, exists := p.m.Rules[id]; exists {
		p.fail(line, "rule %d is there twice", id)
	}
	p.expect("type")
	r.Type = p.expect(crushRuleTypes[1], crushRuleTypes[3])
	if p.maybe("min_size") {
		r.MinSize = p.number(0, 255)
	}
	if p.maybe("max_size") {
		r.MaxSize = p.number(0, 255)
	}
	for p.maybe("step") {
		r.Steps = append(r.Steps, p.step())
	}
	p.expect("}")
	if len(r.Steps) == 0 {
		p.fail(line, "rule %s has no steps", r.Name)
	}
	p.m.Rules[id] = r
}

func (p *crushParser) step() string {
	switch w := p.next(); w.text {
	case "emit":
		return w.text
	case "take":
		text := "take " + p.name()
		if p.maybe("class") {
			text += " class " + p.name()
		}
		return text
	case "choose", "chooseleaf":
		mode := p.expect("firstn", "indep")
		n := p.number(-most, most)
		p.expect("type")
		return fmt.Sprintf("%s %s %d type %s", w.text, mode, n, p.name())
	default:
		if !slices.Contains(crushSettings, w.text) {
			p.fail(w.line, "hlplay does not know the step %s: take, choose, chooseleaf, emit, %s", w.text, strings.Join(crushSettings, ", "))
		}
		return fmt.Sprintf("%s %d", w.text, p.number(0, most))
	}
}

// check rejects duplicate names and IDs, undefined names, and cycles.
func (p *crushParser) check() {
	defined, ids := map[string]bool{}, map[int]bool{}
	define := func(line int, name string) {
		if defined[name] {
			p.fail(line, "%s is there twice", name)
		}
		defined[name] = true
	}
	devices, classes := map[string]bool{}, map[string]bool{}
	for _, d := range p.m.Devices {
		define(p.lines[d.Name], d.Name)
		devices[d.Name], classes[d.Class] = true, true
	}
	inside := map[string][]string{}
	for _, b := range p.buckets {
		define(b.line, b.Name)
		for _, id := range append(slices.Collect(maps.Values(b.Shadows)), b.id) {
			if id != 0 && ids[id] {
				p.fail(b.line, "bucket %s: the ID %d is used twice", b.Name, id)
			}
			ids[id] = true
		}
		for _, item := range b.items {
			inside[b.Name] = append(inside[b.Name], item.name)
		}
	}
	rules := map[string]bool{}
	for _, r := range p.m.Rules {
		line := p.lines["rule "+r.Name]
		if rules[r.Name] {
			p.fail(line, "rule %s is there twice", r.Name)
		}
		rules[r.Name] = true
		for _, step := range r.Steps {
			switch words := strings.Fields(step); {
			case words[0] == "take" && !defined[words[1]]:
				p.fail(line, "rule %s takes %s, which is not defined", r.Name, words[1])
			case words[0] == "take" && len(words) == 4 && !classes[words[3]]: // crushtool fails here without a message
				p.fail(line, "rule %s takes class %s, which no device has", r.Name, words[3])
			case len(words) == 5 && !slices.Contains(slices.Collect(maps.Values(p.m.Types)), words[4]):
				p.fail(line, "rule %s chooses a %s, which is not a type", r.Name, words[4])
			}
		}
	}
	for _, b := range p.buckets {
		for _, item := range b.items {
			switch {
			case !defined[item.name]:
				p.fail(item.line, "item %s of %s is not defined", item.name, b.Name)
			case devices[item.name] && item.weight == "":
				p.fail(item.line, "item %s has no weight: that of an OSD is its capacity in TiB", item.name)
			}
		}
		if circular(inside, b.Name) {
			p.fail(b.line, "%s contains itself", b.Name)
		}
	}
}

// circular reports whether a bucket contains itself.
func circular(inside map[string][]string, name string) bool {
	seen := map[string]bool{}
	for rest := slices.Clone(inside[name]); len(rest) > 0; {
		item := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		if item == name {
			return true
		}
		if !seen[item] {
			seen[item] = true
			rest = append(rest, inside[item]...)
		}
	}
	return false
}

// On returns the map that the text describes, on a cluster with the given map. What the text does not specify is taken
// from that map: the IDs of buckets, tunables, and the exact values of weights that crushtool has rounded. If a bucket has
// no weight in its parent, or one that equals the sum of its items up to rounding, it gets that sum.
func (t *CrushText) On(have CrushMap) CrushMap {
	m := t.m
	m.Devices, m.Rules, m.Buckets = maps.Clone(m.Devices), maps.Clone(m.Rules), map[int]CrushBucket{}
	ids, known, used, summed := map[string]int{}, map[string]int{}, map[int]bool{}, map[string]int{}
	for id, b := range have.Buckets {
		ids[b.Name] = id
		used[id] = true
		for _, shadow := range b.Shadows {
			used[shadow] = true
		}
		for _, item := range b.Items {
			known[item.Name] = item.Weight
			summed[b.Name] += item.Weight
		}
	}
	given := map[int]bool{}
	for _, b := range t.buckets {
		used[b.id], given[b.id] = true, true
		for _, id := range b.Shadows {
			used[id] = true
		}
	}
	total, counts := map[string]int{}, map[string]int{}
	for _, b := range t.bottomUp() {
		counts[b.Name] = len(b.items)
		id := b.id
		if id == 0 && !given[ids[b.Name]] {
			id = ids[b.Name]
		}
		for next := -1; id == 0; next-- {
			if !used[next] {
				id, used[next] = next, true
			}
		}
		bucket := CrushBucket{Name: b.Name, Type: b.Type, Alg: b.Alg, Shadows: maps.Clone(b.Shadows)}
		for class, shadow := range have.Buckets[id].Shadows {
			if _, given := bucket.Shadows[class]; !given {
				bucket.Shadows[class] = shadow
			}
		}
		before := map[string]int{}
		for _, item := range have.Buckets[id].Items {
			before[item.Name] = item.Weight
		}
		for _, item := range b.items {
			weight, was := total[item.name], known[item.name]
			if here, ok := before[item.name]; ok {
				was = here
			}
			sum, contains := total[item.name], counts[item.name] > 0
			if item.weight != "" {
				weight = unrounded(item.weight, was)
			}
			if contains && (weight != was || sum != summed[item.name]) && rounded(weight, sum, counts[item.name]) {
				weight = sum
			}
			bucket.Items = append(bucket.Items, CrushItem{item.name, weight})
			total[b.Name] += weight
		}
		m.Buckets[id] = bucket
	}
	t.legacy(m, have)
	m.Tunables = maps.Clone(t.m.Tunables)
	for name, value := range have.Tunables {
		if _, given := m.Tunables[name]; !given {
			m.Tunables[name] = value
		}
	}
	m.settle()
	return m
}

// rounded reports whether a bucket's weight is the sum of that many items up to rounding.
func rounded(weight, sum, items int) bool {
	const rounding = 66 // crushtool of Ceph 16 writes three decimals
	return max(weight-sum, sum-weight) <= rounding*(items+1)
}

// unrounded returns the present weight, was, if crushtool would write it like the text, and otherwise the written weight.
func unrounded(written string, was int) int {
	for _, decimals := range []int{3, 5} { // up to Ceph 16, and later
		if written == strconv.FormatFloat(float64(was)/65536, 'f', decimals, 64) {
			return was
		}
	}
	return crushWeight(written)
}

// legacy adds limits to the rules if the cluster's rules have limits, and removes them otherwise.
func (t *CrushText) legacy(m, have CrushMap) {
	limits := false
	for _, r := range have.Rules {
		limits = limits || r.MaxSize > 0
	}
	for id, r := range m.Rules {
		switch {
		case !limits:
			r.MinSize, r.MaxSize = 0, 0
		case r.MaxSize == 0:
			r.MinSize, r.MaxSize = 1, 10
		}
		m.Rules[id] = r
	}
}

// bottomUp returns the buckets in an order in which each comes after its items.
func (t *CrushText) bottomUp() []*textBucket {
	byName := map[string]*textBucket{}
	for _, b := range t.buckets {
		byName[b.Name] = b
	}
	var order []*textBucket
	seen := map[*textBucket]bool{}
	var visit func(b *textBucket)
	visit = func(b *textBucket) {
		if b == nil || seen[b] {
			return
		}
		seen[b] = true
		for _, item := range b.items {
			visit(byName[item.name])
		}
		order = append(order, b)
	}
	for _, b := range t.buckets {
		visit(b)
	}
	return order
}
