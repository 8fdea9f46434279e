package proxmox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// crushMap is a CRUSH map in a file. The simulation's files begin like Ceph's and continue as JSON; only crushtool and
// ceph read them.
type crushMap struct {
	Tunables []crushTunable
	Devices  []crushDevice
	Types    []string
	Buckets  []crushBucket
	Rules    []crushRule
}

type crushTunable struct {
	Name  string
	Value int
}

type crushDevice struct {
	ID          int
	Name, Class string
}

type crushBucket struct {
	Type, Name string
	ID         int
	// Shadows are the IDs of the bucket's shadows, by class.
	Shadows []crushShadow
	Items   []crushItem
}

type crushShadow struct {
	Class string
	ID    int
}

// crushItem is an OSD or bucket inside a bucket. Its weight is in units of 1/65536.
type crushItem struct {
	Name   string
	Weight int
}

// crushRule is a rule. Its steps are in text form: "take default class ssd", "emit".
type crushRule struct {
	ID         int
	Name, Type string
	Steps      []string
}

const crushMagic = "\x00\x00\x01\x00"

func (m *crushMap) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and numbers can always be marshaled
	}
	return append([]byte(crushMagic), data...)
}

func decodeCrush(data []byte) (*crushMap, bool) {
	body, ok := strings.CutPrefix(string(data), crushMagic)
	var m crushMap
	return &m, ok && json.Unmarshal([]byte(body), &m) == nil
}

// crushMap returns the map of a cluster.
func (c *Ceph) crushMap() *crushMap {
	m := &crushMap{Types: crushTypes, Tunables: []crushTunable{{"choose_local_tries", 0}, {"choose_local_fallback_tries", 0}, {"choose_total_tries", 50}, {"chooseleaf_descend_once", 1},
		{"chooseleaf_vary_r", 1}, {"chooseleaf_stable", 1}, {"straw_calc_version", 1}, {"allowed_bucket_algs", 54}}}
	for _, o := range c.OSDs {
		d := crushDevice{ID: o.ID, Name: fmt.Sprintf("osd.%d", o.ID)}
		if o.Booted {
			d.Class = o.Class
		}
		m.Devices = append(m.Devices, d)
	}
	shadows := func(id int) []crushShadow {
		var all []crushShadow
		for i, class := range c.Classes {
			all = append(all, crushShadow{class, c.shadow(i, id)})
		}
		return all
	}
	_, osds := c.buckets()
	root := crushBucket{Type: "root", Name: "default", ID: -1, Shadows: shadows(-1)}
	for _, name := range c.hostsByID() {
		b := crushBucket{Type: "host", Name: name, ID: c.Hosts[name], Shadows: shadows(c.Hosts[name])}
		for _, o := range osds[name] {
			b.Items = append(b.Items, crushItem{fmt.Sprintf("osd.%d", o.ID), o.Weight})
		}
		m.Buckets = append(m.Buckets, b)
		root.Items = append(root.Items, crushItem{name, fixedTotal(osds[name])})
	}
	m.Buckets = append(m.Buckets, root)
	for _, r := range c.Rules {
		take, choose := "take "+r.Root, "chooseleaf firstn 0 type "+r.Domain
		if r.Class != "" {
			take += " class " + r.Class
		}
		if r.Domain == "osd" {
			choose = "choose firstn 0 type osd"
		}
		steps := []string{take, choose, "emit"}
		if r.PerDomain > 0 {
			steps = []string{take, "choose firstn 0 type " + r.Domain, fmt.Sprintf("chooseleaf firstn %d type osd", r.PerDomain), "emit"}
		}
		m.Rules = append(m.Rules, crushRule{ID: r.ID, Name: r.Name, Type: "replicated", Steps: steps})
	}
	return m
}

// text decompiles the map as the crushtool of a release does: older ones truncate weights to three decimals.
func (m *crushMap) text(major int) string {
	decimals := 5
	if major < 18 {
		decimals = 3
	}
	weight := func(w int) string { return strconv.FormatFloat(float64(w)/65536, 'f', decimals, 64) }
	var b strings.Builder
	b.WriteString("# begin crush map\n")
	for _, t := range m.Tunables {
		fmt.Fprintf(&b, "tunable %s %d\n", t.Name, t.Value)
	}
	b.WriteString("\n# devices\n")
	for _, d := range m.Devices {
		fmt.Fprintf(&b, "device %d %s", d.ID, d.Name)
		if d.Class != "" {
			fmt.Fprintf(&b, " class %s", d.Class)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n# types\n")
	for i, name := range m.Types {
		fmt.Fprintf(&b, "type %d %s\n", i, name)
	}
	b.WriteString("\n# buckets\n")
	for _, bucket := range m.Buckets {
		fmt.Fprintf(&b, "%s %s {\n\tid %d\t\t# do not change unnecessarily\n", bucket.Type, bucket.Name, bucket.ID)
		for _, s := range bucket.Shadows {
			fmt.Fprintf(&b, "\tid %d class %s\t\t# do not change unnecessarily\n", s.ID, s.Class)
		}
		fmt.Fprintf(&b, "\t# weight %s\n\talg straw2\n\thash 0\t# rjenkins1\n", weight(bucket.weight()))
		for _, item := range bucket.Items {
			fmt.Fprintf(&b, "\titem %s weight %s\n", item.Name, weight(item.Weight))
		}
		b.WriteString("}\n")
	}
	b.WriteString("\n# rules\n")
	for _, r := range m.Rules {
		fmt.Fprintf(&b, "rule %s {\n\tid %d\n\ttype %s\n", r.Name, r.ID, r.Type)
		if major < 17 {
			b.WriteString("\tmin_size 1\n\tmax_size 10\n")
		}
		for _, step := range r.Steps {
			fmt.Fprintf(&b, "\tstep %s\n", step)
		}
		b.WriteString("}\n")
	}
	b.WriteString("\n# end crush map\n")
	return b.String()
}

func (b crushBucket) weight() int {
	sum := 0
	for _, item := range b.Items {
		sum += item.Weight
	}
	return sum
}

func (m *crushMap) bucket(name string) *crushBucket {
	i := slices.IndexFunc(m.Buckets, func(b crushBucket) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Buckets[i]
}

func (m *crushMap) device(name string) *crushDevice {
	i := slices.IndexFunc(m.Devices, func(d crushDevice) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Devices[i]
}

// compileCrush parses the text form. problem is crushtool's error, or "".
func compileCrush(file, text string) (m *crushMap, problem string) {
	m = &crushMap{}
	var bucket *crushBucket
	var rule *crushRule
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var ok bool
		switch {
		case bucket != nil:
			if ok = m.bucketLine(bucket, f); ok && f[0] == "}" {
				m.Buckets, bucket = append(m.Buckets, *bucket), nil
			} else if !ok && f[0] == "item" && len(f) >= 2 {
				return nil, fmt.Sprintf("item '%s' in bucket '%s' is not defined", f[1], bucket.Name)
			}
		case rule != nil:
			if ok = m.ruleLine(rule, f); ok && f[0] == "}" {
				m.Rules, rule = append(m.Rules, *rule), nil
			}
		case f[0] == "rule" && len(f) == 3 && f[2] == "{":
			rule, ok = &crushRule{Name: f[1], ID: len(m.Rules), Type: "replicated"}, true
		case len(f) == 3 && f[2] == "{" && slices.Contains(m.Types, f[0]):
			bucket, ok = &crushBucket{Type: f[0], Name: f[1]}, true
		default:
			ok = m.topLine(f)
		}
		if !ok {
			return nil, fmt.Sprintf("%s:%d error: parse error at '%s'", file, i+1, f[0])
		}
	}
	if bucket != nil || rule != nil {
		return nil, fmt.Sprintf("%s:%d error: parse error at ''", file, strings.Count(text, "\n"))
	}
	return m, m.undefined()
}

func (m *crushMap) topLine(f []string) bool {
	switch {
	case f[0] == "tunable" && len(f) == 3:
		n, err := strconv.Atoi(f[2])
		m.Tunables = append(m.Tunables, crushTunable{f[1], n})
		return err == nil
	case f[0] == "device" && (len(f) == 3 || len(f) == 5 && f[3] == "class"):
		n, err := strconv.Atoi(f[1])
		d := crushDevice{ID: n, Name: f[2]}
		if len(f) == 5 {
			d.Class = f[4]
		}
		m.Devices = append(m.Devices, d)
		return err == nil
	case f[0] == "type" && len(f) == 3:
		m.Types = append(m.Types, f[2])
		return true
	}
	return false
}

func (m *crushMap) bucketLine(b *crushBucket, f []string) bool {
	switch {
	case f[0] == "}" && len(f) == 1, f[0] == "alg" && len(f) == 2 && f[1] == "straw2", f[0] == "hash" && len(f) == 2:
		return true
	case f[0] == "id" && (len(f) == 2 || len(f) == 4 && f[2] == "class"):
		id, err := strconv.Atoi(f[1])
		if len(f) == 4 {
			b.Shadows = append(b.Shadows, crushShadow{f[3], id})
		} else {
			b.ID = id
		}
		return err == nil
	case f[0] == "item" && len(f) == 4 && f[2] == "weight":
		w, err := strconv.ParseFloat(f[3], 32)
		b.Items = append(b.Items, crushItem{f[1], int(float32(w) * 65536)}) // truncated, not rounded
		return err == nil && (m.device(f[1]) != nil || m.bucket(f[1]) != nil)
	}
	return false
}

func (m *crushMap) ruleLine(r *crushRule, f []string) bool {
	switch {
	case f[0] == "}" && len(f) == 1:
		return true
	case (f[0] == "id" || f[0] == "ruleset" || f[0] == "min_size" || f[0] == "max_size") && len(f) == 2:
		n, err := strconv.Atoi(f[1])
		if f[0] == "id" {
			r.ID = n
		}
		return err == nil
	case f[0] == "type" && len(f) == 2:
		r.Type = f[1]
		return true
	case f[0] == "step" && len(f) > 1:
		r.Steps = append(r.Steps, strings.Join(f[1:], " "))
		return slices.Contains([]string{"take", "choose", "chooseleaf", "emit", "set_chooseleaf_tries", "set_choose_tries"}, f[1])
	}
	return false
}

// undefined returns a name that a rule uses but the map does not define.
func (m *crushMap) undefined() string {
	ids := map[int]bool{}
	for _, r := range m.Rules {
		if ids[r.ID] {
			return fmt.Sprintf("rule %d already exists", r.ID)
		}
		ids[r.ID] = true
		for _, step := range r.Steps {
			f := strings.Fields(step)
			switch {
			case f[0] == "take" && len(f) > 1 && m.bucket(f[1]) == nil:
				return fmt.Sprintf("in rule '%s' item '%s' not defined", r.Name, f[1])
			case strings.HasPrefix(f[0], "choose") && len(f) == 5 && !slices.Contains(m.Types, f[4]):
				return fmt.Sprintf("in rule '%s' type '%s' not defined", r.Name, f[4])
			}
		}
	}
	return ""
}
