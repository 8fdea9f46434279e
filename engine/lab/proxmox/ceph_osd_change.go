package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Commands that change the OSD map, or ask whether an OSD can be removed.

func osdFlag(on bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		verb := map[bool]string{true: "set", false: "unset"}[on]
		if len(args) == 0 || !slices.Contains(strings.Split(osdFlagList, "|"), args[0]) {
			what := ""
			if len(args) > 0 {
				what = args[0]
			}
			extra := ""
			if on {
				extra = " [--yes-i-really-mean-it]"
			}
			return invalid(fmt.Sprintf("Invalid command: %s not in %s", what, osdFlagList), fmt.Sprintf("osd %s %s%s :  %s <key>", verb, osdFlagList, extra, verb))
		}
		flags := []string{args[0]}
		switch args[0] {
		case "full":
			return refuse(eINVAL, "unrecognized flag 'full'")
		case "pause":
			flags = []string{"pauserd", "pausewr"}
		}
		for _, flag := range flags {
			c.Flags = slices.DeleteFunc(c.Flags, func(f string) bool { return f == flag })
			if on {
				c.Flags = append(c.Flags, flag)
			}
		}
		c.mapChanged(v.now)
		return changed("%s is %s", strings.Join(flags, ","), verb)
	}
}

func osdReweight(v *view, c *Ceph, args []string) reply {
	const usage = "osd reweight <id|osd.id> <weight:float> :  reweight osd to 0.0 < <weight> < 1.0"
	if len(args) < 2 {
		return invalid("Invalid command: missing required parameter weight(<float[0.0-1.0]>)", usage)
	}
	weight, err := strconv.ParseFloat(args[1], 64)
	switch {
	case err != nil:
		return invalid(fmt.Sprintf("Invalid command: %s doesn't represent a float", args[1]), usage)
	case weight < 0 || weight > 1:
		return invalid(fmt.Sprintf("Invalid command: %s not in range [0.0, 1.0]", pyFloat(weight)), usage)
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	if !ok || o == nil {
		return refuse(eNOENT, "osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	}
	o.Reweight, o.In = fixed(weight), weight > 0
	c.mapChanged(v.now)
	c.peer(v.now)
	return changed("reweighted osd.%d to %g (%x)", o.ID, weight, o.Reweight)
}

// pyFloat formats a float as Python does.
func pyFloat(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func osdInOut(in bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		text, word, moved := "", map[bool]string{true: "in", false: "out"}[in], false
		for _, arg := range args {
			id, ok := parseOSD(arg)
			o := c.osd(id)
			switch {
			case !ok || o == nil:
				text += fmt.Sprintf("osd.%s does not exist. ", strings.TrimPrefix(arg, "osd."))
			case o.In == in:
				text += fmt.Sprintf("osd.%d is already %s. ", o.ID, word)
			default:
				o.In, o.Reweight = in, 65536*number(in)
				if in {
					o.InSince = v.now
				}
				c.mapChanged(v.now)
				c.peer(v.now)
				text, moved = text+fmt.Sprintf("marked %s osd.%d. ", word, o.ID), true
			}
		}
		return reply{note: text, changed: moved}
	}
}

func (c *Ceph) dropOSD(id int) {
	c.OSDs = slices.DeleteFunc(c.OSDs, func(o *OSD) bool { return o.ID == id })
	delete(c.Auth, fmt.Sprintf("osd.%d", id))
}

func osdPurge(v *view, c *Ceph, args []string) reply {
	args, sure := flagged(args)
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter id(<osd.id|osd_id>)", "osd purge <id|osd.id> [--force] [--yes-i-really-mean-it] :  purge all osd data from the monitors including the OSD id and CRUSH position")
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	switch {
	case !ok || o == nil:
		return note("osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	case !sure && v.destroyable(c, []int{id}).refused() != "":
		return v.destroyable(c, []int{id}).unconfirmed()
	case o.Up:
		return refuse(eBUSY, "osd.%d is not `down`.", id)
	}
	c.dropOSD(id)
	c.mapChanged(v.now)
	c.CrushVersion++
	c.peer(v.now)
	return changed("purged osd.%d", id)
}

// without returns which PGs would be inactive, and which degraded, if OSDs were gone. Unknown IDs count as safe.
func (v *view) without(c *Ceph, gone []int) (fewer, inactive []string) {
	for _, p := range c.Pools {
		for pg := range p.PGs {
			acting := c.acting(p, pg)
			left := slices.DeleteFunc(slices.Clone(acting), func(id int) bool { return slices.Contains(gone, id) })
			switch name := fmt.Sprintf("%d.%x", p.ID, pg); {
			case len(left) == len(acting):
			case len(left) < p.MinSize:
				inactive = append(inactive, name)
			default:
				fewer = append(fewer, name)
			}
		}
	}
	return fewer, inactive
}

// osdIDs parses the IDs of OSDs. If an argument is not an ID, it returns the response to that.
func (c *Ceph) osdIDs(command, purpose string, args []string) ([]int, *reply) {
	if len(args) == 0 {
		r := invalid("Invalid command: saw 0 of ids(<string>)..., expected at least 1", command+" <ids>... "+purpose)
		return nil, &r
	}
	ids := []int{}
	for _, arg := range args {
		id, ok := parseOSD(arg)
		switch {
		case arg == "all" || arg == "any" || arg == "*":
			for _, o := range c.OSDs {
				ids = append(ids, o.ID)
			}
		case !ok:
			r := refuse(eINVAL, "Expected option value to be integer, got '%s'invalid osd id '%s'", strings.TrimPrefix(arg, "osd."), arg)
			return nil, &r
		default:
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func osdOKToStop(v *view, c *Ceph, args []string) reply {
	ids, bad := c.osdIDs("osd ok-to-stop", "[<max:int>] :  check whether osd(s) can be safely stopped without reducing immediate data availability", args)
	if bad != nil {
		return *bad
	}
	fewer, inactive := v.without(c, ids)
	value := obj("ok_to_stop", len(inactive) == 0, "osds", ids, "num_ok_pgs", len(fewer), "num_not_ok_pgs", len(inactive))
	if len(inactive) > 0 {
		value = append(value, member{"bad_become_inactive", inactive})
	}
	if len(fewer) > 0 {
		value = append(value, member{"ok_become_degraded", fewer})
	}
	if len(inactive) > 0 {
		return reply{errno: eBUSY, text: canonical(value), err: fmt.Sprintf("unsafe to stop osd(s) at this time (%d PGs are or would become offline)", len(inactive))}
	}
	return reply{value: value, text: canonical(value)}
}

// destroyable tells which OSDs hold no data that is still needed.
type destroyable struct {
	safe, active, missing []int
	pgs                   int // of the active ones
}

// destroyable tells whether OSDs can be destroyed. As long as not all PGs are active and clean, nothing is known about an OSD that is
// down.
func (v *view) destroyable(c *Ceph, ids []int) destroyable {
	d := destroyable{safe: []int{}, active: []int{}, missing: []int{}}
	_, counts, total := v.pgSummary(c)
	for _, id := range ids {
		switch o := c.osd(id); {
		case o == nil:
			d.safe = append(d.safe, id)
		case o.Booted && v.pgsOf(c, o) > 0:
			d.active, d.pgs = append(d.active, id), d.pgs+v.pgsOf(c, o)
		case counts["active+clean"] < total && !o.Up:
			d.missing = append(d.missing, id)
		default:
			d.safe = append(d.safe, id)
		}
	}
	return d
}

// refused returns why not all of the OSDs can be destroyed, or "".
func (d destroyable) refused() string {
	text := ""
	if len(d.active)+len(d.missing) == 0 {
		return ""
	}
	if len(d.safe) > 0 {
		text += fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data durability. ", joinInts(d.safe))
	}
	if len(d.active) > 0 {
		text += fmt.Sprintf("OSD(s) %s have %d pgs currently mapped to them. ", joinInts(d.active), d.pgs)
	}
	if len(d.missing) > 0 {
		text += fmt.Sprintf("OSD(s) %s have no reported stats, and not all PGs are active+clean; we cannot draw any conclusions. ", joinInts(d.missing))
	}
	return text
}

func (d destroyable) errno() int {
	if len(d.active) > 0 {
		return eBUSY
	}
	return eAGAIN
}

// unconfirmed refuses to destroy the OSDs unless told to.
func (d destroyable) unconfirmed() reply {
	return refuse(d.errno(), "%s\nYou can proceed by passing --force, but be warned that this will likely mean real, permanent data loss.", d.refused())
}

func osdSafeToDestroy(v *view, c *Ceph, args []string) reply {
	ids, bad := c.osdIDs("osd safe-to-destroy", ":  check whether osd(s) can be safely destroyed without reducing data durability", args)
	if bad != nil {
		return *bad
	}
	d := v.destroyable(c, ids)
	r := reply{plain: true, onlyText: true, value: obj("safe_to_destroy", d.safe, "active", d.active, "missing_stats", d.missing, "stored_pgs", []int{})}
	if r.err = d.refused(); r.err != "" {
		r.errno = d.errno()
	} else {
		r.note = fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data durability.", joinInts(d.safe))
	}
	return r
}

func joinInts(ids []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}
