package proxmox

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// enable prints the output of systemctl enable, which is worded differently in Debian 12.
func (c *Command) enable(out io.Writer, kind, id string) {
	name := unit(kind, id)
	c.Node.EnableUnit(name, true)
	if c.Node.Debian() == "bookworm" {
		fmt.Fprintf(out, "Created symlink /etc/systemd/system/ceph-%s.target.wants/%s → /lib/systemd/system/ceph-%s@.service.\n", kind, name, kind)
		return
	}
	fmt.Fprintf(out, "Created symlink '/etc/systemd/system/ceph-%s.target.wants/%s' -> '/usr/lib/systemd/system/ceph-%s@.service'.\n", kind, name, kind)
}

func (c *Command) disable(out io.Writer, kind, id string) {
	name := unit(kind, id)
	c.Node.EnableUnit(name, false)
	if c.Node.Debian() == "bookworm" {
		fmt.Fprintf(out, "Removed \"/etc/systemd/system/ceph-%s.target.wants/%s\".\n", kind, name)
		return
	}
	fmt.Fprintf(out, "Removed '/etc/systemd/system/ceph-%s.target.wants/%s'.\n", kind, name)
}

// monAddress returns the address of a new monitor: the node's address in the public network.
func (c *Command) monAddress(network, wanted string) (string, error) {
	var local []netip.Addr
	for _, p := range c.Node.Addresses() {
		local = append(local, p.Addr())
	}
	var public []netip.Prefix
	for _, text := range splitList(network) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return "", err
		}
		public = append(public, prefix.Masked())
	}
	if len(public) > 1 {
		fmt.Fprintf(c.Stderr, "Multiple Ceph public networks detected on %s: %s\nNetworks must be capable of routing to each other.\n", c.Node.Name(), network)
	}
	if wanted != "" {
		address, err := netip.ParseAddr(wanted)
		if err != nil || !slices.Contains(local, address) {
			return "", failed(exitDie, "Specified monitor IP '%s' not configured or up on %s!", wanted, c.Node.Name())
		}
		return wanted, nil
	}
	if network == "" {
		own, err := nodeAddress(c.Node)
		return own.String(), err
	}
	var found []string
	for _, address := range local {
		if public[0].Contains(address) {
			found = append(found, address.String())
		}
	}
	switch len(found) {
	case 0:
		return "", failed(exitDie, "No active IP found for the requested ceph public network '%s' on node '%s'", network, c.Node.Name())
	case 1:
		return found[0], nil
	}
	return "", failed(exitDie, "Multiple IPs for ceph public network '%s' detected on %s:\n%s\nuse 'mon-address' to specify one of them.", network, c.Node.Name(), strings.Join(found, "\n"))
}

const srvNotice = "unable to get monitor info from DNS SRV with service name: ceph-mon"

func monCreate(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mon"); err != nil {
		return c.report(err)
	}
	if err := c.link(); err != nil {
		return c.report(err)
	}
	id := a.or("monid", c.Node.Name())
	var conf *cephConf
	var quorate, firstMon bool
	var monIDs, addresses []string
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		quorate = v.quorate(c.Node.Name())
		conf = parseCephConf(db.Text(cephConfFile))
		for section := range conf.sections {
			if name, ok := strings.CutPrefix(section, "mon."); ok {
				monIDs = append(monIDs, name)
				addresses = append(addresses, conf.get(section, "public_addr"))
			}
		}
		firstMon = strings.TrimSpace(conf.get("global", "mon_host")) == "" && len(monIDs) == 0
	})
	if !quorate {
		return c.die(exitDie, "cluster not ready - no quorum?")
	}
	if firstMon {
		if c.staleMon() {
			return c.die(exitDie, srvNotice+"\nCould not connect to ceph cluster despite configured monitors")
		}
	} else if err := c.rados(radosTimeout); err != nil {
		return c.die(exitDie, "Could not connect to ceph cluster despite configured monitors")
	}
	address, err := c.monAddress(conf.get("global", "public_network"), a.get("mon-address"))
	if err != nil {
		return c.die(exitDie, "%s", err)
	}
	dir := "/var/lib/ceph/mon/ceph-" + id
	switch {
	case slices.Contains(addresses, address):
		return c.die(exitDie, "monitor address '%s' already in use", address)
	case slices.Contains(monIDs, id):
		return c.die(exitDie, "monitor '%s' already exists", id)
	case c.Node.Exists(dir):
		return c.die(exitDie, "monitor filesystem '%s' already exist", dir)
	}
	if firstMon {
		fmt.Fprintln(c.Stderr, srvNotice)
	}
	ok := c.task("cephcreatemon", "mon."+id, func(out io.Writer) error { return createMon(c, id, address, firstMon, out) })
	if !ok {
		return exitDie
	}
	return 0
}

// staleMon reports whether the node still has a monitor that the configuration does not mention.
func (c *Command) staleMon() bool {
	return c.Node.Exists("/var/lib/ceph/mon/ceph-" + c.Node.Name())
}

func createMon(c *Command, id, address string, firstMon bool, out io.Writer) error {
	if firstMon {
		fmt.Fprintln(out, "creating new monitor keyring")
		fmt.Fprintln(out, "creating /etc/pve/priv/ceph.mon.keyring")
		fmt.Fprintln(out, "importing contents of /etc/pve/priv/ceph.client.admin.keyring into /etc/pve/priv/ceph.mon.keyring")
	}
	var err error
	var text string
	version := upstream(c.Node.Version("ceph-mon"))
	c.World.at(func(v *view) {
		if !v.quorate(c.Node.Name()) {
			err = failed(exitDie, "cfs-lock 'file-ceph_conf' error: no quorum!")
			return
		}
		db := v.database(c.Node.Name())
		conf := parseCephConf(db.Text(cephConfFile))
		ceph := v.Ceph[db.ID]
		if ceph == nil {
			ceph = newCeph(conf.get("global", "fsid"), version, v.now)
			v.Ceph[db.ID] = ceph
			db.Write(monKeyring, []byte(keyring("mon.", newKey(v.now), `mon = "allow *"`)+db.Text(adminKeyring)), v.now)
			db.Write("ceph/ceph.client.crash.keyring", []byte(keyring("client.crash", newKey(v.now))), v.now)
		}
		before := *ceph
		epoch := ceph.MonEpoch
		ceph.Mons = append(ceph.Mons, Mon{Name: id, Host: c.Node.Name(), Address: address, Added: v.now})
		text = "monmaptool: monmap file /tmp/monmap\n"
		if firstMon {
			generated := uuid(ceph.FSID+"/monmap", v.next())
			created := stamp(v.now)
			text += fmt.Sprintf("monmaptool: generated fsid %s\nsetting min_mon_release = pacific\nepoch 0\nfsid %s\nlast_changed %s\ncreated %s\nmin_mon_release 16 (pacific)\nelection_strategy: 1\n0: %s mon.%s\n",
				generated, generated, created, created, addrvecText(address), id)
		} else {
			shown := before
			shown.Mons = ceph.Mons
			text += shown.monmapText(epoch)
		}
		text += fmt.Sprintf("monmaptool: writing epoch %d to /tmp/monmap (%d monitors)\n", epoch, len(ceph.Mons))
		ceph.MonEpoch++
		ceph.MonModified = v.now
		hosts := conf.get("global", "mon_host")
		conf.set("global", "mon_host", hosts+" "+address)
		// As createmon of PVE::API2::Ceph::MON does it: the other family is turned off by the first monitor only.
		own, other := "ms_bind_ipv4", "ms_bind_ipv6"
		if strings.Contains(address, ":") {
			own, other = other, own
		}
		conf.set("global", own, "true")
		if firstMon {
			conf.set("global", other, "false")
		}
		conf.set("mon."+id, "public_addr", address)
		db.Write(cephConfFile, []byte(conf.String()), v.now)
	})
	if err != nil {
		return err
	}
	fmt.Fprint(out, text)
	dir := "/var/lib/ceph/mon/ceph-" + id
	if err := c.Node.WriteFile(dir+"/keyring", []byte(keyring("mon.", newKey(c.World.clock.Now()))), 0o600); err != nil {
		return err
	}
	_ = c.Node.WriteFile(dir+"/kv_backend", []byte("rocksdb"), 0o600)
	_ = c.Node.WriteFile(dir+"/done", nil, 0o600)
	if err := c.Node.StartUnit(unit("mon", id)); err != nil {
		return err
	}
	if err := c.sleep(2 * time.Second); err != nil {
		return err
	}
	if firstMon {
		fmt.Fprintln(out, "created the first monitor, assume it's safe to disable insecure global ID reclaim for new setup")
		fmt.Fprintln(out, "Configuring keyring for ceph-crash.service")
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			v.Ceph[db.ID].setConfig("mon", "auth_allow_insecure_global_id_reclaim", "false")
			conf := parseCephConf(db.Text(cephConfFile))
			conf.set("client.crash", "keyring", "/etc/pve/ceph/$cluster.$name.keyring")
			db.Write(cephConfFile, []byte(conf.String()), v.now)
		})
	}
	c.enable(out, "mon", id)
	if firstMon {
		return createMgr(c, id, out)
	}
	return nil
}

func monDestroy(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mon"); err != nil {
		return c.report(err)
	}
	id := a.get("monid")
	dir := "/var/lib/ceph/mon/ceph-" + id
	if !c.Node.Exists(dir) {
		return c.die(exitENOENT, "monitor filesystem '%s' does not exist on this node", dir)
	}
	if err := c.rados(radosTimeout); err != nil {
		return c.report(err)
	}
	var err error
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		switch {
		case !slices.ContainsFunc(ceph.Mons, func(m Mon) bool { return m.Name == id }):
			err = fmt.Errorf("no such monitor id '%s'", id)
		case len(ceph.Mons) == 1:
			err = errors.New("can't remove last monitor")
		}
	})
	if err != nil {
		return c.report(err)
	}
	ok := c.task("cephdestroymon", "mon."+id, func(out io.Writer) error {
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			ceph := v.Ceph[db.ID]
			i := slices.IndexFunc(ceph.Mons, func(m Mon) bool { return m.Name == id })
			address := ceph.Mons[i].Address
			ceph.Mons = slices.Delete(ceph.Mons, i, i+1)
			ceph.MonEpoch++
			ceph.MonModified = v.now
			ceph.InQuorum = slices.DeleteFunc(slices.Clone(ceph.InQuorum), func(n string) bool { return n == id })
			conf := parseCephConf(db.Text(cephConfFile))
			delete(conf.sections, "mon."+id)
			hosts := slices.DeleteFunc(strings.Fields(conf.get("global", "mon_host")), func(h string) bool { return h == address })
			conf.set("global", "mon_host", strings.Join(hosts, " "))
			db.Write(cephConfFile, []byte(conf.String()), v.now)
		})
		c.Node.StopUnit(unit("mon", id))
		c.disable(out, "mon", id)
		return c.Node.Remove(dir)
	})
	if !ok {
		return exitDie
	}
	return 0
}

func mgrCreate(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mgr"); err != nil {
		return c.report(err)
	}
	id := a.or("id", c.Node.Name())
	ok := c.task("cephcreatemgr", "mgr."+id, func(out io.Writer) error {
		if c.Node.Exists("/var/lib/ceph/mgr/ceph-" + id) {
			return fmt.Errorf("ceph manager directory '/var/lib/ceph/mgr/ceph-%s' already exists", id)
		}
		if err := c.rados(taskTimeout); err != nil {
			if errors.Is(err, errRados) {
				fmt.Fprintln(out, srvNotice)
			}
			return err
		}
		return createMgr(c, id, out)
	})
	if !ok {
		return exitDie
	}
	return 0
}

func createMgr(c *Command, id string, out io.Writer) error {
	dir := "/var/lib/ceph/mgr/ceph-" + id
	if c.Node.Exists(dir) {
		return fmt.Errorf("ceph manager directory '%s' already exists", dir)
	}
	fmt.Fprintf(out, "creating manager directory '%s'\n", dir)
	fmt.Fprintf(out, "creating keys for 'mgr.%s'\n", id)
	key := newKey(c.World.clock.Now())
	if err := c.Node.WriteFile(dir+"/keyring", []byte(keyring("mgr."+id, key)), 0o600); err != nil {
		return err
	}
	fmt.Fprintln(out, "setting owner for directory")
	fmt.Fprintf(out, "enabling service '%s'\n", unit("mgr", id))
	c.enable(out, "mgr", id)
	fmt.Fprintf(out, "starting service '%s'\n", unit("mgr", id))
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		ceph.Auth["mgr."+id] = key
		ceph.Mgrs = append(ceph.Mgrs, Daemon{Name: id, Host: c.Node.Name()})
	})
	if err := c.Node.StartUnit(unit("mgr", id)); err != nil {
		return err
	}
	return c.sleep(time.Second)
}

func mgrDestroy(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mgr"); err != nil {
		return c.report(err)
	}
	id := a.get("id")
	dir := "/var/lib/ceph/mgr/ceph-" + id
	if !c.Node.Exists(dir) {
		return c.die(exitDie, "ceph manager directory '%s' not found", dir)
	}
	ok := c.task("cephdestroymgr", "mgr."+id, func(out io.Writer) error {
		fmt.Fprintf(out, "disabling service '%s'\n", unit("mgr", id))
		c.disable(out, "mgr", id)
		fmt.Fprintf(out, "stopping service '%s'\n", unit("mgr", id))
		c.Node.StopUnit(unit("mgr", id))
		fmt.Fprintf(out, "removing manager directory '%s'\n", dir)
		if err := c.Node.Remove(dir); err != nil {
			return err
		}
		fmt.Fprintf(out, "removing authkeys for mgr.%s\n", id)
		c.World.at(func(v *view) {
			if ceph := v.cephOf(c.Node.Name()); ceph != nil {
				ceph.Mgrs = slices.DeleteFunc(ceph.Mgrs, func(d Daemon) bool { return d.Name == id })
				delete(ceph.Auth, "mgr."+id)
			}
		})
		return nil
	})
	if !ok {
		return exitDie
	}
	return 0
}

func mdsCreate(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mds"); err != nil {
		return c.report(err)
	}
	id := a.or("name", c.Node.Name())
	if id[0] >= '0' && id[0] <= '9' {
		return c.die(exitDie, "ID of the MDS cannot start with a number!")
	}
	var known bool
	c.World.at(func(v *view) {
		conf := parseCephConf(v.database(c.Node.Name()).Text(cephConfFile))
		known = conf.sections["mds."+id] != nil
	})
	if known {
		return c.die(exitDie, "MDS '%s' already referenced in ceph config, abort!", id)
	}
	ok := c.task("cephcreatemds", "mds."+id, func(out io.Writer) error { return createMDS(c, id, out) })
	if !ok {
		return exitDie
	}
	return 0
}

func createMDS(c *Command, id string, out io.Writer) error {
	if err := c.rados(taskTimeout); err != nil {
		return err
	}
	dir := "/var/lib/ceph/mds/ceph-" + id
	if c.Node.Exists(dir) {
		return fmt.Errorf("ceph MDS directory '%s' already exists", dir)
	}
	key := newKey(c.World.clock.Now())
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		conf := parseCephConf(db.Text(cephConfFile))
		conf.set("mds", "keyring", "/var/lib/ceph/mds/ceph-$id/keyring")
		conf.set("mds."+id, "host", c.Node.Name())
		if c.Node.Debian() == "bookworm" {
			conf.set("mds."+id, "mds_standby_for_name", "pve")
		}
		db.Write(cephConfFile, []byte(conf.String()), v.now)
	})
	fmt.Fprintf(out, "creating MDS directory '%s'\ncreating keys for 'mds.%s'\n", dir, id)
	if err := c.Node.WriteFile(dir+"/keyring", []byte(keyring("mds."+id, key)), 0o600); err != nil {
		return err
	}
	fmt.Fprintln(out, "setting ceph as owner for service directory")
	fmt.Fprintf(out, "enabling service '%s'\n", unit("mds", id))
	c.enable(out, "mds", id)
	fmt.Fprintf(out, "starting service '%s'\n", unit("mds", id))
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		ceph.Auth["mds."+id] = key
		ceph.MDSs = append(ceph.MDSs, Daemon{Name: id, Host: c.Node.Name()})
	})
	if err := c.Node.StartUnit(unit("mds", id)); err != nil {
		return err
	}
	return c.sleep(time.Second)
}

func mdsDestroy(c *Command, a arguments) int {
	if err := c.ready("/usr/bin/ceph-mds"); err != nil {
		return c.report(err)
	}
	id := a.get("name")
	ok := c.task("cephdestroymds", "mds."+id, func(out io.Writer) error {
		fmt.Fprintf(out, "disabling service '%s'\n", unit("mds", id))
		c.disable(out, "mds", id)
		fmt.Fprintf(out, "stopping service '%s'\n", unit("mds", id))
		c.Node.StopUnit(unit("mds", id))
		dir := "/var/lib/ceph/mds/ceph-" + id
		if !c.Node.Exists(dir) {
			fmt.Fprintf(out, "cannot cleanup MDS %s directory, '%s' not found\n", id, dir)
		}
		if err := c.Node.Remove(dir); err != nil {
			return err
		}
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			conf := parseCephConf(db.Text(cephConfFile))
			delete(conf.sections, "mds."+id)
			db.Write(cephConfFile, []byte(conf.String()), v.now)
			if ceph := v.Ceph[db.ID]; ceph != nil {
				ceph.MDSs = slices.DeleteFunc(ceph.MDSs, func(d Daemon) bool { return d.Name == id })
			}
		})
		return nil
	})
	if !ok {
		return exitDie
	}
	return 0
}
