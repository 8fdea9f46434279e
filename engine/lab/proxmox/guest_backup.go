package proxmox

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// Backups in a directory on a node: vzdump, their listing, and restoring them. An archive is the guest's configuration
// between two marker lines. The content of disks and backups on a backup server are not simulated.

// archiveHead is the first line of an archive, archiveEnd the last. Without the first, nothing can be read; without the
// last, only the configuration.
const (
	archiveHead = "VMA\n"
	archiveEnd  = "VMA END\n"
)

var (
	archiveName = pattern.New(`/dump/(vzdump-(qemu|lxc)-(\d+)-[^/]+)$`)
	ctDevice    = pattern.New(`^(rootfs|mp\d+)$`)
)

// dumpFolder returns the backup directory of a storage on a node.
func dumpFolder(db *Database, node, id string) (string, error) {
	all := db.storages()
	i := section(all, id)
	switch {
	case i < 0:
		return "", failed(exitDie, "storage '%s' does not exist", id)
	case !usableOn(all[i], node):
		return "", failed(exitDie, "storage '%s' is not available on node '%s'", id, node)
	case !slices.Contains(splitList(all[i].Keys["content"]), "backup"):
		return "", failed(exitDie, "storage '%s' does not support vzdump backups", id)
	case all[i].Type != "dir":
		return "", failed(exitDie, "backups on a storage of type %s are not simulated: use one of type dir", all[i].Type)
	}
	return all[i].Keys["path"] + "/dump", nil
}

// vzdump backs up guests of this node.
func vzdump(c *Command) int {
	a, problem := parseArguments(c, perlCommand{checks: map[string]check{"extra": anyText},
		options: map[string]check{"storage": anyText, "mode": oneOf("snapshot", "suspend", "stop"), "compress": oneOf("zstd"), "quiet": boolean, "notes-template": anyText}}, c.Argv[1:])
	if problem != "" || len(a.extra) == 0 {
		return c.die(exitDie, "%s\nvzdump {<vmid>} [OPTIONS]", or(problem, "400 Parameter verification failed."))
	}
	code := 0
	for _, id := range a.extra {
		if !c.task("vzdump", id, func(out io.Writer) error { return c.backUp(id, a.or("storage", "local"), out) }) {
			code = exitDie
		}
	}
	if code != 0 {
		return c.die(code, "job errors")
	}
	return 0
}

func (c *Command) backUp(id, storage string, out io.Writer) error {
	if err := c.sleep(5 * time.Second); err != nil {
		return err
	}
	var name, content string
	var err error
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		g, ok := db.guests()[id]
		if !ok || g.node != c.Node.Name() {
			err = fmt.Errorf("unable to find VM '%s'", id)
			return
		}
		var folder string
		if folder, err = dumpFolder(db, c.Node.Name(), storage); err != nil {
			return
		}
		suffix := map[string]string{"qemu": "vma.zst", "lxc": "tar.zst"}[g.kind]
		name = fmt.Sprintf("%s/vzdump-%s-%s-%s.%s", folder, g.kind, id, v.now.UTC().Format("2006_01_02-15_04_05"), suffix)
		content = archiveHead + g.config + archiveEnd
		if db.Backups == nil {
			db.Backups = map[string][]string{}
		}
		db.Backups[g.node] = append(db.Backups[g.node], name)
	})
	if err != nil {
		fmt.Fprintf(out, "ERROR: Backup of VM %s failed - %v\n", id, err)
		return err
	}
	fmt.Fprintf(out, "INFO: creating vzdump archive '%s'\n", name)
	if err := c.Node.WriteFile(name, []byte(content), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "INFO: Finished Backup of VM %s (00:00:05)\nINFO: Backup job finished successfully\n", id)
	return nil
}

func storageList(c *Command, a arguments) int {
	var folder string
	var known []string
	if code := c.read(func(_ *view, db *Database) (err error) {
		folder, err = dumpFolder(db, c.Node.Name(), a.get("storage"))
		known = db.Backups[c.Node.Name()]
		return err
	}); code != 0 {
		return code
	}
	var rows [][2]string
	width := 0
	for _, name := range known {
		m := archiveName.FindStringSubmatch(name)
		if path.Dir(name) != folder || m == nil || a.has("vmid") && m[3] != a.get("vmid") || !c.Node.Exists(name) {
			continue
		}
		row := [2]string{a.get("storage") + ":backup/" + m[1], m[3]}
		rows = append(rows, row)
		width = max(width, len(row[0]))
	}
	c.printf("%-*s %-7s %-9s %4s %s\n", width, "Volid", "Format", "Type", "Size", "VMID")
	for _, row := range rows {
		format := "vma.zst"
		if strings.Contains(row[0], "-lxc-") {
			format = "tar.zst"
		}
		c.printf("%-*s %-7s %-9s %4d %s\n", width, row[0], format, "backup", 1024, row[1])
	}
	return 0
}

// archive returns the guest's configuration in a backup, and whether the backup is complete.
func (c *Command) archive(volume string) (config string, whole bool, err error) {
	storage, name, _ := strings.Cut(volume, ":backup/")
	var folder string
	c.World.at(func(v *view) {
		folder, err = dumpFolder(v.database(c.Node.Name()), c.Node.Name(), storage)
	})
	if err != nil {
		return "", false, err
	}
	data, err := c.Node.ReadFile(folder + "/" + name)
	if err != nil {
		return "", false, failed(exitENOENT, "can't find archive '%s'", volume)
	}
	config, ok := strings.CutPrefix(string(data), archiveHead)
	if !ok {
		return "", false, failed(exitDie, "error: not a VMA archive")
	}
	config, whole = strings.CutSuffix(config, archiveEnd)
	return config, whole, nil
}

func storageExtractConfig(c *Command, a arguments) int {
	config, _, err := c.archive(a.get("volume"))
	if err != nil {
		return c.report(err)
	}
	c.printf("%s\n", config)
	return 0
}

// taken returns an error if the ID for a restored guest is in use.
func (c *Command) taken(kind, id string) (err error) {
	c.World.at(func(v *view) {
		if !v.quorate(c.Node.Name()) {
			err = failed(exitDie, "cluster not ready - no quorum?")
		} else if g, ok := v.database(c.Node.Name()).guests()[id]; ok {
			err = failed(exitDie, "unable to restore %s %s - %s %[2]s already exists on node '%[4]s'", kind, id, map[string]string{"qemu": "VM", "lxc": "CT"}[g.kind], g.node)
		}
	})
	return err
}

// qmRestore is qm create with an archive. If it fails, it leaves a machine without disks (PVE::API2::Qemu, create_vm).
func qmRestore(c *Command, a arguments) int {
	id := a.get("vmid")
	if err := c.taken("VM", id); err != nil {
		return c.report(err)
	}
	if !c.task("qmrestore", id, func(out io.Writer) error {
		err := c.restoreFrom("qemu", a, out)
		if err != nil {
			c.World.at(func(v *view) {
				v.database(c.Node.Name()).Write("nodes/"+c.Node.Name()+"/qemu-server/"+id+".conf", []byte("memory: 128\n"), v.now)
			})
			fmt.Fprintf(c.Stderr, "error before or during data restore, some or all disks were not completely restored. VM %s state is NOT cleaned up.\n", id)
			return fmt.Errorf("unable to restore VM %s - %w", id, err)
		}
		return nil
	}) {
		return exitDie
	}
	return 0
}

// pctRestore restores a container. If it fails, it leaves nothing.
func pctRestore(c *Command, a arguments) int {
	id := a.get("vmid")
	if err := c.taken("CT", id); err != nil {
		return c.report(err)
	}
	if !c.task("vzrestore", id, func(out io.Writer) error {
		a.values["archive"] = a.get("ostemplate")
		if err := c.restoreFrom("lxc", a, out); err != nil {
			return fmt.Errorf("unable to restore CT %s - %w", id, err)
		}
		return nil
	}) {
		return exitDie
	}
	return 0
}

// restoreFrom creates a guest from an archive, with options that override the archived ones.
func (c *Command) restoreFrom(kind string, a arguments, out io.Writer) error {
	if err := c.sleep(10 * time.Second); err != nil {
		return err
	}
	config, whole, err := c.archive(a.get("archive"))
	if err != nil {
		return err
	}
	if !whole {
		if kind == "qemu" {
			return errors.New("command 'set -o pipefail && zstd -q -d -c archive | vma extract -v -r /var/tmp/vzdumptmp.fifo - /var/tmp/vzdumptmp' failed: exit code 1")
		}
		return errors.New("command 'tar xpf - --zstd' failed: exit code 2")
	}
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		keys := parseGuest(config)
		for key, value := range keys {
			d, onStorage := parseDrive(value)
			switch {
			case key == "lock" || key == "parent" || strings.HasPrefix(key, "unused"):
				delete(keys, key)
			case (diskKey.MatchString(key) || ctDevice.MatchString(key)) && onStorage && !strings.Contains(value, "media=cdrom") && !strings.HasPrefix(value, "/"):
				delete(keys, key)
				if kind == "qemu" && properties(d.options)["backup"] == "0" {
					continue
				}
				if err = v.restoreVolume(db, keys, key, d, a); err != nil {
					return
				}
			case netKey.MatchString(key) && a.bool("unique"):
				keys[key] = v.guestValue(key, macAddress.ReplaceAllString(value, "$1"))
			}
		}
		for key, value := range a.values {
			if !slices.Contains([]string{"vmid", "archive", "ostemplate", "storage", "unique"}, key) {
				keys[key] = v.guestValue(key, value)
			}
		}
		folder := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[kind]
		db.Write("nodes/"+c.Node.Name()+"/"+folder+"/"+a.get("vmid")+".conf", []byte(formatGuest(keys)), v.now)
		fmt.Fprintf(out, "restore of %s finished\n", strconv.Quote(a.get("archive")))
	})
	return err
}

// macAddress matches a network card's model and MAC address.
var macAddress = pattern.New(`^(virtio|vmxnet3|rtl8139|e1000e?)=[0-9A-Fa-f:]+`)

// restoreVolume allocates a new volume for a device of a guest that is being restored.
func (v *view) restoreVolume(db *Database, keys map[string]string, key string, d drive, a arguments) error {
	all := db.storages()
	i := section(all, a.or("storage", d.storage))
	if i < 0 {
		return fmt.Errorf("storage '%s' does not exist", a.or("storage", d.storage))
	}
	keys[key] = drive{storage: all[i].ID, volume: newVolume(keys, all[i], a.get("vmid")), options: d.options}.String()
	return nil
}

// qmGuestCommand queries the guest agent, which every running guest with the option agent has.
func qmGuestCommand(c *Command, a arguments) int {
	return c.read(func(_ *view, db *Database) error {
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		switch agent := parseGuest(g.config)["agent"]; {
		case agent == "" || strings.HasPrefix(agent, "0"):
			return failed(exitDie, "No QEMU guest agent configured")
		case !db.guestState(g.id).Running:
			return failed(exitDie, "VM %s is not running", g.id)
		}
		return nil
	})
}

func pctDestroy(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		switch {
		case parseGuest(g.config)["protection"] == "1":
			return failed(exitDie, "can't remove CT %s - protection mode enabled", g.id)
		case db.guestState(g.id).Running && !a.bool("force"):
			return failed(exitDie, "unable to destroy CT %s - container is running", g.id)
		case section(db.resources(), g.id) >= 0 && !a.bool("purge"):
			return failed(exitDie, "unable to remove CT %s - used in HA resources and purge parameter not set.", g.id)
		}
		if all := db.resources(); section(all, g.id) >= 0 {
			i := section(all, g.id)
			v.writeResources(db, slices.Delete(all, i, i+1))
			v.purgeRules(db, "ct:"+g.id)
		}
		db.Remove(g.path())
		delete(db.Guests, g.id)
		return nil
	})
}
