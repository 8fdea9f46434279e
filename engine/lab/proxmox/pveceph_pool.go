package proxmox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cephReady performs the checks of the pool and file system commands, including that of the monitors.
func (c *Command) cephReady() error {
	if err := c.ready(); err != nil {
		return err
	}
	var err error
	c.World.at(func(v *view) {
		if !v.database(c.Node.Name()).Has(adminKeyring) {
			err = failed(exitENOENT, "ceph not fully configured - missing '/etc/pve/priv/ceph.client.admin.keyring'")
		}
	})
	return err
}

// poolOptions returns the pool options on a command line, under Ceph's names.
func poolOptions(a arguments) map[string]string {
	options := map[string]string{}
	for _, key := range []string{"size", "min_size", "pg_num", "pg_num_min", "crush_rule", "application", "pg_autoscale_mode", "target_size", "target_size_ratio"} {
		if a.has(key) {
			options[key] = a.get(key)
		}
	}
	return options
}

// applyPool sets options as PVE does: first the size, then the others by name, skipping those that already have the
// value.
func (c *Command) applyPool(name string, options map[string]string, out io.Writer) error {
	keys := sortedKeys(options)
	if i := slices.Index(keys, "size"); i > 0 {
		keys = append([]string{"size"}, slices.Delete(keys, i, i+1)...)
	}
	var failedKeys []string
	for _, key := range keys {
		var r reply
		var skip bool
		c.World.at(func(v *view) {
			ceph := v.cephOf(c.Node.Name())
			p := ceph.pool(name)
			if p == nil {
				r = refuse(eNOENT, "unrecognized pool '%s'", name)
				return
			}
			if key == "application" {
				fmt.Fprintf(out, "pool %s: applying application = %s\n", name, options[key])
				r = poolApplication(true)(v, ceph, []string{name, options[key]})
				return
			}
			cephKey, value := key, options[key]
			if key == "target_size" {
				cephKey = "target_size_bytes"
			}
			for _, m := range ceph.poolKeys(p) {
				if m.key == cephKey && fmt.Sprint(m.value) == value {
					skip = true
				}
			}
			if skip {
				fmt.Fprintf(out, "skipping '%s', did not change\n", key)
				return
			}
			fmt.Fprintf(out, "pool %s: applying %s = %s\n", name, key, value)
			r = ceph.setPool(v, p, cephKey, value, false)
		})
		if r.errno != 0 {
			fmt.Fprintf(out, "%s\n", strings.TrimSpace(r.err))
			failedKeys = append(failedKeys, key)
		}
		if r.changed {
			if err := c.sleep(time.Second); err != nil {
				return err
			}
		}
	}
	if len(failedKeys) > 0 {
		return failed(exitDie, "Could not set: %s", strings.Join(failedKeys, ", "))
	}
	return nil
}

// makePool creates a pool or, as Ceph does, leaves an existing one alone.
func (c *Command) makePool(name, pgs, rule string) error {
	var r reply
	c.World.at(func(v *view) {
		args := []string{name, pgs, pgs}
		if rule != "" {
			args = append(args, "replicated", rule)
		}
		r = poolCreate(v, v.cephOf(c.Node.Name()), args)
	})
	if r.errno != 0 {
		return fmt.Errorf("error with 'osd pool create': mon_cmd failed - %s", strings.TrimSpace(r.err))
	}
	return nil
}

func pvePoolCreate(c *Command, a arguments) int {
	if err := c.cephReady(); err != nil {
		return c.report(err)
	}
	if a.has("erasure-coding") {
		return c.die(exitDie, "could not create erasure code profile 'pve_ec_%s': the lab has no erasure-coded pools", a.get("name"))
	}
	name := a.get("name")
	c.task("cephcreatepool", name, func(out io.Writer) error {
		if err := c.rados(taskTimeout); err != nil {
			return err
		}
		options := poolOptions(a)
		for key, value := range map[string]string{"size": "3", "min_size": "2", "pg_num": "128", "application": "rbd", "pg_autoscale_mode": "warn"} {
			if options[key] == "" {
				options[key] = value
			}
		}
		if err := c.makePool(name, options["pg_num"], options["crush_rule"]); err != nil {
			return err
		}
		if err := c.applyPool(name, options, out); err != nil {
			return err
		}
		if !a.bool("add_storages") {
			return nil
		}
		var err error
		c.World.at(func(v *view) {
			err = v.addStorage(v.database(c.Node.Name()), Section{Type: "rbd", ID: name, Keys: map[string]string{"pool": name, "content": "images,rootdir", "krbd": "0"}})
		})
		if err != nil {
			return fmt.Errorf("adding PVE storage for ceph pool '%s' failed: create storage failed: %w", name, err)
		}
		return nil
	})
	return 0
}

func pvePoolSet(c *Command, a arguments) int {
	if err := c.cephReady(); err != nil {
		return c.report(err)
	}
	name := a.get("name")
	c.task("cephsetpool", name, func(out io.Writer) error {
		if err := c.rados(taskTimeout); err != nil {
			return err
		}
		if err := c.knownPool(name); err != nil {
			return err
		}
		return c.applyPool(name, poolOptions(a), out)
	})
	return 0
}

func (c *Command) knownPool(name string) (err error) {
	c.World.at(func(v *view) {
		if v.cephOf(c.Node.Name()).pool(name) == nil {
			err = fmt.Errorf("error with 'osd pool get': mon_cmd failed - unrecognized pool '%s'", name)
		}
	})
	return err
}

func pveFSCreate(c *Command, a arguments) int {
	if err := c.cephReady(); err != nil {
		return c.report(err)
	}
	if err := c.rados(radosTimeout); err != nil {
		return c.report(err)
	}
	name := a.or("name", "cephfs")
	data, meta := name+"_data", name+"_metadata"
	var err error
	c.World.at(func(v *view) {
		ceph := v.cephOf(c.Node.Name())
		running := len(v.standbyMDSs(ceph))
		for _, f := range ceph.FileSystems {
			running += number(f.Active != "")
		}
		switch {
		case ceph.pool(data) != nil || ceph.pool(meta) != nil:
			err = fmt.Errorf("ceph pools '%s' and/or '%s' already exist", data, meta)
		case ceph.fileSystem(name) != nil:
			err = fmt.Errorf("ceph fs '%s' already exists", name)
		case running == 0:
			err = failed(exitDie, "no running Metadata Server (MDS) found!")
		case len(v.standbyMDSs(ceph)) == 0:
			err = failed(exitDie, "no standby Metadata Server (MDS) found!")
		case a.bool("add-storage") && section(v.database(c.Node.Name()).storages(), name) >= 0:
			err = fmt.Errorf("storage ID '%s' already defined", name)
		}
	})
	if err != nil {
		return c.report(err)
	}
	c.task("cephfscreate", name, func(out io.Writer) error { return createFS(c, name, a, out) })
	return 0
}

func createFS(c *Command, name string, a arguments, out io.Writer) error {
	pgs := a.int("pg_num", 128)
	data, meta := name+"_data", name+"_metadata"
	make1 := func(what, pool string, pgs int) error {
		fmt.Fprintf(out, "creating %s pool '%s'...\n", what, pool)
		if err := c.makePool(pool, strconv.Itoa(pgs), ""); err != nil {
			return err
		}
		return c.applyPool(pool, map[string]string{"application": "cephfs", "pg_num": strconv.Itoa(pgs)}, out)
	}
	err := make1("data", data, pgs)
	if err == nil {
		err = make1("metadata", meta, max(8, pgs/4))
	}
	if err != nil {
		fmt.Fprintln(out, "Encountered error after creating at least one pool")
		c.World.at(func(v *view) {
			ceph := v.cephOf(c.Node.Name())
			for _, pool := range []string{data, meta} {
				if p := ceph.pool(pool); p != nil {
					fmt.Fprintf(out, "cleaning up left over pool '%s'\n", pool)
					ceph.Pools = slices.DeleteFunc(ceph.Pools, func(other *Pool) bool { return other == p })
					ceph.mapChanged(v.now)
				}
			}
		})
		return err
	}
	fmt.Fprintf(out, "configuring new CephFS '%s'\n", name)
	var r reply
	c.World.at(func(v *view) { r = fsNew(v, v.cephOf(c.Node.Name()), []string{name, meta, data}) })
	if r.errno != 0 {
		return fmt.Errorf("error with 'fs new': mon_cmd failed - %s", r.err)
	}
	fmt.Fprintf(out, "Successfully create CephFS '%s'\n", name)
	if !a.bool("add-storage") {
		return nil
	}
	fmt.Fprintf(out, "Adding '%s' to storage configuration...\n", name)
	for try := 0; ; try++ {
		var active bool
		c.World.at(func(v *view) { active = v.cephOf(c.Node.Name()).fileSystem(name).Active != "" })
		if active {
			break
		}
		if try == 10 {
			return failed(exitDie, "Need MDS to add storage, but none got active!")
		}
		fmt.Fprintln(out, "Waiting for an MDS to become active")
		if err := c.sleep(time.Second); err != nil {
			return err
		}
	}
	c.World.at(func(v *view) {
		err = v.addStorage(v.database(c.Node.Name()), Section{Type: "cephfs", ID: name, Keys: map[string]string{"content": "backup,iso,vztmpl", "fs-name": name}})
	})
	if err != nil {
		return fmt.Errorf("adding storage for CephFS '%s' failed, check log and add manually! create storage failed: %w", name, err)
	}
	return nil
}
