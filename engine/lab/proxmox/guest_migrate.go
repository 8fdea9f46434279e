package proxmox

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// Command: qm migrate, which moves a virtual machine to another node.

var passedThrough = pattern.New(`^(hostpci|usb)\d+$`)

func qmMigrateCommand(vmid map[string]check) perlCommand {
	return perlCommand{name: "migrate", args: []string{"vmid", "target"}, usage: "<vmid> <target> [OPTIONS]", run: qmMigrate,
		options: map[string]check{"online": boolean, "force": boolean, "with-local-disks": boolean, "targetstorage": anyText, "migration_type": oneOf("secure", "insecure"),
			"migration_network": anyText, "bwlimit": integer(0, 0), "with-conntrack-state": boolean},
		checks: map[string]check{"vmid": vmid["vmid"], "target": isNodeName}}
}

// pctMigrateCommand implements pct migrate. A running container is stopped and started again on the other node
// (PVE::API2::LXC).
func pctMigrateCommand() perlCommand {
	return perlCommand{name: "migrate", args: []string{"vmid", "target"}, usage: "<vmid> <target> [OPTIONS]", run: qmMigrate,
		options: map[string]check{"online": boolean, "restart": boolean, "timeout": integer(0, 0), "target-storage": anyText, "bwlimit": integer(0, 0)},
		checks:  map[string]check{"target": isNodeName}}
}

// migration is one migration of a guest.
type migration struct {
	// kind is "VM" or "CT".
	kind string

	id, target, address string
	running             bool
	// local are the disks on storages that are not shared. blocker is the reason why the task fails, if any.
	local   []string
	blocker string
}

func qmMigrate(c *Command, a arguments) int {
	if a.get("target") == c.Node.Name() {
		return c.die(exitDie, "400 Parameter verification failed.\ntarget: target is local node.\n"+c.Argv[0]+" migrate <vmid> <target> [OPTIONS]")
	}
	container := c.Argv[0] == "pct"
	m := migration{kind: "VM"}
	if container {
		m.kind = "CT"
	}
	managed := false
	if code := c.change(func(v *view, db *Database) error {
		if conf := db.corosync(); conf == nil || conf.node(a.get("target")) == nil {
			return failed(exitENOENT, "no such cluster node '%s'", a.get("target"))
		}
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		keys := parseGuest(g.config)
		if err := g.unlocked(); err != nil {
			return err
		}
		m.id, m.target, m.running, m.address = g.id, a.get("target"), db.guestState(g.id).Running, v.nodeState(a.get("target")).IP
		switch {
		case container && m.running && !a.bool("online") && !a.bool("restart"):
			return failed(exitDie, "can't migrate running container without --online or --restart")
		case container:
		case m.running && !a.bool("online"):
			return failed(exitDie, "can't migrate running VM without --online")
		case !m.running && a.bool("online"):
			fmt.Fprintln(c.Stderr, "VM isn't running. Doing offline migration instead.")
		}
		if err := m.storages(db, keys); err != nil {
			return err
		}
		all := db.resources()
		if i := section(all, g.id); i >= 0 && all[i].Keys["state"] != "ignored" {
			managed = true
			v.queue(db, "migrate %s:%s %s", strings.ToLower(m.kind), g.id, m.target)
			return nil
		}
		m.blocker = m.blocked(v, db, keys, a)
		return nil
	}); code != 0 {
		return code
	}
	if managed {
		c.printf("Requesting HA migration for %s %s to node %s\n", m.kind, m.id, m.target)
		return 0
	}
	if !c.task(map[bool]string{false: "qmigrate", true: "vzmigrate"}[container], m.id, func(out io.Writer) error { return c.migrate(m, out) }) {
		return exitDie
	}
	return 0
}

// storages checks that all of a guest's storages are available on the target, and collects the disks to copy.
func (m *migration) storages(db *Database, keys map[string]string) error {
	all := db.storages()
	for _, key := range sortedKeys(keys) {
		d, ok := parseDrive(keys[key])
		if !ok || !diskKey.MatchString(key) && !ctDevice.MatchString(key) && !strings.HasPrefix(key, "unused") {
			continue
		}
		i := section(all, d.storage)
		switch {
		case i < 0:
			continue // an image given by path, or "none,media=cdrom"
		case !usableOn(all[i], m.target):
			return failed(exitDie, "storage '%s' is not available on node '%s'", d.storage, m.target)
		case !shared(all[i]):
			m.local = append(m.local, d.id())
		}
	}
	return nil
}

// blocked returns why the task itself fails, or "".
func (m *migration) blocked(v *view, db *Database, keys map[string]string, a arguments) string {
	var bound, missing, mapped []string
	for _, key := range sortedKeys(keys) {
		if !passedThrough.MatchString(key) || strings.HasPrefix(keys[key], "spice") {
			continue
		}
		name := properties(keys[key])["mapping"]
		if name == "" {
			bound = append(bound, key)
			continue
		}
		kind := mappingKinds[0]
		if strings.HasPrefix(key, "usb") {
			kind = mappingKinds[1]
		}
		all := ParseSections(db.Text(kind.file))
		i := section(all, name)
		if i < 0 || !slices.ContainsFunc(strings.Split(all[i].Keys["map"], repeated), func(one string) bool { return properties(one)["node"] == m.target }) {
			missing = append(missing, key)
		} else if all[i].Keys["live-migration-capable"] != "1" {
			mapped = append(mapped, key)
		}
	}
	for _, key := range sortedKeys(keys) {
		kind := "bind"
		if strings.HasPrefix(keys[key], "/dev/") {
			kind = "device"
		}
		if ctDevice.MatchString(key) && strings.HasPrefix(keys[key], "/") && properties(keys[key])["shared"] != "1" {
			return fmt.Sprintf("cannot migrate local %s mount point '%s'", kind, key)
		}
	}
	switch {
	case len(bound) > 0 && (m.running || !a.bool("force")):
		return "can't migrate VM which uses local devices: " + strings.Join(bound, ", ")
	case len(missing) > 0:
		return fmt.Sprintf("can't migrate to '%s': missing mapped devices %s", m.target, strings.Join(missing, ", "))
	case m.running && len(mapped) > 0:
		return "can't live migrate running VM which uses following mapped devices: " + strings.Join(mapped, ", ")
	case m.kind == "VM" && m.running && len(m.local) > 0 && !a.bool("with-local-disks"):
		return "can't live migrate attached local disks without with-local-disks option"
	case !v.up[m.target]:
		return "Can't connect to destination address using public key"
	}
	return ""
}

// migrate runs the task, which prints a log with timestamps.
func (c *Command) migrate(m migration, out io.Writer) error {
	start := c.World.clock.Now()
	log := func(format string, args ...any) {
		fmt.Fprintf(out, c.World.clock.Now().UTC().Format(time.DateTime)+" "+format+"\n", args...)
	}
	restarts := m.kind == "CT" && m.running
	if restarts && m.blocker == "" {
		log("shutdown CT %s", m.id)
	}
	if m.kind == "VM" || m.blocker == "" {
		log("starting migration of %s %s to node '%s' (%s)", m.kind, m.id, m.target, m.address)
	}
	if m.blocker != "" {
		log("ERROR: migration aborted (duration 00:00:00): %s", m.blocker)
		return errors.New("migration aborted")
	}
	for _, volume := range m.local {
		log("found local disk '%s' (attached)", volume)
	}
	if len(m.local) > 0 {
		log("copying local disk images")
	}
	if m.running && m.kind == "VM" {
		log("starting VM %s on remote node '%s'", m.id, m.target)
		log("start remote tunnel")
		log("starting online/live migration on unix:/run/qemu-server/%s.migrate", m.id)
	}
	if err := c.sleep(3 * time.Second); err != nil {
		return err
	}
	moved := false
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if g, ok := db.guests()[m.id]; ok && v.quorate(c.Node.Name()) {
			db.moveGuest(g, m.target, v.now)
			moved = true
		}
	})
	if !moved {
		log("ERROR: migration finished with problems (duration %s)", clockText(c.World.clock.Now().Sub(start)))
		return errors.New("migration problems")
	}
	if m.kind == "CT" {
		log("start final cleanup")
	}
	if restarts {
		log("start container on target node")
	}
	log("migration finished successfully (duration %s)", clockText(c.World.clock.Now().Sub(start)))
	return nil
}

// clockText formats a duration as hours, minutes and seconds.
func clockText(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
