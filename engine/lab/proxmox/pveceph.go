package proxmox

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// The program pveceph.

const (
	cephConfFile = "ceph.conf"
	adminKeyring = "priv/ceph.client.admin.keyring"
	monKeyring   = "priv/ceph.mon.keyring"
	cephLink     = "/etc/ceph/ceph.conf"
)

func cidr(value string) string {
	if _, err := netip.ParsePrefix(value); err != nil {
		return "invalid format - value does not look like a valid CIDR network\n"
	}
	return ""
}

func pvecephCommands() []perlCommand {
	pool := map[string]check{"size": integer(1, 7), "min_size": integer(1, 7), "pg_num": integer(1, 32768), "pg_num_min": integer(0, 32768), "crush_rule": anyText,
		"application": oneOf("rbd", "cephfs", "rgw"), "pg_autoscale_mode": oneOf("on", "off", "warn"), "target_size": anyText, "target_size_ratio": anyText}
	poolCreateOptions := map[string]check{"add_storages": boolean, "erasure-coding": anyText}
	for name, chk := range pool {
		poolCreateOptions[name] = chk
	}
	poolName := map[string]check{"name": matching(`^[^:/\s]+$`)}
	id := matching(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	service := map[string]check{"service": matching(`^(ceph|mon|mds|osd|mgr)(\..+)?$`)}
	return []perlCommand{
		{name: "init", usage: "[OPTIONS]", options: map[string]check{"network": cidr, "cluster-network": cidr, "size": integer(1, 7), "min_size": integer(1, 7), "pg_bits": integer(6, 14), "disable_cephx": boolean}, run: pvecephInit},
		{name: "mon create", usage: "[OPTIONS]", options: map[string]check{"monid": id, "mon-address": anyText}, run: monCreate},
		{name: "mon destroy", args: []string{"monid"}, usage: "<monid>", run: monDestroy},
		{name: "mgr create", usage: "[OPTIONS]", options: map[string]check{"id": id}, run: mgrCreate},
		{name: "mgr destroy", args: []string{"id"}, usage: "<id>", run: mgrDestroy},
		{name: "mds create", usage: "[OPTIONS]", options: map[string]check{"name": id, "hotstandby": boolean}, run: mdsCreate},
		{name: "mds destroy", args: []string{"name"}, usage: "<name>", run: mdsDestroy},
		{name: "osd create", args: []string{"dev"}, usage: "<dev> [OPTIONS]", options: map[string]check{"db_dev": anyText, "db_dev_size": anyText, "wal_dev": anyText, "wal_dev_size": anyText, "encrypted": boolean, "crush-device-class": anyText, "osds-per-device": integer(1, 0)}, run: osdCreate},
		{name: "osd destroy", args: []string{"osdid"}, usage: "<osdid> [OPTIONS]", options: map[string]check{"cleanup": boolean}, checks: map[string]check{"osdid": integer(0, 0)}, run: osdRemove},
		{name: "pool create", args: []string{"name"}, usage: "<name> [OPTIONS]", options: poolCreateOptions, checks: poolName, run: pvePoolCreate},
		{name: "pool set", args: []string{"name"}, usage: "<name> [OPTIONS]", options: pool, checks: poolName, run: pvePoolSet},
		{name: "fs create", usage: "[OPTIONS]", options: map[string]check{"name": anyText, "pg_num": integer(8, 32768), "add-storage": boolean}, run: pveFSCreate},
		{name: "start", usage: "[OPTIONS]", options: service, run: cephService(true)},
		{name: "stop", usage: "[OPTIONS]", options: service, run: cephService(false)},
	}
}

// binary returns an error unless Ceph's packages are installed, and not just being installed.
func (c *Command) binary(path string) error {
	if !c.Node.Exists(path) || c.Node.Exists("/run/pve-ceph-install-flag") {
		return failed(exitENOENT, "binary not installed: %s", path)
	}
	return nil
}

// inited implements PVE's own check that Ceph has been initialized.
func (db *Database) inited() error {
	var missing []string
	if !db.Has(cephConfFile) {
		missing = append(missing, "missing '/etc/pve/ceph.conf'")
	}
	if e := db.Files["ceph"]; e == nil || !e.Dir {
		missing = append(missing, "missing '/etc/pve/ceph'")
	}
	if len(missing) > 0 {
		return failed(exitENOENT, "pveceph configuration not initialized - %s", strings.Join(missing, ", "))
	}
	return nil
}

// ready performs the checks that most commands begin with.
func (c *Command) ready(binaries ...string) error {
	for _, path := range binaries {
		if err := c.binary(path); err != nil {
			return err
		}
	}
	var err error
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if db == nil {
			err = failed(111, "ipcc_send_rec[1] failed: Connection refused")
			return
		}
		err = db.inited()
	})
	return err
}

// link creates the link from /etc/ceph/ceph.conf into /etc/pve.
func (c *Command) link() error {
	target, err := c.Node.Readlink(cephLink)
	switch {
	case err == nil && target == "/etc/pve/ceph.conf":
		return nil
	case c.Node.Exists(cephLink):
		return failed(exitDie, "file '/etc/ceph/ceph.conf' already exists and is not a symlink to /etc/pve/ceph.conf")
	}
	if err := c.Node.MkdirAll("/etc/ceph", 0o755); err != nil {
		return err
	}
	return c.Node.Symlink("/etc/pve/ceph.conf", cephLink)
}

func keyring(entity, key string, caps ...string) string {
	text := fmt.Sprintf("[%s]\n\tkey = %s\n", entity, key)
	for _, c := range caps {
		text += "\tcaps " + c + "\n"
	}
	return text
}

func pvecephInit(c *Command, a arguments) int {
	if a.has("cluster-network") && !a.has("network") {
		return c.die(exitENOENT, "400 Parameter verification failed.\nnetwork: missing property required by 'cluster-network'\npveceph init  [OPTIONS]")
	}
	if c.binary("/usr/bin/ceph-mon") != nil {
		return c.die(exitENOENT, "Ceph Nautilus required - please run 'pveceph install'")
	}
	var key string
	code := c.change(func(v *view, db *Database) error {
		db.MakeDir("ceph", v.now)
		conf := parseCephConf(db.Text(cephConfFile))
		if len(conf.sections["global"]) == 0 {
			auth := "cephx"
			if a.bool("disable_cephx") {
				auth = "none"
			}
			for key, value := range map[string]string{"fsid": uuid(db.ID+"/fsid", v.next()), "auth_supported": "", "auth_cluster_required": auth, "auth_service_required": auth, "auth_client_required": auth,
				"osd_pool_default_size": a.or("size", "3"), "osd_pool_default_min_size": a.or("min_size", "2"), "mon_allow_pool_delete": "true"} {
				if value != "" {
					conf.set("global", key, value)
				}
			}
		}
		conf.set("client", "keyring", "/etc/pve/priv/$cluster.$name.keyring")
		if a.has("network") {
			conf.set("global", "public_network", a.get("network"))
			conf.set("global", "cluster_network", a.get("network"))
		}
		if a.has("cluster-network") {
			conf.set("global", "cluster_network", a.get("cluster-network"))
		}
		db.Write(cephConfFile, []byte(conf.String()), v.now)
		if !db.Has(adminKeyring) && conf.get("global", "auth_client_required") == "cephx" {
			key = keyring("client.admin", newKey(v.now), `mds = "allow *"`, `mgr = "allow *"`, `mon = "allow *"`, `osd = "allow *"`)
			db.Write(adminKeyring, []byte(key), v.now)
		}
		return nil
	})
	if code != 0 {
		return code
	}
	if key != "" {
		c.printf("creating /etc/pve/priv/ceph.client.admin.keyring\n")
		if err := c.Node.WriteFile("/etc/ceph/ceph.client.admin.keyring", []byte(key), 0o600); err != nil {
			return c.report(err)
		}
	}
	return c.report(c.link())
}

// errRados is the error of the RADOS binding if no monitor responds.
var errRados = errors.New("rados_connect failed - [errno 2] RADOS object not found (error connecting to the cluster)")

// rados waits for the monitors with a timeout, as PVE::RADOS does, and prints an error if they do not respond.
func (c *Command) rados(timeout time.Duration) error {
	start := c.slept
	for {
		var err error
		var wait time.Duration
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			ceph := v.cephOf(c.Node.Name())
			switch {
			case db == nil || ceph == nil || len(ceph.Mons) == 0:
				err = errRados
			case v.electing(ceph) > 0:
				wait = v.electing(ceph)
			case !v.monQuorum(ceph):
				wait = time.Second
			}
		})
		if err != nil {
			return err
		}
		if wait == 0 {
			return nil
		}
		if c.slept+wait-start > timeout {
			return errors.New("got timeout")
		}
		if err := c.sleep(wait); err != nil {
			return err
		}
	}
}

const (
	radosTimeout = 5 * time.Second
	taskTimeout  = time.Minute
)

func cephService(start bool) func(*Command, arguments) int {
	return func(c *Command, a arguments) int {
		if err := c.ready(); err != nil {
			return c.report(err)
		}
		kind, id, one := strings.Cut(a.or("service", "ceph"), ".")
		var units []string
		c.World.at(func(v *view) {
			if ceph := v.cephOf(c.Node.Name()); ceph != nil {
				units = ceph.unitsOn(c.Node.Name())
			}
		})
		verb := "srvstop"
		if start {
			verb = "srvstart"
		}
		ok := c.task(verb, a.or("service", "ceph"), func(io.Writer) error {
			for _, u := range units {
				if one && u != unit(kind, id) || !one && kind != "ceph" && !strings.HasPrefix(u, "ceph-"+kind+"@") {
					continue
				}
				if !start {
					c.Node.StopUnit(u)
				} else if err := c.Node.StartUnit(u); err != nil {
					return err
				}
			}
			return nil
		})
		if !ok {
			return exitDie
		}
		return 0
	}
}

// unitsOn returns the units of a cluster's daemons on a node.
func (c *Ceph) unitsOn(node string) []string {
	var units []string
	for _, m := range c.Mons {
		if m.Host == node {
			units = append(units, unit("mon", m.Name))
		}
	}
	for _, d := range c.Mgrs {
		if d.Host == node {
			units = append(units, unit("mgr", d.Name))
		}
	}
	for _, d := range c.MDSs {
		if d.Host == node {
			units = append(units, unit("mds", d.Name))
		}
	}
	for _, o := range c.OSDs {
		if o.Host == node {
			units = append(units, unit("osd", fmt.Sprint(o.ID)))
		}
	}
	return units
}
