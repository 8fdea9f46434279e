package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func poolSet(v *view, c *Ceph, args []string) reply {
	usage := "osd pool set <pool> " + poolSetKeys + " <val> [--yes-i-really-mean-it] :  set pool parameter <var> to <val>"
	args, sure := flagged(args)
	if len(args) > 1 && !slices.Contains(strings.Split(poolSetKeys, "|"), args[1]) {
		return invalid(fmt.Sprintf("Invalid command: %s not in %s", args[1], poolSetKeys), usage)
	}
	if len(args) < 3 {
		return invalid("Invalid command: missing required parameter val(<string>)", usage)
	}
	p := c.pool(args[0])
	if p == nil {
		return refuse(eNOENT, "unrecognized pool '%s'", args[0])
	}
	return c.setPool(v, p, args[1], args[2], sure)
}

func badInteger(value string) reply {
	return refuse(eINVAL, "error parsing integer value '%s': Expected option value to be integer, got '%s'", value, value)
}

func (c *Ceph) setPool(v *view, p *Pool, key, value string, sure bool) reply {
	done := func() reply {
		c.mapChanged(v.now)
		p.LastChange = c.OSDEpoch
		return changed("set pool %d %s to %s", p.ID, key, value)
	}
	n, err := strconv.Atoi(value)
	switch key {
	case "size", "min_size", "pg_num", "pgp_num", "pg_num_min", "pg_num_max":
		if err != nil {
			return badInteger(value)
		}
	}
	switch key {
	case "size":
		switch {
		case p.has("nosizechange"):
			return refuse(ePERM, "pool size change is disabled; you must unset nosizechange flag for the pool first")
		case n < 1 || n > 10:
			return refuse(eINVAL, "pool size must be between 1 and 10")
		case n == 1 && !(c.configValue("mon_allow_pool_size_one", "false") == "true" && sure):
			return refuse(ePERM, "configuring pool size as 1 is disabled by default.")
		}
		if n != p.Size {
			if problem := c.tooManyPGs(p.PGs, n, c.ruleByID(p.Rule), p); n > p.Size && problem != "" {
				return refuse(eRANGE, "%s", problem)
			}
			p.Size, p.Moved = n, v.now
			p.MinSize = min(2, n)
		}
	case "min_size":
		if n < 1 || n > p.Size {
			return refuse(eINVAL, "pool min_size must be between 1 and size, which is set to %d", p.Size)
		}
		p.MinSize = n
	case "crush_rule":
		r := c.rule(value)
		if r == nil {
			return refuse(eNOENT, "crush rule %s does not exist", value)
		}
		if p.Rule != r.ID {
			p.Rule, p.Moved = r.ID, v.now
		}
	case "pg_num":
		switch {
		case p.has("nopgchange"):
			return refuse(ePERM, "pool pg_num change is disabled; you must unset nopgchange flag for the pool first")
		case n < 1 || n > 65536:
			return refuse(eRANGE, pgRange)
		case n == p.PGs:
			return reply{}
		}
		if problem := c.tooManyPGs(n, p.Size, c.ruleByID(p.Rule), p); n > p.PGs && problem != "" {
			return refuse(eRANGE, "%s", problem)
		}
		p.Target = n
		v.makePGs(c)
	case "pgp_num":
		if n > p.PGs {
			return refuse(eINVAL, "specified pgp_num %d > pg_num %d", n, p.PGs)
		}
		p.PGPs = n
	case "pg_autoscale_mode":
		if !slices.Contains([]string{"on", "off", "warn"}, value) {
			return refuse(eINVAL, "specified invalid mode %s", value)
		}
		p.Autoscale = value
	case "pg_num_min":
		if n > p.PGs {
			return refuse(eINVAL, "specified pg_num_min %d > pg_num %d", n, p.PGs)
		}
		p.set(key, value)
	case "target_size_ratio":
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return refuse(eINVAL, "error parsing floating point value '%s': strict_strtod: expected double, got: '%s'", value, value)
		}
		if f < 0 {
			return refuse(eINVAL, "target_size_ratio cannot be negative")
		}
		p.set(key, value)
	case "target_size_bytes":
		bytes, ok := parseBytes(value)
		if !ok {
			return refuse(eINVAL, "error parsing value '%s': strict_iec_cast: illegal prefix (length > 2)", value)
		}
		p.set(key, fmt.Sprint(bytes))
	case "compression_mode":
		if !slices.Contains([]string{"none", "passive", "aggressive", "force", "unset"}, value) {
			return refuse(eINVAL, "unrecognized compression mode '%s'", value)
		}
		p.set(key, value)
	case "nodelete", "nopgchange", "nosizechange", "noscrub", "nodeep-scrub", "bulk", "write_fadvise_dontneed":
		if !slices.Contains([]string{"true", "false", "1", "0"}, value) {
			return refuse(eINVAL, "expecting value 'true', 'false', '0', or '1'")
		}
		p.Flags = slices.DeleteFunc(p.Flags, func(f string) bool { return f == key })
		if value == "true" || value == "1" {
			p.Flags = append(p.Flags, key)
		}
	default:
		p.set(key, value)
	}
	return done()
}

// set sets an option; zero unsets it.
func (p *Pool) set(key, value string) {
	if value == "0" || value == "unset" {
		delete(p.Options, key)
		return
	}
	p.Options[key] = value
}

func parseBytes(text string) (int64, bool) {
	unit := int64(1)
	if text != "" {
		if i := strings.IndexByte("KMGTP", text[len(text)-1]); i >= 0 {
			unit = 1 << (10 * (i + 1))
			text = text[:len(text)-1]
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n * unit, err == nil
}
