package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// healthCheck is a failing health check, with severity warning or error.
type healthCheck struct {
	code, severity, message string
	count                   int
	detail                  []string
}

// health returns the failing checks, sorted by code.
func (v *view) health(c *Ceph) []healthCheck {
	var all []healthCheck
	add := func(code, severity string, count int, message string, detail ...string) {
		all = append(all, healthCheck{code, severity, message, count, detail})
	}
	v.fsHealth(c, add)
	if c.ActiveMgr == "" && v.now.Sub(c.MonModified) > time.Minute {
		add("MGR_DOWN", "HEALTH_WARN", 1, "no active mgr")
	}
	if down := len(c.Mons) - len(c.InQuorum); down > 0 {
		var detail []string
		for i, m := range c.Mons {
			if !slices.Contains(c.InQuorum, m.Name) {
				detail = append(detail, fmt.Sprintf("mon.%s (rank %d) addr %s is down (out of quorum)", m.Name, i, addrvecText(m.Address)))
			}
		}
		add("MON_DOWN", "HEALTH_WARN", down, fmt.Sprintf("%d/%d mons down, quorum %s", down, len(c.Mons), strings.Join(c.InQuorum, ",")), detail...)
	}
	if flags := c.warnedFlags(); len(flags) > 0 {
		add("OSDMAP_FLAGS", "HEALTH_WARN", len(flags), strings.Join(flags, ",")+" flag(s) set")
	}
	c.groupFlagHealth(add)
	v.osdHealth(c, add)
	v.pgHealth(c, add)
	if size := 3; len(c.OSDs) < size && len(c.Mons) > 0 && v.now.Sub(c.Created) > 20*time.Second {
		add("TOO_FEW_OSDS", "HEALTH_WARN", size-len(c.OSDs), fmt.Sprintf("OSD count %d < osd_pool_default_size %d", len(c.OSDs), size))
	}
	slices.SortFunc(all, func(a, b healthCheck) int { return strings.Compare(a.code, b.code) })
	return all
}

type addCheck func(code, severity string, count int, message string, detail ...string)

func (v *view) fsHealth(c *Ceph, add addCheck) {
	var offline, few []string
	for _, f := range c.FileSystems {
		if f.Active == "" && !f.Failed {
			offline = append(offline, fmt.Sprintf("fs %s is offline because no MDS is active for it.", f.Name))
			few = append(few, fmt.Sprintf("fs %s has 0 MDS online, but wants 1", f.Name))
		}
	}
	if len(offline) == 0 {
		return
	}
	what := fmt.Sprintf("%d filesystem%s", len(offline), plural(len(offline), " is", "s are"))
	add("MDS_ALL_DOWN", "HEALTH_ERR", len(offline), what+" offline", offline...)
	add("MDS_UP_LESS_THAN_MAX", "HEALTH_WARN", len(few), what+" online with fewer MDS than max_mds", few...)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func (v *view) osdHealth(c *Ceph, add addCheck) {
	var down, hosts []string
	perHost, downOn := map[string]int{}, map[string]int{}
	for _, o := range c.OSDs {
		if !o.Booted || !o.In {
			continue
		}
		perHost[o.Host]++
		if !o.Up {
			downOn[o.Host]++
			down = append(down, fmt.Sprintf("osd.%d (root=default,host=%s) is down", o.ID, o.Host))
		}
	}
	if len(down) > 0 {
		add("OSD_DOWN", "HEALTH_WARN", len(down), fmt.Sprintf("%d osds down", len(down)), down...)
	}
	osds := 0
	for _, host := range sortedKeys(downOn) {
		if downOn[host] == perHost[host] {
			hosts = append(hosts, fmt.Sprintf("host %s (root=default) (%d osds) is down", host, downOn[host]))
			osds += downOn[host]
		}
	}
	if len(hosts) > 0 {
		add("OSD_HOST_DOWN", "HEALTH_WARN", len(hosts), fmt.Sprintf("%d host%s (%d osds) down", len(hosts), plural(len(hosts), "", "s"), osds), hosts...)
	}
}

// pgHealth warns about PGs that are not active or have been undersized for a minute.
func (v *view) pgHealth(c *Ceph, add addCheck) {
	undersized, inactive, inactivePGs := 0, 0, []string{}
	var stuck []string
	for _, p := range c.Pools {
		for pg := range p.PGs {
			state, since := c.pgState(p, pg, v.now)
			name := fmt.Sprintf("pg %d.%x", p.ID, pg)
			age := v.now.Sub(since)
			switch {
			case age < stuckAfter:
			case strings.Contains(state, "undersized"):
				undersized++
				stuck = append(stuck, fmt.Sprintf("%s is stuck undersized for %s, current state %s, last acting [%s]", name, ageText(age), state, joinInts(c.acting(p, pg))))
			case !strings.Contains(state, "active"):
				inactive++
				inactivePGs = append(inactivePGs, fmt.Sprintf("%s is stuck inactive for %s, current state %s, last acting []", name, ageText(age), state))
			}
		}
	}
	if inactive > 0 {
		add("PG_AVAILABILITY", "HEALTH_WARN", inactive, fmt.Sprintf("Reduced data availability: %d pgs inactive", inactive), inactivePGs...)
	}
	if undersized > 0 {
		add("PG_DEGRADED", "HEALTH_WARN", undersized, fmt.Sprintf("Degraded data redundancy: %d pgs undersized", undersized), stuck...)
	}
}

// acting returns the OSDs that hold a PG. A PG on an OSD that is down moves elsewhere only once the OSD is out.
func (c *Ceph) acting(p *Pool, pg int) []int {
	return slices.DeleteFunc(c.placed(p, pg), func(id int) bool { return !c.osd(id).Up })
}

// placed returns the OSDs on which CRUSH places a PG, of those that are in: one per failure domain unless the rule chooses more. The
// PG's number rotates the domains and the OSDs in them.
func (c *Ceph) placed(p *Pool, pg int) []int {
	rule := c.ruleByID(p.Rule)
	if rule == nil {
		return nil
	}
	var domains []string
	within := map[string][]int{}
	for _, o := range c.OSDs {
		if !o.Booted || !o.In || o.Weight == 0 || rule.Class != "" && rule.Class != o.Class {
			continue
		}
		domain := o.Host
		switch rule.Domain {
		case "osd":
			domain = strconv.Itoa(o.ID)
		case "root":
			domain = ""
		}
		if within[domain] == nil {
			domains = append(domains, domain)
		}
		within[domain] = append(within[domain], o.ID)
	}
	var ids []int
	turn := pg / max(len(domains), 1)
	for i := range domains {
		osds := within[domains[(i+pg)%len(domains)]]
		for n := range min(max(rule.PerDomain, 1), len(osds)) {
			ids = append(ids, osds[(turn+n)%len(osds)])
		}
		turn /= len(osds) // the digits of the PG's number choose, so that each OSD shares PGs with each of other domains
	}
	return ids[:min(p.Size, len(ids))]
}

// ageText formats a duration as Ceph does.
func ageText(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case s < 120:
		return fmt.Sprintf("%ds", s)
	case s < 120*60:
		return fmt.Sprintf("%dm", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%dh", s/3600)
	default:
		return fmt.Sprintf("%dd", s/86400)
	}
}

func overall(checks []healthCheck) string {
	status := "HEALTH_OK"
	for _, c := range checks {
		if c.severity == "HEALTH_ERR" {
			return "HEALTH_ERR"
		}
		status = "HEALTH_WARN"
	}
	return status
}

func healthValue(checks []healthCheck, detail bool) object {
	var found object
	for _, c := range checks {
		o := obj("severity", c.severity, "summary", obj("message", c.message, "count", c.count))
		if detail {
			lines := []object{}
			for _, line := range c.detail {
				lines = append(lines, obj("message", line))
			}
			o = append(o, member{"detail", lines})
		}
		found = append(found, member{c.code, append(o, member{"muted", false})})
	}
	return obj("status", overall(checks), "checks", found, "mutes", []any{})
}

func healthText(checks []healthCheck, detail bool) string {
	var messages []string
	for _, c := range checks {
		messages = append(messages, c.message)
	}
	text := strings.TrimRight(overall(checks)+" "+strings.Join(messages, "; "), " ") + "\n"
	if !detail {
		return text
	}
	for _, c := range checks {
		text += fmt.Sprintf("[%s] %s: %s\n", map[string]string{"HEALTH_WARN": "WRN", "HEALTH_ERR": "ERR"}[c.severity], c.code, c.message)
		for _, line := range c.detail {
			text += "    " + line + "\n"
		}
	}
	return text
}
