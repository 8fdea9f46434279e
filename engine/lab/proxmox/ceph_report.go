package proxmox

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// labMemory is the memory of every node in bytes.
const labMemory = 25276502016

func reportCommands() []cephCommand {
	return []cephCommand{
		{words: "report", run: report},
		{words: "mgr metadata", run: mgrMetadata},
	}
}

// report implements ceph report: every map except the managers'. Its message is a checksum of the JSON.
func report(v *view, c *Ceph, args []string) reply {
	osdmap, crushmap := osdDump(v, c, nil).value, crushDump(v, c, nil).value
	metadata, seqs, byOSD := []object{}, []object{}, []object{}
	for _, o := range c.OSDs {
		entry := obj("id", o.ID)
		if o.Booted { // a daemon that never started has reported nothing
			entry = v.osdMeta(c, o)
			seqs = append(seqs, obj("osd", o.ID, "seq", o.UpFrom<<32))
		}
		metadata = append(metadata, entry)
		if n := v.pgsOf(c, o); n > 0 {
			byOSD = append(byOSD, obj("osd", o.ID, "num_primary_pg", 0, "num_acting_pg", n, "num_up_not_acting_pg", 0))
		}
	}
	states, counts, total := v.pgSummary(c)
	byState, active := []object{}, 0
	for _, state := range states {
		byState = append(byState, obj("state", state, "num", counts[state]))
		if strings.Contains(state, "active") {
			active += counts[state]
		}
	}
	pools, purged := []object{}, []object{}
	for _, p := range c.Pools {
		pools = append(pools, obj("poolid", p.ID, "num_pg", p.PGs, "stat_sum", obj("num_bytes", 0)))
		purged = append(purged, obj("pool", p.ID, "purged_snaps", object{}))
	}
	used, raw := v.usage(c)
	sum := obj("num_osds", len(metadata), "kb", raw>>10, "kb_used", used>>10, "kb_avail", (raw-used)>>10)
	byClass := object{}
	for _, class := range c.Classes {
		byClass = append(byClass, member{class, sum})
	}
	value := obj("cluster_fingerprint", uuid(c.FSID, 0), "version", c.Version, "commit", cephReleases[c.Version].commit, "timestamp", stamp(v.now), "tag", strings.Join(args, " "),
		"health", healthValue(v.health(c), true), "monmap_first_committed", 1, "monmap_last_committed", c.MonEpoch, "monmap", c.monmap(), "quorum", c.ranks(),
		"osdmap", osdmap, "osd_metadata", metadata, "osdmap_clean_epochs", obj("min_last_epoch_clean", c.OSDEpoch), "osdmap_first_committed", 1, "osdmap_last_committed", c.OSDEpoch,
		"crushmap", crushmap, "fsmap", v.fsMap(c), "mdsmap_first_committed", 1, "mdsmap_last_committed", c.FSEpoch, "auth", obj("num_secrets", len(c.Auth)+1),
		"num_pg", total, "num_pg_active", active, "num_pg_unknown", counts["unknown"], "num_osd", len(c.OSDs), "pool_sum", object{}, "osd_sum", sum, "osd_sum_by_class", byClass,
		"pool_stats", pools, "osd_stats", seqs, "num_pg_by_state", byState, "num_pg_by_osd", byOSD, "purged_snaps", purged,
		"servicemap", obj("epoch", 1, "modified", stamp(c.Created), "services", object{}), "paxos", obj("first_committed", 1, "last_committed", c.MonEpoch+c.OSDEpoch+c.MgrEpoch+c.FSEpoch))
	return reply{value: value, note: fmt.Sprintf("report %d", checksum(strings.TrimSuffix(canonical(value), "\n")))}
}

// checksum computes CRC-32C as Ceph does, without inversion, with the seed of a report.
func checksum(text string) uint32 {
	const seed = 6789
	return ^crc32.Update(^uint32(seed), crc32.MakeTable(crc32.Castagnoli), []byte(text))
}

// mgrMetadata returns the metadata of the managers in the map, active and standby.
func mgrMetadata(v *view, c *Ceph, args []string) reply {
	all := []object{}
	for _, d := range c.Mgrs {
		standing := false
		for _, name := range v.standbyMgrs(c) {
			standing = standing || name == d.Name
		}
		if d.Name != c.ActiveMgr && !standing || len(args) > 0 && args[0] != d.Name {
			continue
		}
		ip, distro := v.Nodes[d.Host].IP, map[string]string{"bookworm": "12", "trixie": "13"}[v.world.node(d.Host).Debian()]
		all = append(all, obj("name", d.Name, "addr", ip, "addrs", ip+":0/12401", "arch", "x86_64", "ceph_release", c.releaseName(), "ceph_version", versionLine(c.Version), "ceph_version_short", c.Version,
			"cpu", "Intel(R) Xeon(R) Processor", "distro", "debian", "distro_description", "Debian GNU/Linux "+distro, "distro_version", distro, "hostname", d.Host,
			"kernel_description", "#1 SMP PREEMPT_DYNAMIC", "kernel_version", v.world.node(d.Host).Kernel(), "mem_swap_kb", "0", "mem_total_kb", fmt.Sprint(labMemory/1024), "os", "Linux"))
	}
	if len(args) == 0 {
		return reply{value: all}
	}
	if len(all) == 0 {
		return reply{errno: eNOENT}
	}
	return reply{value: all[0]}
}
