package proxmox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The program crushtool decompiles, compiles, tests and compares CRUSH maps. Placement respects weights as CRUSH does
// but uses a different hash, so it does not choose the same OSDs as the real one.

// crushTest holds the arguments of crushtool --test.
type crushTest struct {
	rule, numRep, minX, maxX int
	show                     []string
	weights                  map[int]float64
}

// crushArguments are the options of crushtool.
type crushArguments struct {
	decompile, compile, input, output, compare string
	test                                       bool
	crushTest
}

func parseCrushtool(args []string) (a crushArguments, err error) {
	a.crushTest = crushTest{rule: -1, minX: -1, maxX: -1, weights: map[int]float64{}}
	var number = func(text string) int {
		n, problem := strconv.Atoi(text)
		err = errors.Join(err, problem)
		return n
	}
	for i := 0; i < len(args); i++ {
		value := func() string {
			i++
			if i >= len(args) {
				err = fmt.Errorf("option %s requires an argument", args[i-1])
				return ""
			}
			return args[i]
		}
		switch arg := args[i]; {
		case arg == "-d" || arg == "--decompile":
			a.decompile = value()
		case arg == "-c" || arg == "--compile":
			a.compile = value()
		case arg == "-i" || arg == "--infn":
			a.input = value()
		case arg == "-o" || arg == "--outfn":
			a.output = value()
		case arg == "--compare":
			a.compare = value()
		case arg == "--test":
			a.test = true
		case arg == "--rule":
			a.rule = number(value())
		case arg == "--num-rep":
			a.numRep = number(value())
		case arg == "--min-x":
			a.minX = number(value())
		case arg == "--max-x":
			a.maxX = number(value())
		case arg == "--weight":
			id := number(value())
			weight, problem := strconv.ParseFloat(value(), 64)
			a.weights[id], err = weight, errors.Join(err, problem)
		case strings.HasPrefix(arg, "--show-"):
			a.show = append(a.show, strings.TrimPrefix(arg, "--show-"))
		default:
			err = fmt.Errorf("unrecognized arguments: [%s]", arg)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

func crushtool(c *Command) int {
	a, err := parseCrushtool(c.Argv[1:])
	if err != nil {
		return c.die(1, "%s", err)
	}
	switch {
	case a.decompile != "":
		m, code := c.crushFile(a.decompile)
		if code != 0 {
			return code
		}
		var major int
		fmt.Sscanf(upstream(c.Node.Version("ceph-common")), "%d.", &major)
		if a.output == "" {
			c.printf("%s", m.text(major))
			return 0
		}
		return c.save(a.output, []byte(m.text(major)))
	case a.compile != "":
		text, err := c.Node.ReadFile(c.path(a.compile))
		if err != nil {
			return c.die(254, "input file %s not found", a.compile)
		}
		m, problem := compileCrush(a.compile, string(text))
		if problem != "" {
			return c.die(1, "%s", problem)
		}
		if a.output == "" {
			c.printf("crushtool successfully built or modified map.  Use '-o <file>' to write it out.\n")
			return 0
		}
		return c.save(a.output, m.encode())
	case a.input == "":
		return c.die(1, "no action specified; -h for help")
	}
	m, code := c.crushFile(a.input)
	if code != 0 {
		return code
	}
	switch {
	case a.compare != "":
		other, code := c.crushFile(a.compare)
		if code != 0 {
			return code
		}
		return c.compareCrush(m, other)
	case a.test:
		return c.testCrush(m, a.crushTest)
	}
	return c.die(1, "no action specified; -h for help")
}

// path resolves the path of a file relative to the working directory.
func (c *Command) path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(c.Dir, name)
}

func (c *Command) save(name string, data []byte) int {
	full := c.path(name)
	if !c.Node.Exists(path.Dir(full)) {
		return c.die(1, "error writing '%s': No such file or directory", name)
	}
	if err := c.Node.WriteFile(full, data, 0o644); err != nil {
		return c.die(1, "error writing '%s': %s", name, err)
	}
	return 0
}

func (c *Command) crushFile(name string) (*crushMap, int) {
	data, err := c.Node.ReadFile(c.path(name))
	if err != nil {
		return nil, c.die(1, "crushtool: error reading '%s': can't open %s: (2) No such file or directory", name, name)
	}
	m, ok := decodeCrush(data)
	if !ok {
		return nil, c.die(1, "crushtool: unable to decode %s", name)
	}
	return m, 0
}

func (c *Command) testCrush(m *crushMap, t crushTest) int {
	if len(t.show) == 0 {
		return c.die(0, "WARNING: no output selected; use --output-csv or --show-X")
	}
	for _, what := range t.show {
		if what != "mappings" && what != "bad-mappings" {
			return c.notSimulated("--show-" + what)
		}
	}
	shown := func(what string) bool { return slices.Contains(t.show, what) }
	if t.minX < 0 || t.maxX < 0 { // one without the other has no effect
		t.minX, t.maxX = 0, 1023
	}
	low, high := 1, 10
	if t.numRep > 0 {
		low, high = t.numRep, t.numRep
	}
	for _, r := range m.Rules {
		if t.rule >= 0 && r.ID != t.rule {
			continue
		}
		for reps := low; reps <= high; reps++ {
			for x := t.minX; x <= t.maxX; x++ {
				result := m.place(r, x, reps, t.weights)
				if shown("mappings") {
					c.printf("CRUSH rule %d x %d [%s]\n", r.ID, x, joinInts(result))
				}
				if len(result) != reps && shown("bad-mappings") {
					c.printf("bad mapping rule %d x %d num_rep %d result [%s]\n", r.ID, x, reps, joinInts(result))
				}
			}
		}
	}
	return 0
}

func (c *Command) compareCrush(m, other *crushMap) int {
	same := true
	for _, r := range m.Rules {
		bad := 0
		i := slices.IndexFunc(other.Rules, func(o crushRule) bool { return o.ID == r.ID })
		for x := range 1024 {
			if i < 0 || !slices.Equal(m.place(r, x, 3, nil), other.place(other.Rules[i], x, 3, nil)) {
				bad++
			}
		}
		same = same && bad == 0
		c.printf("rule %d had %d/1024 mismatched mappings (%s)\n", r.ID, bad, general(float64(bad)/1024))
	}
	if !same {
		c.printf("warning: maps are NOT equivalent\n")
		return 1
	}
	c.printf("maps appear equivalent\n")
	return 0
}

// place chooses the requested number of OSDs for an input, each in a different failure domain.
func (m *crushMap) place(r crushRule, x, reps int, weights map[int]float64) []int {
	var root, class, domain string
	per, domains := 1, reps
	for _, step := range r.Steps {
		switch f := strings.Fields(step); {
		case f[0] == "take" && len(f) > 1:
			if root = f[1]; len(f) == 4 {
				class = f[3]
			}
		case strings.HasPrefix(f[0], "choose") && len(f) == 5 && domain != "":
			per, _ = strconv.Atoi(f[2]) // a rule with 0 cannot be set
		case strings.HasPrefix(f[0], "choose") && len(f) == 5:
			domain = f[4]
			if n, _ := strconv.Atoi(f[2]); n <= 0 { // relative to the requested number
				domains = max(reps+n, 0)
			} else {
				domains = min(reps, n)
			}
		}
	}
	if per > 1 {
		chosen := m.placeWithin(r, root, class, domain, x, domains, per, weights)
		return chosen[:min(reps, len(chosen))]
	}
	var chosen []int
	taken := map[string]bool{}
	for rep := range domains {
		for try := range 50 {
			inside, id := m.descend(root, class, domain, x, rep+try, weights)
			if id >= 0 && !taken[inside] {
				taken[inside] = true
				chosen = append(chosen, id)
				break
			}
		}
	}
	return chosen
}

// placeWithin first chooses domains and then a number of OSDs in each.
func (m *crushMap) placeWithin(r crushRule, root, class, domain string, x, domains, per int, weights map[int]float64) []int {
	var chosen []int
	taken := map[string]bool{}
	for rep := range domains {
		for try := range 50 {
			inside, id := m.descend(root, class, domain, x, rep+try, weights)
			if id < 0 || taken[inside] {
				continue
			}
			taken[inside] = true
			within := crushRule{ID: r.ID, Steps: []string{"take " + inside, "choose firstn 0 type osd"}}
			if class != "" {
				within.Steps[0] += " class " + class
			}
			chosen = append(chosen, m.place(within, x, per, weights)...)
			break
		}
	}
	return chosen
}

// descend draws straws from a bucket down to a device. domain is the bucket of type kind on the way.
func (m *crushMap) descend(name, class, kind string, x, r int, weights map[int]float64) (domain string, id int) {
	for {
		if d := m.device(name); d != nil {
			if class != "" && d.Class != class {
				return "", -1
			}
			if weight, given := weights[d.ID]; given && float64(draw(x, name, -1))/math.MaxUint16 >= weight {
				return "", -1
			}
			if kind == "osd" {
				domain = name
			}
			return domain, d.ID
		}
		b := m.bucket(name)
		if b == nil {
			return "", -1
		}
		if b.Type == kind {
			domain = name
		}
		best, longest := "", math.Inf(-1)
		for _, item := range b.Items {
			if item.Weight == 0 || class != "" && !m.holds(item.Name, class) {
				continue
			}
			if straw := math.Log(float64(draw(x, item.Name, r)+1)/65536) / float64(item.Weight); straw > longest {
				best, longest = item.Name, straw
			}
		}
		name = best
	}
}

// holds reports whether name is, or contains, a device of a class.
func (m *crushMap) holds(name, class string) bool {
	if d := m.device(name); d != nil {
		return d.Class == class
	}
	b := m.bucket(name)
	return b != nil && slices.ContainsFunc(b.Items, func(i crushItem) bool { return m.holds(i.Name, class) })
}

// draw returns a number below 65536 that depends only on the arguments.
func draw(x int, item string, r int) uint16 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, [2]int64{int64(x), int64(r)}) // writing to a hash never fails
	_, _ = h.Write([]byte(item))
	sum := h.Sum64()
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return uint16(sum)
}
