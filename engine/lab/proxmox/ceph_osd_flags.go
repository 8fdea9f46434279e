package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

// Flags of individual OSDs, of hosts and of device classes, in addition to those of the whole map.

var groupFlags = []string{"noup", "nodown", "noin", "noout"}

// flagBits are the bits of the map's flags in flags_num, without those of baseFlags.
var flagBits = map[string]int{"pauserd": 2, "pausewr": 3, "noup": 5, "nodown": 6, "noout": 7, "noin": 8, "nobackfill": 9, "norecover": 10, "noscrub": 11, "nodeep-scrub": 12,
	"notieragent": 13, "norebalance": 14, "nosnaptrim": 21}

// baseFlagBits are the bits of baseFlags in flags_num.
const baseFlagBits = 1<<15 | 1<<19 | 1<<20 | 1<<22

func (c *Ceph) flagsNumber() int {
	sum := baseFlagBits
	for _, flag := range c.Flags {
		sum |= 1 << flagBits[flag]
	}
	return sum
}

func groupFlagCommands() []cephCommand {
	all := []cephCommand{
		{words: "osd set-group", run: osdGroup(true)}, {words: "osd unset-group", run: osdGroup(false)},
	}
	for _, flag := range groupFlags {
		one := func(on bool) func(*view, *Ceph, []string) reply {
			return func(v *view, c *Ceph, args []string) reply {
				return osdGroup(on)(v, c, append([]string{flag}, args...))
			}
		}
		all = append(all, cephCommand{words: "osd add-" + flag, run: one(true)}, cephCommand{words: "osd rm-" + flag, run: one(false)})
	}
	return all
}

func osdGroup(on bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		if len(args) < 2 {
			verb := map[bool]string{true: "set", false: "unset"}[on]
			return invalid("Invalid command: missing required parameter who(<string>)", fmt.Sprintf("osd %s-group <flags> <who>... :  %s <flags> for batch osds or crush nodes, <flags> must be a comma-separated subset of {noup,nodown,noin,noout}", verb, verb))
		}
		flags := strings.FieldsFunc(args[0], func(r rune) bool { return r == ',' || r == ' ' })
		for _, flag := range flags {
			if !slices.Contains(groupFlags, flag) {
				return refuse(eINVAL, "unrecognized flag '%s', must be one of {noup,nodown,noin,noout}", flag)
			}
		}
		text, found := "", false
		for _, who := range args[1:] {
			id, isOSD := parseOSD(who)
			_, host := c.Hosts[who]
			switch {
			case isOSD && c.osd(id) == nil:
				text += fmt.Sprintf("osd.%d does not exist. ", id)
			case isOSD:
				o := c.osd(id)
				o.Flags, found = withFlags(o.Flags, flags, on), true
			case host || who == "default":
				setFlags(&c.NodeFlags, who, flags, on)
				found = true
			case slices.Contains(c.Classes, who):
				setFlags(&c.ClassFlags, who, flags, on)
				found = true
			default:
				text += fmt.Sprintf("unable to parse osd id or crush node or device class: \"%s\". ", who)
			}
		}
		if !found {
			return refuse(eINVAL, "%s", text)
		}
		c.mapChanged(v.now)
		return reply{note: text, changed: true}
	}
}

// withFlags returns the sorted flags of old after setting or unsetting some.
func withFlags(old, flags []string, on bool) []string {
	rest := slices.DeleteFunc(slices.Clone(old), func(f string) bool { return slices.Contains(flags, f) })
	if on {
		rest = append(rest, flags...)
	}
	slices.Sort(rest)
	return rest
}

func setFlags(of *map[string][]string, who string, flags []string, on bool) {
	if *of == nil {
		*of = map[string][]string{}
	}
	(*of)[who] = withFlags((*of)[who], flags, on)
	if len((*of)[who]) == 0 {
		delete(*of, who)
	}
}

// flagsByName returns the flags of hosts or classes as JSON.
func flagsByName(of map[string][]string) object {
	all := object{}
	for _, name := range sortedKeys(of) {
		all = append(all, member{name, of[name]})
	}
	return all
}

// groupFlagHealth warns about flags of hosts and classes.
func (c *Ceph) groupFlagHealth(add addCheck) {
	var detail []string
	for _, o := range c.OSDs {
		if len(o.Flags) > 0 {
			detail = append(detail, fmt.Sprintf("osd.%d has flags %s", o.ID, strings.Join(o.Flags, ",")))
		}
	}
	for _, name := range sortedKeys(c.NodeFlags) {
		kind := "host"
		if name == "default" {
			kind = "root"
		}
		detail = append(detail, fmt.Sprintf("%s %s has flags %s", kind, name, strings.Join(c.NodeFlags[name], ",")))
	}
	for _, name := range sortedKeys(c.ClassFlags) {
		detail = append(detail, fmt.Sprintf("device class '%s' has flags %s", name, strings.Join(c.ClassFlags[name], ",")))
	}
	if len(detail) > 0 {
		add("OSD_FLAGS", "HEALTH_WARN", len(detail), fmt.Sprintf("%d OSDs or CRUSH {nodes, device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set", len(detail)), detail...)
	}
}
