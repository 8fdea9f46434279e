package proxmox

// nodeEndpoints are the API paths below /nodes/NODE.
func nodeEndpoints() []endpoint {
	return []endpoint{
		get("nodes/{}/version", apiVersion),
		get("nodes/{}/status", func(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
			r := c.release()
			used := int64(labMemory / 6)
			return map[string]any{"pveversion": "pve-manager/" + r.manager + "/" + r.repoid, "kversion": "Linux " + c.Node.Kernel() + " #1 SMP PREEMPT_DYNAMIC @0",
				"current-kernel": map[string]any{"machine": "x86_64", "release": c.Node.Kernel(), "sysname": "Linux", "version": "#1 SMP PREEMPT_DYNAMIC @0"},
				"boot-info":      map[string]any{"mode": "legacy-bios"}, "cpu": 0, "idle": 0, "wait": 0, "loadavg": []any{"0.10", "0.10", "0.10"}, "ksm": map[string]any{"shared": 0},
				"cpuinfo": map[string]any{"cores": labCPUs, "cpus": labCPUs, "family": "6", "flags": "fpu vme vmx", "hvm": "1", "mhz": "2600.000", "model": "Intel(R) Xeon(R) Processor", "sockets": 1, "user_hz": 100, "vendor": "GenuineIntel"},
				"memory":  map[string]any{"available": int64(labMemory) - used, "free": int64(labMemory) - used, "total": int64(labMemory), "used": used},
				"rootfs":  map[string]any{"avail": int64(localFree * 1024), "free": int64(localTotal-localUsed) * 1024, "total": int64(labDisk), "used": int64(localUsed * 1024)},
				"swap":    map[string]any{"free": 0, "total": 0, "used": 0}, "uptime": int64(v.now.Sub(v.nodeState(c.Node.Name()).Since["pve-cluster.service"]).Seconds())}, nil
		}),
		get("nodes/{}/qemu/{}/config", func(c *Command, _ *view, db *Database, parts []string, _ arguments) (any, error) {
			g, err := c.own(db, arguments{values: map[string]string{"vmid": parts[1]}})
			if err != nil {
				return nil, err
			}
			value := map[string]any{"digest": digest(g.config)}
			for key, text := range parseGuest(g.config) {
				if value[key] = text; guestNumbers[key] || guestFlags[key] {
					value[key] = count(text, 0)
				}
			}
			return value, nil
		}),
		{verb: "get", path: "nodes/{}/network", run: apiNetwork},
	}
}

// diskUse returns the use of a disk in the words of PVE's disk list, or "" if it is free.
func diskUse(d Disk) string {
	switch {
	case d.Mountpoint != "":
		return "mounted"
	case d.Use == "LVM2_member":
		return "LVM"
	case d.Use == "zfs_member":
		return "ZFS"
	case len(d.Partitions) > 0:
		return "partitions"
	case d.BIOSBoot:
		return "BIOS boot"
	}
	return d.Use
}
