package proxmox

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

const createReplicatedUsage = "osd crush rule create-replicated <name> <root> <type> [<class>] :  create crush rule <name> for replicated pool to start from <root>, replicate across buckets of type <type>, use devices of type <class> (ssd or hdd)"

var crushTypes = []string{"osd", "host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root"}

func crushCommands() []cephCommand {
	read := func(words string, fn func(v *view, c *Ceph, args []string) reply) cephCommand {
		return cephCommand{words: words, run: fn}
	}
	return []cephCommand{
		read("osd crush rule ls", ruleLs), read("osd crush rule dump", ruleDump),
		read("osd crush rule create-replicated", ruleCreate),
		read("osd crush reweight", crushReweight), read("osd crush rm", crushRm), read("osd crush remove", crushRm),
		read("osd crush dump", crushDump),
	}
}

func lines(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, "\n") + "\n"
}

func ruleLs(_ *view, c *Ceph, _ []string) reply {
	var names []string
	for _, r := range c.Rules {
		names = append(names, r.Name)
	}
	return reply{value: list(names), text: lines(names)}
}

// shadow returns the CRUSH ID of the shadow of a bucket for the n-th device class. The shadows for the first class
// alternate with the buckets, because both are created together.
func (c *Ceph) shadow(class, bucket int) int {
	if class == 0 {
		return bucket - 1
	}
	return bucket/2 - 3 - (class+1)*(len(c.Hosts)+1)
}

func (c *Ceph) ruleValue(r *Rule) object {
	take := obj("op", "take", "item", -1, "item_name", r.Root)
	if r.Class != "" {
		take = obj("op", "take", "item", c.shadow(max(0, slices.Index(c.Classes, r.Class)), -1), "item_name", r.Root+"~"+r.Class)
	}
	op := "chooseleaf_firstn"
	if r.Domain == "osd" {
		op = "choose_firstn"
	}
	steps := []object{take, obj("op", op, "num", 0, "type", r.Domain), obj("op", "emit")}
	if r.PerDomain > 0 {
		steps = []object{take, obj("op", "choose_firstn", "num", 0, "type", r.Domain), obj("op", "chooseleaf_firstn", "num", r.PerDomain, "type", "osd"), obj("op", "emit")}
	}
	value := obj("rule_id", r.ID, "rule_name", r.Name)
	if c.major() < 17 {
		value = append(value, member{"ruleset", r.ID})
	}
	value = append(value, member{"type", 1})
	if c.major() < 17 {
		value = append(value, member{"min_size", 1}, member{"max_size", 10})
	}
	return append(value, member{"steps", steps})
}

func ruleDump(_ *view, c *Ceph, args []string) reply {
	if len(args) > 0 {
		r := c.rule(args[0])
		if r == nil {
			return refuse(eNOENT, "unknown crush rule '%s'", args[0])
		}
		return reply{value: c.ruleValue(r)}
	}
	all := []object{}
	for _, r := range c.Rules {
		all = append(all, c.ruleValue(r))
	}
	return reply{value: all}
}

var goodName = pattern.New(`^[A-Za-z0-9._-]*$`)

func ruleCreate(v *view, c *Ceph, args []string) reply {
	names := []string{"name(<string(goodchars [A-Za-z0-9-_.])>)", "root(<string(goodchars [A-Za-z0-9-_.])>)", "type(<string(goodchars [A-Za-z0-9-_.])>)"}
	for i, arg := range args {
		if !goodName.MatchString(arg) && i < 3 {
			bad := strings.Trim(regexp.MustCompile(`[A-Za-z0-9._-]`).ReplaceAllString(arg, ""), "")
			return invalid(fmt.Sprintf("Invalid command: invalid chars %s in %s", bad, arg), createReplicatedUsage)
		}
	}
	if len(args) < 3 {
		return invalid("Invalid command: missing required parameter "+names[len(args)], createReplicatedUsage)
	}
	name, root, domain, class := args[0], args[1], args[2], ""
	if len(args) > 3 {
		class = args[3]
	}
	switch {
	case c.rule(name) != nil:
		return note("rule %s already exists", name)
	case root != "default":
		return refuse(eNOENT, "root item %s does not exist", root)
	case domain != "" && !slices.Contains(crushTypes, domain):
		return refuse(eINVAL, "unknown type %s", domain)
	case class != "" && !slices.Contains(c.Classes, class):
		return refuse(eINVAL, "device class %s does not exist", class)
	}
	if domain == "" {
		domain = "osd" // an empty type is rejected as a device
	}
	c.addRule(v, name, root, domain, class)
	return reply{changed: true}
}

func (c *Ceph) addRule(v *view, name, root, domain, class string) {
	id := 0
	for c.ruleByID(id) != nil {
		id++
	}
	c.Rules = append(c.Rules, &Rule{ID: id, Name: name, Root: root, Domain: domain, Class: class})
	slices.SortFunc(c.Rules, func(a, b *Rule) int { return a.ID - b.ID })
	c.CrushVersion++
	c.mapChanged(v.now)
}

func crushReweight(v *view, c *Ceph, args []string) reply {
	const usage = "osd crush reweight <name> <weight:float> :  change <name>'s weight to <weight> in crush map"
	if len(args) < 2 {
		return invalid("Invalid command: missing required parameter weight(<float[0.0-]>)", usage)
	}
	weight, err := strconv.ParseFloat(args[1], 64)
	switch {
	case err != nil:
		return invalid(fmt.Sprintf("Invalid command: %s doesn't represent a float", args[1]), usage)
	case weight < 0:
		return invalid(fmt.Sprintf("Invalid command: %s not in range [0.0]", pyFloat(weight)), usage)
	}
	if _, bucket := c.Hosts[args[0]]; bucket || args[0] == "default" {
		return refuse(eINVAL, "device '%s' is not a leaf in the crush map", args[0])
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	if !ok || !strings.HasPrefix(args[0], "osd.") || o == nil || !o.Booted {
		return refuse(eNOENT, "device '%s' does not appear in the crush map", args[0])
	}
	o.Weight = fixed(weight)
	c.CrushVersion++
	c.mapChanged(v.now)
	c.peer(v.now)
	return changed("reweighted item id %d name 'osd.%d' to %g in crush map", id, id, weight)
}

func crushRm(v *view, c *Ceph, args []string) reply {
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter name(<string(goodchars [A-Za-z0-9-_.])>)", "osd crush rm <name> [<ancestor>] :  remove <name> from crush map (everywhere, or just at <ancestor>)")
	}
	if _, ok := c.Hosts[args[0]]; ok {
		for _, o := range c.OSDs {
			if o.Booted && o.Host == args[0] {
				return refuse(39, "(39) Directory not empty")
			}
		}
		id := c.Hosts[args[0]]
		delete(c.Hosts, args[0])
		c.mapChanged(v.now)
		return changed("removed item id %d name '%s' from crush map", id, args[0])
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	if !ok || o == nil || !o.Booted {
		return note("device '%s' does not appear in the crush map", args[0])
	}
	o.Booted = false
	c.CrushVersion++
	c.mapChanged(v.now)
	c.peer(v.now)
	return changed("removed item id %d name 'osd.%d' from crush map", id, id)
}

func crushDump(_ *view, c *Ceph, _ []string) reply {
	_, osds := c.buckets()
	names := c.hostsByID()
	devices, types, buckets, rules := []object{}, []object{}, []object{}, []object{}
	for _, o := range c.OSDs {
		device := obj("id", o.ID, "name", fmt.Sprintf("osd.%d", o.ID))
		if o.Class != "" && o.Booted {
			device = append(device, member{"class", o.Class})
		}
		devices = append(devices, device)
	}
	for i, name := range crushTypes {
		types = append(types, obj("type_id", i, "name", name))
	}
	bucket := func(id int, name string, kind int, kindName string, weight int, items []object) {
		buckets = append(buckets, obj("id", id, "name", name, "type_id", kind, "type_name", kindName, "weight", weight, "alg", "straw2", "hash", "rjenkins1", "items", list(items)))
	}
	var top []object
	sum := 0
	for i, name := range names {
		weight := fixedTotal(osds[name])
		sum += weight
		top = append(top, obj("id", c.Hosts[name], "weight", weight, "pos", i))
	}
	bucket(-1, "default", 11, "root", sum, top)
	for i, class := range c.Classes {
		c.shadowRoot(i, class, names, osds, bucket)
	}
	for _, name := range names {
		hostBucket(c.Hosts[name], name, osds[name], bucket)
		for i, class := range c.Classes {
			hostBucket(c.shadow(i, c.Hosts[name]), name+"~"+class, ofClass(osds[name], class), bucket)
		}
	}
	for _, r := range c.Rules {
		rules = append(rules, c.ruleValue(r))
	}
	return reply{value: obj("devices", devices, "types", types, "buckets", buckets, "rules", rules,
		"tunables", obj("choose_local_tries", 0, "choose_local_fallback_tries", 0, "choose_total_tries", 50, "chooseleaf_descend_once", 1, "chooseleaf_vary_r", 1, "chooseleaf_stable", 1, "straw_calc_version", 1,
			"allowed_bucket_algs", 54, "profile", "jewel", "optimal_tunables", 1, "legacy_tunables", 0, "minimum_required_version", "jewel", "require_feature_tunables", 1, "require_feature_tunables2", 1,
			"has_v2_rules", 0, "require_feature_tunables3", 1, "has_v3_rules", 0, "has_v4_buckets", 1, "require_feature_tunables5", 1, "has_v5_rules", 0), "choose_args", object{})}
}

type addBucket func(id int, name string, kind int, kindName string, weight int, items []object)

func hostBucket(id int, name string, osds []*OSD, add addBucket) {
	var items []object
	for i, o := range osds {
		items = append(items, obj("id", o.ID, "weight", o.Weight, "pos", i))
	}
	add(id, name, 1, "host", fixedTotal(osds), items)
}

func ofClass(osds []*OSD, class string) []*OSD {
	return slices.DeleteFunc(slices.Clone(osds), func(o *OSD) bool { return o.Class != class })
}

// shadowRoot adds the tree restricted to a class.
func (c *Ceph) shadowRoot(i int, class string, names []string, osds map[string][]*OSD, add addBucket) {
	var items []object
	sum := 0
	for pos, name := range names {
		weight := fixedTotal(ofClass(osds[name], class))
		sum += weight
		items = append(items, obj("id", c.shadow(i, c.Hosts[name]), "weight", weight, "pos", pos))
	}
	add(c.shadow(i, -1), "default~"+class, 11, "root", sum, items)
}

func fixedTotal(osds []*OSD) int {
	sum := 0
	for _, o := range osds {
		sum += o.Weight
	}
	return sum
}
