package proxmox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func mdsCommands() []cephCommand {
	return []cephCommand{
		{words: "fs ls", run: fsLs},
		{words: "mds ok-to-stop", run: func(v *view, c *Ceph, args []string) reply {
			var active, idle []string
			left := 0
			for _, d := range v.standbyMDSs(c) {
				if slices.Contains(args, d.Name) {
					idle = append(idle, fmt.Sprint(c.gid(d.Name)))
				} else {
					left++
				}
			}
			for _, f := range c.FileSystems {
				if slices.Contains(args, f.Active) {
					active = append(active, fmt.Sprint(c.gid(f.Active)))
				}
			}
			if left < len(active) {
				return refuse(eBUSY, "insufficent standby MDS daemons to stop active gids %s and/or standby gids %s", strings.Join(active, ","), strings.Join(idle, ","))
			}
			return note("should be safe to stop %s", "["+strings.Join(args, ",")+"]")
		}},
	}
}

// debianOf returns the Debian release of a node: its number, and its name in /etc/os-release.
func debianOf(n Node) (number, name string) {
	number = map[string]string{"bookworm": "12", "trixie": "13"}[n.Debian()]
	return number, fmt.Sprintf("Debian GNU/Linux %s (%s)", number, n.Debian())
}

func (c *Ceph) fileSystem(name string) *FileSystem {
	i := slices.IndexFunc(c.FileSystems, func(f *FileSystem) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return c.FileSystems[i]
}

// poolName returns the name of the pool with an ID.
func (c *Ceph) poolName(id int) string {
	if i := slices.IndexFunc(c.Pools, func(p *Pool) bool { return p.ID == id }); i >= 0 {
		return c.Pools[i].Name
	}
	return ""
}

func fsLs(_ *view, c *Ceph, _ []string) reply {
	all, text := []object{}, ""
	for _, f := range c.FileSystems {
		all = append(all, obj("name", f.Name, "metadata_pool", c.poolName(f.Metadata), "metadata_pool_id", f.Metadata, "data_pool_ids", []int{f.Data}, "data_pools", []string{c.poolName(f.Data)}))
		text += fmt.Sprintf("name: %s, metadata pool: %s, data pools: [%s ]\n", f.Name, c.poolName(f.Metadata), c.poolName(f.Data))
	}
	if text == "" {
		text = "No filesystems enabled\n"
	}
	return reply{value: all, text: text}
}

func fsNew(v *view, c *Ceph, args []string) reply {
	args, _ = flagged(args)
	if len(args) < 3 {
		return invalid("Invalid command: missing required parameter data(<string>)", "fs new <fs_name> <metadata> <data> [--force] [--allow-dangerous-metadata-overlay] [<fscid:int>] [--recover] :  make new filesystem using named pools <metadata> and <data>")
	}
	meta, data := c.pool(args[1]), c.pool(args[2])
	existing := c.fileSystem(args[0])
	switch {
	case meta == nil:
		return refuse(eNOENT, "pool '%s' does not exist", args[1])
	case data == nil:
		return refuse(eNOENT, "pool '%s' does not exist", args[2])
	case existing != nil && existing.Metadata == meta.ID && existing.Data == data.ID:
		return note("filesystem '%s' already exists", args[0])
	case existing != nil:
		return refuse(eINVAL, "filesystem already exists with name '%s'", args[0])
	}
	for _, f := range c.FileSystems {
		if f.Metadata == meta.ID || f.Data == data.ID || f.Data == meta.ID || f.Metadata == data.ID {
			return refuse(eEXIST, "Filesystem '%s' is already using one of the specified RADOS pools. This should ONLY be done in emergencies and after careful reading of the documentation. Pass --allow-dangerous-metadata-overlay to permit this.", args[0])
		}
	}
	hint := ""
	if data.Autoscale == "on" && !data.has("bulk") {
		hint = fmt.Sprintf("  Pool '%s' (id '%d') has pg autoscale mode 'on' but is not marked as bulk.\n  Consider setting the flag by running\n    # ceph osd pool set %s bulk true\n", data.Name, data.ID, data.Name)
	}
	for _, p := range []*Pool{meta, data} {
		if !slices.Contains(p.Applications, "cephfs") {
			p.Applications = append(p.Applications, "cephfs")
		}
	}
	meta.FSRole, meta.FS, data.FSRole, data.FS = "metadata", args[0], "data", args[0]
	maps.Copy(meta.Options, map[string]string{"pg_autoscale_bias": "4", "pg_num_min": "16", "recovery_priority": "5"})
	id := 1
	for _, f := range c.FileSystems {
		id = max(id, f.ID+1)
	}
	c.FileSystems = append(c.FileSystems, &FileSystem{ID: id, Name: args[0], Metadata: meta.ID, Data: data.ID, Created: v.now})
	c.FSEpoch++
	return changed("%snew fs with metadata pool %d and data pool %d", hint, meta.ID, data.ID)
}

func compat(inline bool) object {
	features := []string{"base v0.20", "client writeable ranges", "default file layouts on dirs", "dir inode in separate object", "mds uses versioned encoding", "dirfrag is stored in omap", "mds uses inline data", "no anchor table", "file layout v2", "snaprealm v2"}
	in := object{}
	for i, text := range features {
		if i == 6 && !inline {
			continue
		}
		in = append(in, member{fmt.Sprintf("feature_%d", i+1), text})
	}
	return obj("compat", object{}, "ro_compat", object{}, "incompat", in)
}

// gid derives a global ID for a metadata server.
func (c *Ceph) gid(name string) int {
	return 47000 + slices.IndexFunc(c.MDSs, func(d Daemon) bool { return d.Name == name })
}

func (v *view) mdsInfo(c *Ceph, d Daemon, rank int) object {
	ip := v.Nodes[d.Host].IP
	return obj("gid", c.gid(d.Name), "name", d.Name, "rank", rank, "incarnation", 0, "state", v.mdsState(c, d), "state_seq", 1, "addr", ip+":6817/2981983032", "addrs", addrvec(ip, 6816, 6817),
		"join_fscid", -1, "export_targets", []any{}, "features", 4540138314316775423, "flags", 0, "compat", compat(true))
}

func (v *view) fsMap(c *Ceph) object {
	standbys, systems, first := []object{}, []object{}, -1
	for _, d := range v.standbyMDSs(c) {
		standbys = append(standbys, append(v.mdsInfo(c, d, -1), member{"epoch", c.FSEpoch}))
	}
	for _, f := range c.FileSystems {
		if first < 0 {
			first = f.ID
		}
		up, info, in := object{}, object{}, []int{}
		for _, d := range c.MDSs {
			if d.Name == f.Active {
				in = []int{0}
				up = obj("mds_0", c.gid(d.Name))
				info = obj(fmt.Sprintf("gid_%d", c.gid(d.Name)), v.mdsInfo(c, d, 0))
			}
		}
		systems = append(systems, obj("mdsmap", obj("epoch", c.FSEpoch, "flags", 18, "ever_allowed_features", 0, "explicitly_allowed_features", 0, "created", stamp(f.Created), "modified", stamp(f.Created), "tableserver", 0, "root", 0,
			"session_timeout", 60, "session_autoclose", 300, "required_client_features", object{}, "max_file_size", 1099511627776, "last_failure", 0, "last_failure_osd_epoch", 0, "compat", compat(true), "max_mds", 1, "in", in, "up", up,
			"failed", []int{}, "damaged", []int{}, "stopped", []int{}, "info", info, "data_pools", []int{f.Data}, "metadata_pool", f.Metadata, "enabled", true, "fs_name", f.Name, "balancer", "", "standby_count_wanted", 1), "id", f.ID))
	}
	return obj("epoch", c.FSEpoch, "default_fscid", first, "compat", compat(false), "feature_flags", obj("enable_multiple", true, "ever_enabled_multiple", true), "standbys", standbys, "filesystems", systems)
}
