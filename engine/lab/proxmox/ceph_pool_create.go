package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// poolRequest are the arguments of pool create.
type poolRequest struct {
	name, kind, rule, autoscale string
	pgs, pgps, size             int
	options                     map[string]string
	bulk                        bool
}

func parsePoolCreate(args []string) (r poolRequest, problem string) {
	r.options = map[string]string{}
	var positional []string
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		if !strings.HasPrefix(name, "--") {
			positional = append(positional, args[i])
			continue
		}
		if name == "--bulk" {
			r.bulk = true
			continue
		}
		if strings.HasPrefix(name, "--yes") {
			continue
		}
		if !given && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch key := strings.ReplaceAll(strings.TrimPrefix(name, "--"), "-", "_"); key {
		case "size":
			r.size, _ = strconv.Atoi(value)
		case "autoscale_mode":
			if !slices.Contains([]string{"on", "off", "warn"}, value) {
				return r, fmt.Sprintf("Invalid command: %s not in on|off|warn", value)
			}
			r.autoscale = value
		case "pg_num":
			r.pgs, _ = strconv.Atoi(value)
		case "rule", "pool_type":
			if key == "rule" {
				r.rule = value
			} else {
				r.kind = value
			}
		default:
			r.options[key] = value
		}
	}
	if len(positional) == 0 {
		return r, "Invalid command: missing required parameter pool(<poolname>)"
	}
	r.name = positional[0]
	rest := positional[1:]
	numbers := []*int{&r.pgs, &r.pgps}
	for len(rest) > 0 && len(numbers) > 0 {
		n, err := strconv.Atoi(rest[0])
		if err != nil || n < 0 {
			break
		}
		*numbers[0], numbers, rest = n, numbers[1:], rest[1:]
	}
	if len(rest) > 0 && (rest[0] == "replicated" || rest[0] == "erasure") {
		r.kind, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		r.rule = rest[0] // the others, an expected number of objects and a size, have no effect
	}
	return r, ""
}

func poolCreate(v *view, c *Ceph, args []string) reply {
	r, problem := parsePoolCreate(args)
	if problem != "" {
		return invalid(problem, poolCreateUsage)
	}
	if existing := c.pool(r.name); existing != nil {
		if r.kind == "erasure" && !existing.Erasure {
			return refuse(eINVAL, "pool '%s' cannot change to type erasure", r.name)
		}
		return note("pool '%s' already exists", r.name)
	}
	rule := c.Rules[0]
	if r.rule != "" {
		if rule = c.rule(r.rule); rule == nil {
			return refuse(eNOENT, "specified rule %s doesn't exist", r.rule)
		}
	}
	size := r.size
	if size == 0 {
		size = count(c.configValue("osd_pool_default_size", "3"), 3)
	}
	if size > 10 {
		return refuse(eINVAL, "pool size is bigger than the crush rule max size")
	}
	pgs := r.pgs
	if pgs == 0 {
		pgs = 32
	}
	pgps := r.pgps
	if pgps == 0 {
		pgps = pgs
	}
	switch {
	case pgs < 0 || pgs > 65536:
		return refuse(eRANGE, pgRange)
	case pgps > pgs:
		return refuse(eRANGE, "'pgp_num' must be greater than 0 and lower or equal than 'pg_num', which in this case is %d", pgs)
	}
	if problem := c.tooManyPGs(pgs, size, rule, nil); problem != "" {
		return refuse(eRANGE, "%s", problem)
	}
	p := c.addPool(r.name, size, min(2, size), pgs, rule.ID, or(r.autoscale, "on"), v.now)
	p.PGPs = pgps
	if r.bulk {
		p.Flags = append(p.Flags, "bulk")
	}
	for key, value := range r.options {
		if slices.Contains(settable, key) {
			p.Options[key] = value
		}
	}
	return changed("pool '%s' created", p.Name)
}

// tooManyPGs returns the monitors' error if there would be more PGs than the OSDs should hold. There is no limit
// without OSDs.
func (c *Ceph) tooManyPGs(pgs, size int, rule *Rule, instead *Pool) string {
	in := 0
	for _, o := range c.OSDs {
		if o.In && o.Booted && (rule == nil || rule.Class == "" || rule.Class == o.Class) {
			in++
		}
	}
	if in == 0 {
		return ""
	}
	projected := pgs * size
	for _, p := range c.Pools {
		if p != instead {
			projected += p.PGs * p.Size
		}
	}
	if c.major() < 18 {
		if limit := maxPGsPerOSD * in; projected > limit {
			return fmt.Sprintf(" pg_num %d size %d would mean %d total pgs, which exceeds max %d (mon_max_pg_per_osd %d * num_in_osds %d)", pgs, size, projected, limit, maxPGsPerOSD, in)
		}
		return ""
	}
	if projected/in > maxPGsPerOSD {
		return fmt.Sprintf("pg_num %d size %d for this pool would result in %d cumulative PGs per OSD (%d total PG replicas on %d 'in' root OSDs by crush rule) which exceeds the mon_max_pg_per_osd value of %d", pgs, size, projected/in, projected, in, maxPGsPerOSD)
	}
	return ""
}
