package proxmox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// The program pvesm: storages of the cluster.

const storageFile = "storage.cfg"

// defaultContent is the content of the built-in storage "local" if storage.cfg does not mention it.
const defaultContent = "backup,images,iso,rootdir,snippets,vztmpl"

// What `pvesm status` reports about the root disk of a rehearsal node, in KiB.
const (
	localTotal = 264212084
	localUsed  = 21682052
	localFree  = 73819212
)

var storageFixed = map[string][]string{"dir": {"path"}, "cephfs": {"path"}, "btrfs": {"path"}, "pbs": {"server", "datastore"}}

func pvesmCommands() []perlCommand {
	options := map[string]check{"content": anyText, "nodes": anyText, "disable": boolean, "shared": boolean, "path": anyText, "pool": anyText,
		"data-pool": anyText, "namespace": anyText, "monhost": anyText, "username": anyText, "krbd": boolean, "keyring": anyText, "bwlimit": anyText,
		"subdir": anyText, "fs-name": anyText, "fuse": boolean, "options": anyText, "mkdir": boolean, "create-base-path": boolean, "create-subdirs": boolean,
		"format": anyText, "preallocation": anyText, "prune-backups": anyText, "max-protected-backups": anyText, "content-dirs": anyText, "is_mountpoint": anyText,
		"server": anyText, "export": anyText, "share": anyText, "datastore": anyText, "fingerprint": anyText, "port": integer(1, 65535), "password": anyText, "vgname": anyText, "thinpool": anyText,
		"sparse": boolean, "saferemove": boolean, "nocow": boolean, "blocksize": anyText, "mountpoint": anyText}
	set := map[string]check{"delete": anyText, "digest": anyText}
	for name, chk := range options {
		set[name] = chk
	}
	kinds := oneOf("btrfs", "cephfs", "cifs", "dir", "esxi", "iscsi", "iscsidirect", "lvm", "lvmthin", "nfs", "pbs", "rbd", "zfs", "zfspool")
	return []perlCommand{
		{name: "add", args: []string{"type", "storage"}, usage: "<type> <storage> [OPTIONS]", options: options, checks: map[string]check{"type": kinds}, run: storageAdd},
		{name: "set", args: []string{"storage"}, usage: "<storage> [OPTIONS]", options: set, run: storageSet},
		{name: "status", usage: "[OPTIONS]", options: map[string]check{"storage": anyText, "content": anyText, "enabled": boolean, "target": anyText, "format": boolean}, run: storageStatus},
		{name: "list", args: []string{"storage"}, usage: "<storage> [OPTIONS]", options: map[string]check{"vmid": integer(100, 999999999), "content": oneOf("backup")}, run: storageList},
		{name: "extractconfig", args: []string{"volume"}, usage: "<volume>", run: storageExtractConfig},
	}
}

// storages returns all storages of a cluster, which always include "local".
func (db *Database) storages() []Section {
	all := ParseSections(db.Text(storageFile))
	if section(all, "local") < 0 {
		all = append([]Section{{Type: "dir", ID: "local", Keys: map[string]string{"path": "/var/lib/vz", "content": defaultContent, "prune-backups": "keep-all=1"}}}, all...)
	}
	return all
}

func (v *view) writeStorages(db *Database, all []Section) {
	db.Write(storageFile, []byte(FormatSections(all, "path", "server", "datastore")), v.now)
}

var storageID = pattern.New(`^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$`)

// addStorage adds a storage, along with the keyring if it is on the cluster's own Ceph.
func (v *view) addStorage(db *Database, s Section) error {
	all := ParseSections(db.Text(storageFile))
	if section(db.storages(), s.ID) >= 0 && (s.ID != "local" || section(all, s.ID) >= 0) {
		return fmt.Errorf("storage ID '%s' already defined", s.ID)
	}
	switch s.Type {
	case "dir":
		if s.Keys["path"] == "" {
			return errors.New("missing value for required option 'path'")
		}
		setDefault(s.Keys, "content", "images,rootdir")
	case "pbs":
		setDefault(s.Keys, "content", "backup")
		if _, off := s.Keys["disable"]; off { // it is not activated
			break
		}
		// Backup servers are not simulated, so activating such a storage fails.
		return fmt.Errorf("%s: error fetching datastores - 500 Can't connect to %s:%s (Connection refused)", s.ID, s.Keys["server"], or(s.Keys["port"], "8007"))
	case "rbd":
		setDefault(s.Keys, "content", "images")
		setDefault(s.Keys, "pool", "rbd")
	case "cephfs":
		setDefault(s.Keys, "content", "backup")
		setDefault(s.Keys, "path", "/mnt/pve/"+s.ID)
		if slices.Contains(splitList(s.Keys["content"]), "images") {
			return errors.New("storage does not support content type 'images'")
		}
	}
	if s.Keys["monhost"] == "" && (s.Type == "rbd" || s.Type == "cephfs") {
		file := map[string]string{"rbd": ".keyring", "cephfs": ".secret"}[s.Type]
		file = "priv/ceph/" + s.ID + file
		if db.Has(file) {
			return failed(exitDie, "ceph authx keyring file for storage '%s' already exists!", s.ID)
		}
		key, ok := db.Read(adminKeyring)
		if !ok {
			return errors.New("rados_conf_read_file failed - No such file or directory")
		}
		if s.Type == "cephfs" {
			key = []byte(keyOf(string(key)) + "\n")
		}
		db.Write(file, key, v.now)
	}
	v.writeStorages(db, append(all, s))
	return nil
}

func setDefault(keys map[string]string, key, value string) {
	if keys[key] == "" {
		keys[key] = value
	}
}

func storageAdd(c *Command, a arguments) int {
	if !storageID.MatchString(a.get("storage")) {
		return c.die(exitDie, "400 Parameter verification failed.\nstorage: invalid format - storage ID '%s' contains illegal characters\n\npvesm add <type> <storage> [OPTIONS]", a.get("storage"))
	}
	code := c.locked("storage_cfg", "create storage", func(v *view, db *Database) error {
		s := Section{Type: a.get("type"), ID: a.get("storage"), Keys: map[string]string{}}
		for key, value := range a.values {
			if key != "type" && key != "storage" && key != "keyring" && key != "password" {
				setStorage(s.Keys, key, value)
			}
		}
		if err := v.addStorage(db, s); err != nil {
			return fmt.Errorf("create storage failed: %w", err)
		}
		return nil
	})
	if code == 0 {
		if path := a.get("path"); path != "" || a.get("type") == "cephfs" {
			_ = c.Node.MkdirAll(or(path, "/mnt/pve/"+a.get("storage")), 0o755) // activation reports an unusable path
		}
	}
	return code
}

// setStorage stores a value as in storage.cfg: booleans as 1 and 0, and disable only if it is set.
func setStorage(keys map[string]string, key, value string) {
	switch key {
	case "disable":
		delete(keys, key)
		if truth(value) {
			keys[key] = ""
		}
	case "shared", "krbd", "fuse", "mkdir", "create-base-path", "create-subdirs", "sparse", "saferemove", "nocow":
		keys[key] = fmt.Sprint(number(truth(value)))
	case "port", "max-protected-backups":
		keys[key] = fmt.Sprint(count(value, 0))
	default:
		keys[key] = value
	}
}

// locked is like change, but holds the cluster's lock on a file. Without a quorum it retries for some seconds.
func (c *Command) locked(file, doing string, fn func(v *view, db *Database) error) int {
	for range 9 {
		quorate := false
		c.World.at(func(v *view) { quorate = v.quorate(c.Node.Name()) || v.database(c.Node.Name()) == nil })
		if quorate {
			return c.change(fn)
		}
		fmt.Fprintf(c.Stderr, "trying to acquire cfs lock 'file-%s' ...\n", file)
		if err := c.sleep(time.Second); err != nil {
			return exitDie
		}
	}
	return c.die(exitEACCES, "%s failed: cfs-lock 'file-%s' error: no quorum!", doing, file)
}

func storageSet(c *Command, a arguments) int {
	return c.locked("storage_cfg", "update storage", func(v *view, db *Database) error {
		all := ParseSections(db.Text(storageFile))
		i := section(all, a.get("storage"))
		if i < 0 && a.get("storage") == "local" {
			all = db.storages()
			i = section(all, "local")
		}
		if i < 0 {
			return fmt.Errorf("update storage failed: storage '%s' does not exist", a.get("storage"))
		}
		if a.has("digest") && a.get("digest") != digest(db.Text(storageFile)) {
			return failed(exitDie, "update storage failed: detected modified configuration - file changed by other user? Try again.")
		}
		for key, value := range a.values {
			switch {
			case key == "storage" || key == "delete" || key == "digest":
			case slices.Contains(storageFixed[all[i].Type], key):
				return fmt.Errorf("update storage failed: can't change value of fixed parameter '%s'", key)
			default:
				setStorage(all[i].Keys, key, value)
			}
		}
		for _, key := range splitList(a.get("delete")) {
			delete(all[i].Keys, key)
		}
		v.writeStorages(db, all)
		return nil
	})
}

// storageState is the state of a storage on a node: its sizes in KiB, and whether the node can use it.
func (v *view) storageState(db *Database, node string, s Section) (total, used, free int64, status, warning string) {
	if _, off := s.Keys["disable"]; off {
		return 0, 0, 0, "disabled", ""
	}
	switch s.Type {
	case "dir", "btrfs":
		return localTotal, localUsed, localFree, "active", ""
	}
	ceph := v.Ceph[db.ID]
	if ceph == nil || !v.monQuorum(ceph) || len(ceph.upOSDs(v)) == 0 {
		return 0, 0, 0, "inactive", "rados_conf_read_file failed - [errno 2] RADOS object not found (error calling conf_set)"
	}
	raw := ceph.rawBytes(v) / 1024
	return raw / 3, raw / 3000, raw/3 - raw/3000, "active", ""
}

func storageStatus(c *Command, a arguments) int {
	var rows [][]string
	var warnings []string
	code := c.read(func(v *view, db *Database) error {
		all := db.storages()
		slices.SortFunc(all, func(x, y Section) int { return strings.Compare(x.ID, y.ID) })
		for _, s := range all {
			if a.has("storage") && a.get("storage") != s.ID || !usableOn(s, c.Node.Name()) {
				continue
			}
			if a.has("content") && !slices.Contains(splitList(s.Keys["content"]), a.get("content")) {
				continue
			}
			total, used, free, status, warning := v.storageState(db, c.Node.Name(), s)
			percent := 0.0
			if total > 0 {
				percent = 100 * float64(used) / float64(total)
			}
			if warning != "" {
				warnings = append(warnings, warning)
			}
			rows = append(rows, []string{s.ID, s.Type, status, fmt.Sprint(total), fmt.Sprint(used), fmt.Sprint(free), fmt.Sprintf("%.2f%%", percent)})
		}
		return nil
	})
	if code != 0 {
		return code
	}
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0])+1)
	}
	unit := " (KiB)"
	if c.Node.Debian() == "bookworm" {
		unit = ""
	}
	format := fmt.Sprintf("%%-%ds %%10s %%10s %%15s %%15s %%15s %%8s\n", width)
	c.printf(format, "Name", "Type", "Status", "Total"+unit, "Used"+unit, "Available"+unit, "%")
	for _, row := range rows {
		c.printf(format, row[0], row[1], row[2], row[3], row[4], row[5], row[6])
	}
	for _, warning := range warnings {
		fmt.Fprintln(c.Stderr, warning)
	}
	return 0
}

func usableOn(s Section, node string) bool {
	nodes := splitList(s.Keys["nodes"])
	return len(nodes) == 0 || slices.Contains(nodes, node)
}

func shared(s Section) bool {
	return s.Type == "rbd" || s.Type == "cephfs" || s.Type == "nfs" || s.Type == "pbs" || s.Keys["shared"] == "1"
}
