package proxmox

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	poolGetKeys = "size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|hit_set_type|hit_set_period|hit_set_count|hit_set_fpp|use_gmt_hitset|target_max_objects|target_max_bytes|cache_target_dirty_ratio|cache_target_dirty_high_ratio|cache_target_full_ratio|cache_min_flush_age|cache_min_evict_age|erasure_code_profile|min_read_recency_for_promote|all|min_write_recency_for_promote|fast_read|hit_set_grade_decay_rate|hit_set_search_last_n|scrub_min_interval|scrub_max_interval|deep_scrub_interval|recovery_priority|recovery_op_priority|scrub_priority|compression_mode|compression_algorithm|compression_required_ratio|compression_max_blob_size|compression_min_blob_size|csum_type|csum_min_block|csum_max_block|allow_ec_overwrites|fingerprint_algorithm|pg_autoscale_mode|pg_autoscale_bias|pg_num_min|pg_num_max|target_size_bytes|target_size_ratio|dedup_tier|dedup_chunk_algorithm|dedup_cdc_chunk_size|bulk"
	poolSetKeys = "size|min_size|pg_num|pgp_num|pgp_num_actual|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|hit_set_type|hit_set_period|hit_set_count|hit_set_fpp|use_gmt_hitset|target_max_bytes|target_max_objects|cache_target_dirty_ratio|cache_target_dirty_high_ratio|cache_target_full_ratio|cache_min_flush_age|cache_min_evict_age|min_read_recency_for_promote|min_write_recency_for_promote|fast_read|hit_set_grade_decay_rate|hit_set_search_last_n|scrub_min_interval|scrub_max_interval|deep_scrub_interval|recovery_priority|recovery_op_priority|scrub_priority|compression_mode|compression_algorithm|compression_required_ratio|compression_max_blob_size|compression_min_blob_size|csum_type|csum_min_block|csum_max_block|allow_ec_overwrites|fingerprint_algorithm|pg_autoscale_mode|pg_autoscale_bias|pg_num_min|pg_num_max|target_size_bytes|target_size_ratio|dedup_tier|dedup_chunk_algorithm|dedup_cdc_chunk_size|bulk"

	poolCreateUsage = "osd pool create <pool> [<pg_num:int>] [<pgp_num:int>] [replicated|erasure] [<erasure_code_profile>] [<rule>] [<expected_num_objects:int>] [<size:int>] [<pg_num_min:int>] [<pg_num_max:int>] [on|off|warn] [--bulk] [<target_size_bytes:int>] [<target_size_ratio:float>] :  create pool"

	pgRange      = "'pg_num' must be greater than 0 and less than or equal to 65536 (you may adjust 'mon max pool pg num' for higher values)"
	maxPGsPerOSD = 250
)

// settable are the pool options that are unset by default.
var settable = []string{"scrub_min_interval", "scrub_max_interval", "deep_scrub_interval", "recovery_priority", "recovery_op_priority", "scrub_priority", "compression_mode", "compression_algorithm",
	"compression_required_ratio", "compression_max_blob_size", "compression_min_blob_size", "csum_type", "csum_min_block", "csum_max_block", "fingerprint_algorithm", "pg_autoscale_bias", "pg_num_min", "pg_num_max",
	"target_size_bytes", "target_size_ratio", "dedup_tier", "dedup_chunk_algorithm", "dedup_cdc_chunk_size"}

func poolCommands() []cephCommand {
	read := func(words string, fn func(v *view, c *Ceph, args []string) reply) cephCommand {
		return cephCommand{words: words, run: fn}
	}
	return []cephCommand{
		read("osd pool create", poolCreate), read("osd pool set", poolSet), read("osd pool get", poolGet),
		read("osd pool application enable", poolApplication(true)), read("osd pool application disable", poolApplication(false)),
	}
}

func (p *Pool) flagNames(now time.Time) string {
	names := append([]string{"hashpspool"}, p.Flags...)
	if now.Sub(p.Created) < peerDelay {
		names = append(names, "creating")
	}
	return strings.Join(names, ",")
}

// poolFlagBits are the bits of a pool's flags, without hashpspool, which all pools have.
var poolFlagBits = map[string]int{"nodelete": 4, "nopgchange": 5, "nosizechange": 6, "write_fadvise_dontneed": 7, "noscrub": 8, "nodeep-scrub": 9, "selfmanaged_snaps": 13, "eio": 16, "bulk": 17}

func (p *Pool) flagBits() int {
	bits := 1
	for _, flag := range p.Flags {
		if bit, ok := poolFlagBits[flag]; ok {
			bits |= 1 << bit
		}
	}
	return bits
}

func (p *Pool) has(flag string) bool { return slices.Contains(p.Flags, flag) }

func (p *Pool) applications() object {
	apps := object{}
	for _, name := range p.Applications {
		notes := object{}
		if name == "cephfs" && p.FSRole != "" {
			notes = object{member{p.FSRole, p.FS}}
		}
		apps = append(apps, member{name, notes})
	}
	return apps
}

// optionValue returns an option's value for JSON: a number if it is one.
func optionValue(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return f
	}
	return text
}

func (c *Ceph) poolDetail(p *Pool, idKey string, now time.Time) object {
	options := object{}
	for _, key := range sortedKeys(p.Options) {
		options = append(options, member{key, optionValue(p.Options[key])})
	}
	kind := 1
	if p.Erasure {
		kind = 3
	}
	value := obj(idKey, p.ID, "pool_name", p.Name, "create_time", stamp(p.Created), "flags", p.flagBits(), "flags_names", p.flagNames(now), "type", kind, "size", p.Size, "min_size", p.MinSize, "crush_rule", p.Rule,
		"peering_crush_bucket_count", 0, "peering_crush_bucket_target", 0, "peering_crush_bucket_barrier", 0, "peering_crush_bucket_mandatory_member", 2147483647, "object_hash", 2, "pg_autoscale_mode", p.Autoscale,
		"pg_num", p.PGs, "pg_placement_num", p.PGPs, "pg_placement_num_target", p.PGPs, "pg_num_target", cmp.Or(p.Target, p.PGs), "pg_num_pending", p.PGs,
		"last_pg_merge_meta", obj("source_pgid", "0.0", "ready_epoch", 0, "last_epoch_started", 0, "last_epoch_clean", 0, "source_version", "0'0", "target_version", "0'0"),
		"last_change", fmt.Sprint(p.LastChange), "last_force_op_resend", "0", "last_force_op_resend_prenautilus", "0", "last_force_op_resend_preluminous", "0", "auid", 0, "snap_mode", "selfmanaged", "snap_seq", 0, "snap_epoch", 0,
		"pool_snaps", []any{}, "removed_snaps", "[]", "quota_max_bytes", 0, "quota_max_objects", 0, "tiers", []any{}, "tier_of", -1, "read_tier", -1, "write_tier", -1, "cache_mode", "none", "target_max_bytes", 0, "target_max_objects", 0,
		"cache_target_dirty_ratio_micro", 400000, "cache_target_dirty_high_ratio_micro", 600000, "cache_target_full_ratio_micro", 800000, "cache_min_flush_age", 0, "cache_min_evict_age", 0, "erasure_code_profile", "",
		"hit_set_params", obj("type", "none"), "hit_set_period", 0, "hit_set_count", 0, "use_gmt_hitset", true, "min_read_recency_for_promote", 0, "min_write_recency_for_promote", 0, "hit_set_grade_decay_rate", 0, "hit_set_search_last_n", 0,
		"grade_table", []any{}, "stripe_width", 0, "expected_num_objects", 0, "fast_read", false, "options", options, "application_metadata", p.applications())
	if c.major() >= 18 {
		value = append(value, member{"read_balance", obj("score_acting", 1, "score_stable", 1, "optimal_score", 1, "raw_score_acting", 1, "raw_score_stable", 1, "primary_affinity_weighted", 1, "average_primary_affinity", 1, "average_primary_affinity_weighted", 1)})
	}
	return value
}

func (c *Ceph) poolLine(p *Pool, now time.Time) string {
	split := ""
	if p.Split > 0 {
		split = fmt.Sprintf(" lfor 0/0/%d", p.Split)
	}
	text := fmt.Sprintf("pool %d '%s' replicated size %d min_size %d crush_rule %d object_hash rjenkins pg_num %d pgp_num %d autoscale_mode %s last_change %d%s flags %s stripe_width 0",
		p.ID, p.Name, p.Size, p.MinSize, p.Rule, p.PGs, p.PGPs, p.Autoscale, p.LastChange, split, p.flagNames(now))
	for _, key := range []string{"compression_mode", "pg_autoscale_bias", "pg_num_max", "pg_num_min", "recovery_priority", "target_size_bytes", "target_size_ratio"} {
		if value := p.Options[key]; value != "" {
			text += " " + key + " " + value
		}
	}
	if len(p.Applications) > 0 {
		text += " application " + strings.Join(p.Applications, ",")
	}
	return text + "\n"
}

// poolKeys returns all values that are set for a pool, in the order of `pool get NAME all`.
func (c *Ceph) poolKeys(p *Pool) object {
	rule := ""
	if r := c.ruleByID(p.Rule); r != nil {
		rule = r.Name
	}
	value := obj("size", p.Size, "min_size", p.MinSize, "pg_num", p.PGs, "pgp_num", p.PGPs, "crush_rule", rule, "hashpspool", true)
	for _, flag := range []string{"nodelete", "nopgchange", "nosizechange", "write_fadvise_dontneed", "noscrub", "nodeep-scrub"} {
		value = append(value, member{flag, p.has(flag)})
	}
	value = append(value, obj("use_gmt_hitset", true, "fast_read", 0)...)
	for _, key := range []string{"compression_mode"} {
		if p.Options[key] != "" {
			value = append(value, member{key, p.Options[key]})
		}
	}
	value = append(value, member{"pg_autoscale_mode", p.Autoscale})
	for _, key := range []string{"pg_autoscale_bias", "pg_num_min", "pg_num_max", "target_size_bytes", "target_size_ratio"} {
		if p.Options[key] != "" {
			value = append(value, member{key, optionValue(p.Options[key])})
		}
	}
	if c.major() >= 17 {
		value = append(value, member{"eio", false})
	}
	return append(value, member{"bulk", p.has("bulk")})
}

func poolGet(_ *view, c *Ceph, args []string) reply {
	usage := "osd pool get <pool> " + poolGetKeys + " :  get pool parameter <var>"
	if len(args) > 1 && !slices.Contains(strings.Split(poolGetKeys, "|"), args[1]) {
		return invalid(fmt.Sprintf("Invalid command: %s not in %s", args[1], poolGetKeys), usage)
	}
	if len(args) < 2 {
		return invalid("Invalid command: missing required parameter var("+poolGetKeys+")", usage)
	}
	p := c.pool(args[0])
	if p == nil {
		return refuse(eNOENT, "unrecognized pool '%s'", args[0])
	}
	value, text := obj("pool", p.Name, "pool_id", p.ID), ""
	for _, m := range c.poolKeys(p) {
		if args[1] == "all" || args[1] == m.key {
			value = append(value, m)
			text += fmt.Sprintf("%s: %s\n", m.key, poolText(m))
		}
	}
	if text == "" {
		return refuse(eNOENT, "option '%s' is not set on pool '%s'", args[1], p.Name)
	}
	return reply{value: value, text: text}
}

// poolText formats a value as text. A flag that is set is printed as a number.
func poolText(m member) string {
	if m.key == "use_gmt_hitset" {
		return "1"
	}
	return fmt.Sprint(m.value)
}

func poolApplication(on bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		args, sure := flagged(args)
		if len(args) < 2 {
			return invalid("Invalid command: missing required parameter app(<string(goodchars [A-Za-z0-9-_.])>)", "osd pool application enable <pool> <app> [--yes-i-really-mean-it] :  enable use of an application <app> [cephfs,rbd,rgw] on pool <poolname>")
		}
		if !goodName.MatchString(args[1]) {
			return invalid("Invalid command: invalid chars   in "+args[1], "osd pool application enable <pool> <app> [--yes-i-really-mean-it] :  enable use of an application <app> [cephfs,rbd,rgw] on pool <poolname>")
		}
		p := c.pool(args[0])
		if p == nil {
			return refuse(eNOENT, "unrecognized pool '%s'", args[0])
		}
		has := slices.Contains(p.Applications, args[1])
		switch {
		case on && !has && len(p.Applications) > 0 && !sure:
			return refuse(ePERM, "Are you SURE? Pool '%s' already has an enabled application; pass --yes-i-really-mean-it to proceed anyway", p.Name)
		case on:
			if !has {
				p.Applications = append(p.Applications, args[1])
				slices.Sort(p.Applications)
			}
			c.mapChanged(v.now)
			p.LastChange = c.OSDEpoch
			return changed("enabled application '%s' on pool '%s'", args[1], p.Name)
		case !sure:
			return refuse(ePERM, "Are you SURE? Disabling an application within a pool might result in loss of application functionality; pass --yes-i-really-mean-it to proceed anyway")
		case !has:
			return note("application '%s' is not enabled on pool '%s'", args[1], p.Name)
		}
		p.Applications = slices.DeleteFunc(p.Applications, func(a string) bool { return a == args[1] })
		c.mapChanged(v.now)
		return changed("disable application '%s' on pool '%s'", args[1], p.Name)
	}
}
