package proxmox

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

var diskName = pattern.New(`^(hd[a-z]+|sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+)(p?\d+)?$`)

// device returns the disk at a path, following links.
func (c *Command) device(dev string) (Disk, error) {
	if target, err := c.Node.Readlink(dev); err == nil {
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(dev), target)
		}
		dev = target
	}
	if !strings.HasPrefix(dev, "/dev/") {
		return Disk{}, failed(exitENOENT, "got unusual device path '%s'", dev)
	}
	name := strings.TrimPrefix(dev, "/dev/")
	for _, d := range c.Node.Disks() {
		if d.Name == name {
			return d, nil
		}
	}
	if c.Node.Exists(dev) && !diskName.MatchString(name) {
		return Disk{}, failed(exitDie, "unable to get device info for '%s'", dev)
	}
	return Disk{}, failed(exitENOENT, "not a valid block device")
}

func osdCreate(c *Command, a arguments) int {
	if err := c.ready(); err != nil {
		return c.report(err)
	}
	if err := c.link(); err != nil {
		return c.report(err)
	}
	for _, path := range []string{"/usr/bin/ceph-osd", "/usr/sbin/ceph-volume"} {
		if err := c.binary(path); err != nil {
			return c.report(err)
		}
	}
	if a.has("osds-per-device") {
		for _, other := range []string{"db_dev", "wal_dev"} {
			if a.has(other) {
				return c.die(exitENOENT, "400 Parameter verification failed.\n%s: cannot use 'osds-per-device' parameter with '%s'\npveceph osd create <dev> [OPTIONS]", other, other)
			}
		}
	}
	if err := c.clusterAddress(); err != nil {
		return c.report(err)
	}
	d, err := c.device(a.get("dev"))
	if err != nil {
		return c.report(err)
	}
	shared := map[string]Disk{}
	for _, kind := range sharedDevices {
		if !a.has(kind + "_dev") {
			continue
		}
		other, err := c.sharedDevice(kind, a.get(kind+"_dev"), d, shared)
		if err != nil {
			return c.report(err)
		}
		shared[kind] = other
	}
	free := func() error {
		for _, disk := range c.Node.Disks() {
			if disk.Name == d.Name && diskUse(disk) != "" {
				return fmt.Errorf("device '/dev/%s' is already in use", d.Name)
			}
		}
		return nil
	}
	if err := free(); err != nil {
		return c.report(err)
	}
	if err := c.rados(radosTimeout); err != nil {
		return c.report(err)
	}
	ok := c.task("cephcreateosd", d.Name, func(out io.Writer) error {
		if err := free(); err != nil {
			return err
		}
		return createOSD(c, d, shared, a, out)
	})
	if !ok {
		return exitDie
	}
	return 0
}

// clusterAddress checks that the node has an address in the cluster network or, if there is none, in the public
// network.
func (c *Command) clusterAddress() error {
	var network string
	c.World.at(func(v *view) {
		conf := parseCephConf(v.database(c.Node.Name()).Text(cephConfFile))
		network = or(conf.get("global", "cluster_network"), conf.get("global", "public_network"))
	})
	if len(splitList(network)) > 1 { // passed to ip(8) as one network
		return failed(exitDie, "command '/sbin/ip address show to %q up' failed: exit code 1", network)
	}
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return nil
	}
	if slices.ContainsFunc(c.Node.Addresses(), func(p netip.Prefix) bool { return prefix.Masked().Contains(p.Addr()) }) {
		return nil
	}
	return failed(exitDie, "No address from ceph cluster network (%s) found on node '%s'. Check your network config.", network, c.Node.Name())
}

// sharedDevices are the kinds of devices that OSDs may share.
var sharedDevices = []string{"db", "wal"}

// sharedDevice returns the disk for databases or logs: an empty disk, or one with a volume group created by Ceph.
func (c *Command) sharedDevice(kind, dev string, data Disk, taken map[string]Disk) (Disk, error) {
	d, err := c.device(dev)
	if err != nil {
		return d, err
	}
	twice := d.Name == data.Name
	for _, other := range taken {
		twice = twice || other.Name == d.Name
	}
	if twice {
		return d, failed(exitENOENT, "400 Parameter verification failed.\n%s_dev: cannot chose '/dev/%s' for more than one type.", kind, d.Name)
	}
	switch use := diskUse(d); {
	case use == "" || use == "LVM" && len(c.sharedVolumes(d.Name)) > 0:
		return d, nil
	case use == "LVM" || len(d.Partitions) == 0:
		return d, failed(exitDie, "device '/dev/%s' is already in use and has no LVM on it", d.Name)
	}
	return d, failed(exitDie, "device '/dev/%s' is not GPT partitioned", d.Name)
}

// sharedVolumes returns the volumes with databases and logs on a disk of the node, as device mapper spells them.
func (c *Command) sharedVolumes(disk string) []string {
	var volumes []string
	c.World.at(func(v *view) {
		if ceph := v.cephOf(c.Node.Name()); ceph != nil {
			for _, o := range ceph.OSDs {
				for _, kind := range sharedDevices {
					if s, ok := o.Shared[kind]; ok && o.Host == c.Node.Name() && s.Device == disk {
						volumes = append(volumes, mapperName(s.VG)+"-"+mapperName(s.LV))
					}
				}
			}
		}
	})
	return volumes
}

func createOSD(c *Command, d Disk, shared map[string]Disk, a arguments, out io.Writer) error {
	fmt.Fprintf(out, "create OSD on /dev/%s (bluestore)\n", d.Name)
	volumeOf := map[string]SharedVolume{}
	for _, kind := range sharedDevices {
		if other, ok := shared[kind]; ok {
			seed := c.Node.Name() + "/" + other.Name
			volume := SharedVolume{Device: other.Name, VG: "ceph-" + uuid(seed, 0), LV: fmt.Sprintf("osd-%s-%s", kind, uuid(seed+"/"+d.Name, 1))}
			volumeOf[kind] = volume
			fmt.Fprintf(out, "creating block.%s on '/dev/%s'\nusing '%s/%s' for block.%s\n", kind, other.Name, volume.VG, volume.LV, kind)
		}
	}
	if len(d.Partitions) > 0 {
		fmt.Fprintf(out, "found child partitions to wipe: /dev/%s\n", strings.Join(d.Partitions, ", /dev/"))
	}
	fmt.Fprintf(out, "wiping block device /dev/%s\n200+0 records in\n200+0 records out\n209715200 bytes (210 MB, 200 MiB) copied, 0.2 s, 1.0 GB/s\n", d.Name)
	if err := c.sleep(5 * time.Second); err != nil {
		return err
	}
	class := a.get("crush-device-class")
	if class == "" {
		class = map[bool]string{true: "hdd", false: "ssd"}[d.Rotational]
		if strings.HasPrefix(d.Name, "nvme") {
			class = "ssd" // Ceph itself only distinguishes hdd and ssd
		}
	}
	var osds []OSD
	key := newKey(c.World.clock.Now())
	count := a.int("osds-per-device", 1)
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		for range count {
			id := 0
			for ceph.osd(id) != nil {
				id++
			}
			n := v.next()
			o := &OSD{ID: id, UUID: uuid(ceph.FSID+"/osd", n), Host: c.Node.Name(), Device: d.Name, Size: d.Size / int64(count), Class: class, Reweight: 65536, In: true, InSince: v.now, Created: v.now, Shared: volumeOf, Encrypted: a.bool("encrypted")}
			o.Weight = crushWeight(o.Size)
			o.VG, o.LV = "ceph-"+uuid(ceph.FSID+"/vg", n), "osd-block-"+o.UUID
			ceph.OSDs = append(ceph.OSDs, o)
			slices.SortFunc(ceph.OSDs, func(x, y *OSD) int { return x.ID - y.ID })
			ceph.Auth[fmt.Sprintf("osd.%d", id)] = key
			ceph.mapChanged(v.now)
			osds = append(osds, *o)
		}
	})
	var volumes []string
	for _, o := range osds {
		volumes = append(volumes, mapperName(o.VG)+"-"+mapperName(o.LV))
	}
	c.Node.SetDiskUse(d.Name, "LVM2_member", volumes...)
	for _, other := range shared {
		c.Node.SetDiskUse(other.Name, "LVM2_member", c.sharedVolumes(other.Name)...)
	}
	for _, o := range osds {
		fmt.Fprintf(out, "Running command: /usr/bin/ceph-authtool --gen-print-key\nRunning command: /usr/bin/ceph --cluster ceph --name client.bootstrap-osd --keyring /var/lib/ceph/bootstrap-osd/ceph.keyring -i - osd new %s\n", o.UUID)
		fmt.Fprintf(out, "Running command: vgcreate --force --yes %s /dev/%s\n stdout: Physical volume \"/dev/%s\" successfully created.\n stdout: Volume group \"%s\" successfully created\n", o.VG, d.Name, d.Name, o.VG)
		fmt.Fprintf(out, "Running command: lvcreate --yes -l %d -n %s %s\n stdout: Logical volume \"%s\" created.\n", o.Size>>22, o.LV, o.VG, o.LV)
		dir := fmt.Sprintf("/var/lib/ceph/osd/ceph-%d", o.ID)
		for file, text := range map[string]string{"whoami": fmt.Sprintf("%d\n", o.ID), "fsid": o.UUID + "\n", "type": "bluestore\n", "keyring": keyring(fmt.Sprintf("osd.%d", o.ID), key), "ready": "ready\n"} {
			if err := c.Node.WriteFile(dir+"/"+file, []byte(text), 0o600); err != nil {
				return err
			}
		}
		if err := c.Node.Symlink("/dev/"+o.VG+"/"+o.LV, dir+"/block"); err != nil {
			return err
		}
		c.Node.EnableUnit(unit("osd", strconv.Itoa(o.ID)), true)
		if err := c.Node.StartUnit(unit("osd", strconv.Itoa(o.ID))); err != nil {
			return err
		}
		fmt.Fprintf(out, "Running command: /usr/bin/systemctl enable ceph-volume@lvm-%d-%s\nRunning command: /usr/bin/systemctl enable --runtime ceph-osd@%d\nRunning command: /usr/bin/systemctl start ceph-osd@%d\n", o.ID, o.UUID, o.ID, o.ID)
		fmt.Fprintf(out, "--> ceph-volume lvm activate successful for osd ID: %d\n--> ceph-volume lvm create successful for: /dev/%s\n", o.ID, d.Name)
	}
	return c.sleep(3 * time.Second)
}

// mapperName returns a part of a volume's name as device mapper spells it, with hyphens doubled.
func mapperName(name string) string { return strings.ReplaceAll(name, "-", "--") }

func osdRemove(c *Command, a arguments) int {
	if err := c.ready(); err != nil {
		return c.report(err)
	}
	if err := c.rados(radosTimeout); err != nil {
		return c.report(err)
	}
	id := a.int("osdid", -1)
	var o OSD
	var err error
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		found := ceph.osd(id)
		switch {
		case found == nil || found.Host != c.Node.Name():
			err = failed(exitDie, "OSD osd.%d does not belong to node %s! at /usr/share/perl5/PVE/API2/Ceph/OSD.pm line 1008.", id, c.Node.Name())
		case found.In:
			err = errors.New("osd is in use (in == 1)")
		case found.Up:
			err = errors.New("osd is still running (up == 1)")
		default:
			o = *found
		}
	})
	if err != nil {
		return c.report(err)
	}
	ok := c.task("cephdestroyosd", fmt.Sprintf("osd.%d", id), func(out io.Writer) error {
		dir := fmt.Sprintf("/var/lib/ceph/osd/ceph-%d", id)
		fmt.Fprintf(out, "destroy OSD osd.%d\nRemoved '/etc/systemd/system/ceph-osd.target.wants/ceph-osd@%d.service'.\nRemove osd.%d from the CRUSH map\nRemove the osd.%d authentication key.\nRemove OSD osd.%d\n"+
			"Remove osd.%d mclock max capacity iops settings from config\nUnmount OSD osd.%d from  %s\n", id, id, id, id, id, id, id, dir)
		c.Node.StopUnit(unit("osd", strconv.Itoa(id)))
		c.Node.EnableUnit(unit("osd", strconv.Itoa(id)), false)
		c.World.at(func(v *view) {
			ceph := v.cephOf(c.Node.Name())
			ceph.dropOSD(id)
			ceph.mapChanged(v.now)
			ceph.peer(v.now)
		})
		if a.bool("cleanup") {
			fmt.Fprintf(out, "--> Zapping: /dev/%s/%s\n--> Zapping successful for: <LV: /dev/%s/%s>\n", o.VG, o.LV, o.VG, o.LV)
			c.Node.SetDiskUse(o.Device, "")
			for _, kind := range sharedDevices {
				shared, ok := o.Shared[kind]
				if !ok {
					continue
				}
				fmt.Fprintf(out, "--> Zapping: /dev/%s/%s\n--> Zapping successful for: <LV: /dev/%s/%s>\n", shared.VG, shared.LV, shared.VG, shared.LV)
				if volumes := c.sharedVolumes(shared.Device); len(volumes) > 0 {
					c.Node.SetDiskUse(shared.Device, "LVM2_member", volumes...)
				} else {
					c.Node.SetDiskUse(shared.Device, "")
				}
			}
		}
		return c.Node.Remove(dir)
	})
	if !ok {
		return exitDie
	}
	return 0
}

// zap implements ceph-volume lvm zap for one device. It wipes the volumes on a disk before it wipes the disk itself
// with wipefs(8), which refuses a running OSD or a mounted file system. It removes the volume group only with
// --destroy.
func zap(c *Command, path string) int {
	fmt.Fprintf(c.Stderr, "--> Zapping: %s\n", path)
	d, err := c.device(path)
	if err != nil {
		return c.die(2, "ceph-volume lvm zap: error: Unable to proceed with non-existing device: %s", path)
	}
	busy, volume := "", ""
	for _, disk := range c.Node.Disks() {
		if disk.Mountpoint != "" && (disk.Name == d.Name || slices.Contains(d.Partitions, disk.Name)) {
			busy = "/dev/" + d.Name
		}
	}
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		if ceph == nil {
			return
		}
		for _, o := range ceph.OSDs {
			if o.Host != c.Node.Name() || o.Device != d.Name {
				continue
			}
			volume = "/dev/" + o.VG + "/" + o.LV
			if v.runs(o.Host, unit("osd", strconv.Itoa(o.ID)), 0) {
				busy = volume
			}
		}
	})
	if volume != "" {
		fmt.Fprintf(c.Stderr, "--> Zapping lvm member %s. lv_path is %s\n", path, volume)
	}
	if busy != "" {
		for range 8 {
			fmt.Fprintf(c.Stderr, "Running command: /usr/sbin/wipefs --all %s\n stderr: wipefs: error: %s: probing initialization failed: Device or resource busy\n"+
				"--> failed to wipefs device, will try again to workaround probable race condition\n", busy, busy)
		}
		return c.die(1, "-->  RuntimeError: could not complete wipefs on device: %s", busy)
	}
	if volume == "" || slices.Contains(c.Argv, "--destroy") {
		c.Node.SetDiskUse(d.Name, "")
	}
	fmt.Fprintf(c.Stderr, "--> Zapping successful for: <Raw Device: %s>\n", path)
	return 0
}

// cephVolume implements ceph-volume lvm list and lvm zap.
func cephVolume(c *Command) int {
	words := strings.Join(c.Argv[1:], " ")
	switch {
	case strings.HasPrefix(words, "lvm list"):
		value := object{}
		var text strings.Builder
		c.World.at(func(v *view) {
			ceph := v.cephOf(c.Node.Name())
			if ceph == nil {
				return
			}
			for _, o := range ceph.OSDs {
				if o.Host != c.Node.Name() {
					continue
				}
				path := "/dev/" + o.VG + "/" + o.LV
				lvUUID := uuid(o.UUID, 1)
				tags := obj("ceph.block_device", path, "ceph.block_uuid", lvUUID, "ceph.cephx_lockbox_secret", "", "ceph.cluster_fsid", ceph.FSID, "ceph.cluster_name", "ceph", "ceph.crush_device_class", o.Class,
					"ceph.encrypted", map[bool]string{false: "0", true: "1"}[o.Encrypted], "ceph.osd_fsid", o.UUID, "ceph.osd_id", strconv.Itoa(o.ID), "ceph.osdspec_affinity", "", "ceph.type", "block", "ceph.vdo", "0", "ceph.with_tpm", "0")
				var flat []string
				for _, m := range tags {
					flat = append(flat, fmt.Sprintf("%s=%v", m.key, m.value))
				}
				value = append(value, member{strconv.Itoa(o.ID), []object{obj("devices", []string{"/dev/" + o.Device}, "lv_name", o.LV, "lv_path", path, "lv_size", strconv.FormatInt(o.Size, 10), "lv_tags", strings.Join(flat, ","), "lv_uuid", lvUUID,
					"name", o.LV, "path", path, "tags", tags, "type", "block", "vg_name", o.VG)}})
				fmt.Fprintf(&text, "\n\n====== osd.%d =======\n\n  [block]       %s\n\n      block device              %s\n      cluster fsid              %s\n      osd fsid                  %s\n      osd id                    %d\n      type                      block\n      devices                   /dev/%s\n", o.ID, path, path, ceph.FSID, o.UUID, o.ID, o.Device)
			}
		})
		if strings.Contains(words, "--format json") || strings.Contains(words, "--format=json") {
			c.printf("%s", indent(value))
			return 0
		}
		if text.Len() == 0 {
			c.printf("No valid Ceph lvm devices found\n")
			return 1
		}
		c.printf("%s", text.String())
		return 0
	case strings.HasPrefix(words, "lvm zap"):
		for _, arg := range c.Argv[3:] {
			if strings.HasPrefix(arg, "/dev/") {
				if code := zap(c, arg); code != 0 {
					return code
				}
			}
		}
		return 0
	}
	return c.die(2, "usage: ceph-volume [-h] [--cluster CLUSTER] [--log-level {debug,info,warning,error,critical}] [--log-path LOG_PATH]\nceph-volume: error: unrecognized arguments: %s", words)
}
