package proxmox

import (
	"fmt"
	"slices"

	"hlplay/engine/pattern"
)

// configOptions are the options that the monitors accept, with their defaults.
var configOptions = map[string]string{
	"auth_allow_insecure_global_id_reclaim": "true", "mon_allow_pool_delete": "false", "mon_allow_pool_size_one": "false", "mon_max_pg_per_osd": "250", "mon_target_pg_per_osd": "100",
	"osd_pool_default_size": "3", "osd_pool_default_min_size": "0", "osd_pool_default_pg_num": "32", "osd_pool_default_pg_autoscale_mode": "on", "osd_memory_target": "4294967296", "osd_max_backfills": "1",
	"osd_recovery_max_active": "0", "osd_recovery_sleep": "0.000000", "osd_crush_update_on_start": "true", "osd_scrub_begin_hour": "0", "osd_scrub_end_hour": "0", "bluestore_cache_size": "0", "rbd_cache": "true",
	"public_network": "", "cluster_network": "", "mds_cache_memory_limit": "4294967296", "mgr/balancer/active": "true", "mgr/balancer/mode": "upmap", "osd_mclock_profile": "balanced", "mon_warn_on_pool_no_redundancy": "true",
}

var configTarget = pattern.New(`^(global|mon|mgr|osd|mds|client)(\..+)?$|^mon\.$`)

func configCommands() []cephCommand {
	return []cephCommand{
		{words: "config set", run: configSet}, {words: "config rm", run: configRm}, {words: "config get", run: configGet},
		{words: "config dump", run: func(_ *view, c *Ceph, _ []string) reply {
			all, rows := []object{}, [][]string{}
			for _, e := range c.Config {
				all = append(all, obj("section", e.Who, "name", e.Name, "value", e.Value, "level", "advanced", "can_update_at_runtime", true, "mask", ""))
				rows = append(rows, []string{e.Who, "", "advanced", e.Name, e.Value, ""})
			}
			return reply{value: all, text: cephTable([]column{{"WHO", false}, {"MASK", false}, {"LEVEL", false}, {"OPTION", false}, {"VALUE", false}, {"RO", false}}, rows)}
		}},
		{words: "auth ls", run: func(_ *view, c *Ceph, _ []string) reply {
			entries := []object{}
			for _, name := range sortedKeys(c.Auth) {
				entries = append(entries, obj("entity", name, "key", c.Auth[name], "caps", object{}))
			}
			return reply{value: obj("auth_dump", entries), note: "installed auth entries:\n"}
		}},
		{words: "auth get-key", run: func(_ *view, c *Ceph, args []string) reply {
			if len(args) == 0 || c.Auth[args[0]] == "" {
				return refuse(eNOENT, "failed to find %s in keyring", first(args))
			}
			return reply{value: obj("key", c.Auth[args[0]]), text: c.Auth[args[0]]}
		}},
		{words: "auth get-or-create", run: func(v *view, c *Ceph, args []string) reply {
			if len(args) == 0 {
				return invalid("Invalid command: missing required parameter entity(<string>)", "auth get-or-create <entity> [<caps>...] :  add auth info for <entity> from input file, or random key if no input given, and/or any caps specified in the command")
			}
			if c.Auth[args[0]] == "" {
				c.Auth[args[0]] = newKey(v.now)
			}
			return reply{value: []object{obj("entity", args[0], "key", c.Auth[args[0]])}, text: fmt.Sprintf("[%s]\n\tkey = %s\n", args[0], c.Auth[args[0]])}
		}},
		{words: "auth rm", run: authRm}, {words: "auth del", run: authRm},
		{words: "balancer on", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply { c.Unbalanced = false; return reply{changed: true} }},
		{words: "balancer off", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply { c.Unbalanced = true; return reply{changed: true} }},
		{words: "balancer status", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply {
			return reply{value: obj("active", !c.Unbalanced, "last_optimize_duration", "0:00:00.000376", "last_optimize_started", "", "mode", "upmap", "no_optimization_needed", true, "optimize_result", "Unable to find further optimization, or pool(s) pg_num is decreasing, or distribution is already perfect", "plans", []any{})}
		}},
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func authRm(_ *view, c *Ceph, args []string) reply {
	if len(args) > 0 && c.Auth[args[0]] == "" {
		return note("entity %s does not exist", args[0])
	}
	delete(c.Auth, first(args))
	return reply{changed: true}
}

func configSet(_ *view, c *Ceph, args []string) reply {
	if len(args) < 3 {
		return invalid("Invalid command: missing required parameter value(<string>)", "config set <who> <name> <value> [--force] :  Set a configuration option for one or more entities")
	}
	switch {
	case !configTarget.MatchString(args[0]):
		return refuse(eINVAL, "unrecognized config target '%s'", args[0])
	default:
		if _, known := configOptions[args[1]]; !known {
			return refuse(eINVAL, "unrecognized config option '%s'", args[1])
		}
	}
	c.setConfig(args[0], args[1], args[2])
	return reply{changed: true}
}

func (c *Ceph) setConfig(who, name, value string) {
	c.Config = slices.DeleteFunc(c.Config, func(e ConfigEntry) bool { return e.Who == who && e.Name == name })
	c.Config = append(c.Config, ConfigEntry{who, name, value})
}

func configRm(_ *view, c *Ceph, args []string) reply {
	if len(args) >= 2 {
		c.Config = slices.DeleteFunc(c.Config, func(e ConfigEntry) bool { return e.Who == args[0] && e.Name == args[1] })
	}
	return reply{changed: true}
}

func configGet(_ *view, c *Ceph, args []string) reply {
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter who(<string>)", "config get <who> [<key>] :  Show configuration option(s) for an entity")
	}
	if !configTarget.MatchString(args[0]) {
		return refuse(eINVAL, "unrecognized entity '%s'", args[0])
	}
	if len(args) < 2 {
		value := object{}
		for _, e := range c.Config {
			value = append(value, member{e.Name, obj("value", e.Value, "section", e.Who, "can_update_at_runtime", true)})
		}
		return reply{value: value}
	}
	other, known := configOptions[args[1]]
	if !known {
		return refuse(eNOENT, "unrecognized key '%s'", args[1])
	}
	value := other
	for _, e := range c.Config {
		if e.Name == args[1] && (e.Who == "global" || len(args[0]) >= len(e.Who) && args[0][:len(e.Who)] == e.Who) {
			value = e.Value
		}
	}
	return reply{text: value + "\n"}
}
