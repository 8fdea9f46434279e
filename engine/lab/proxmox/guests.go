package proxmox

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// GuestState is the power state of a guest.
type GuestState struct {
	Running bool
	PID     int
}

// makeGuest creates one of the guests that exist from the start.
func (v *view) makeGuest(db *Database, node, id, kind string) {
	if kind == "ct" {
		db.Write("nodes/"+node+"/lxc/"+id+".conf", []byte("arch: amd64\nhostname: ct"+id+"\nmemory: 512\nostype: debian\nrootfs: local:"+id+"/vm-"+id+"-disk-0.raw,size=4G\nswap: 512\n"), v.now)
		return
	}
	db.Write("nodes/"+node+"/qemu-server/"+id+".conf", []byte("boot: \nmemory: 512\nname: vm"+id+"\n"), v.now)
}

func qmCommands() []perlCommand {
	options := map[string]check{"name": anyText, "memory": anyText, "cores": anyText, "sockets": anyText, "hotplug": anyText, "cpu": anyText, "ostype": anyText, "machine": anyText,
		"bios": anyText, "boot": anyText, "scsihw": anyText, "onboot": boolean, "agent": anyText, "tags": anyText, "description": anyText, "efidisk0": anyText,
		"delete": anyText, "vga": anyText, "serial0": anyText, "ide2": anyText, "numa": boolean, "balloon": anyText, "lock": oneOf("backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspended", "suspending"), "acpi": boolean, "kvm": boolean, "freeze": boolean, "reboot": boolean, "autostart": boolean, "tablet": boolean, "protection": boolean,
		"ciuser": anyText, "ciupgrade": boolean, "nameserver": anyText, "searchdomain": anyText, "sshkeys": anyText,
		"cpulimit": anyText, "cpuunits": integer(1, 262144), "hookscript": anyText, "migrate_downtime": anyText, "migrate_speed": integer(0, 0), "startup": anyText, "shares": integer(0, 50000)}
	for i := range 16 {
		for _, kind := range []string{"ipconfig", "net", "scsi", "virtio", "hostpci", "usb", "sata"} {
			options[kind+strconv.Itoa(i)] = anyText
		}
	}
	vmid := map[string]check{"vmid": integer(100, 999999999)}
	create, change := maps.Clone(options), maps.Clone(options)
	change["digest"] = anyText
	create["archive"], create["storage"], create["unique"] = anyText, anyText, boolean
	return append(append(qmDiskCommands(vmid), qmMigrateCommand(vmid)), []perlCommand{
		{name: "create", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: create, checks: vmid, run: qmCreate},
		{name: "list", usage: "[OPTIONS]", options: map[string]check{"full": boolean}, run: qmList},
		{name: "config", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"current": boolean}, checks: vmid, run: guestConfig},
		{name: "set", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: change, checks: vmid, run: qmSet},
		{name: "unlock", args: []string{"vmid"}, usage: "<vmid>", checks: vmid, run: guestUnlock},
		{name: "status", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"verbose": boolean}, checks: vmid, run: guestStatus},
		{name: "start", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", checks: vmid, run: guestPower("start", true)},
		{name: "stop", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"skiplock": boolean}, checks: vmid, run: guestPower("stop", false)},
		{name: "guest cmd", args: []string{"vmid", "command"}, usage: "<vmid> <command>", checks: map[string]check{"vmid": vmid["vmid"], "command": oneOf("ping")}, run: qmGuestCommand},
		{name: "shutdown", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"timeout": integer(0, 0), "forceStop": boolean, "keepActive": boolean, "skiplock": boolean}, checks: vmid, run: guestPower("shutdown", false)},
		{name: "destroy", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"purge": boolean, "skiplock": boolean, "destroy-unreferenced-disks": boolean}, checks: vmid, run: qmDestroy},
	}...)
}

// own returns a guest on this node. Guests on other nodes are not found, because the programs look only at their own
// node.
func (c *Command) own(db *Database, a arguments) (guest, error) {
	id := a.get("vmid")
	g, ok := db.guests()[id]
	if !ok || g.node != c.Node.Name() {
		dir := "qemu-server"
		if c.Argv[0] == "pct" {
			dir = "lxc"
		}
		return g, failed(exitENOENT, "Configuration file 'nodes/%s/%s/%s.conf' does not exist", c.Node.Name(), dir, id)
	}
	return g, nil
}

// changeable returns a guest on this node that may be changed: it is not locked, and its configuration is the one that the
// option digest names, if that is given.
func (c *Command) changeable(db *Database, a arguments) (guest, error) {
	g, err := c.own(db, a)
	if err != nil {
		return g, err
	}
	if err := g.unlocked(); err != nil {
		return g, err
	}
	if a.has("digest") && a.get("digest") != digest(g.config) {
		return g, failed(exitDie, "detected modified configuration - file changed by other user? Try again.")
	}
	return g, nil
}

func qmCreate(c *Command, a arguments) int {
	if a.has("archive") {
		return qmRestore(c, a)
	}
	var err error
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if !v.quorate(c.Node.Name()) {
			err = failed(exitDie, "cluster not ready - no quorum?")
		} else if _, ok := db.guests()[a.get("vmid")]; ok {
			err = failed(exitDie, "unable to create VM %s - VM %s already exists on node '%s'", a.get("vmid"), a.get("vmid"), db.guests()[a.get("vmid")].node)
		}
	})
	if err != nil {
		return c.report(err)
	}
	if err := c.readKeys(a); err != nil {
		return c.report(err)
	}
	ok := c.task("qmcreate", a.get("vmid"), func(out io.Writer) error {
		if err := c.sleep(time.Second); err != nil {
			return err
		}
		images, err := c.images(a.values)
		if err != nil {
			return fmt.Errorf("unable to create VM %s - %w", a.get("vmid"), err)
		}
		qemu := upstream(c.Node.Version("pve-qemu-kvm"))
		c.World.at(func(v *view) {
			keys := map[string]string{"boot": " ", "meta": fmt.Sprintf("creation-qemu=%s,ctime=%d", qemu, v.now.Unix()),
				"smbios1": "uuid=" + uuid("smbios", v.next()), "vmgenid": uuid("vmgenid", v.next())}
			for key, value := range a.values {
				if key != "vmid" {
					keys[key] = v.guestValue(key, value)
				}
			}
			db := v.database(c.Node.Name())
			if err = v.allocate(db, a.get("vmid"), keys, images, out); err != nil {
				err = fmt.Errorf("unable to create VM %s - %w", a.get("vmid"), err)
				return
			}
			if keys["boot"] == " " && keys["scsi0"] != "" {
				keys["boot"] = "order=scsi0"
			}
			v.database(c.Node.Name()).Write("nodes/"+c.Node.Name()+"/qemu-server/"+a.get("vmid")+".conf", []byte(formatGuest(keys)), v.now)
		})
		return err
	})
	if !ok {
		return exitDie
	}
	return 0
}

// readKeys replaces the name of a file with SSH keys with its content, encoded as in the configuration (PVE::CLI::qm).
func (c *Command) readKeys(a arguments) error {
	if !a.has("sshkeys") {
		return nil
	}
	text, err := c.Node.ReadFile(a.get("sshkeys"))
	if err != nil {
		return failed(exitDie, "can't open '%s' - No such file or directory", a.get("sshkeys"))
	}
	a.values["sshkeys"] = strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")
	return nil
}

func guestConfig(c *Command, a arguments) int {
	var text string
	code := c.read(func(_ *view, db *Database) error {
		g, err := c.own(db, a)
		keys := g.applied()
		if a.bool("current") {
			keys = parseGuest(g.config)
		}
		text = shownGuest(keys)
		return err
	})
	if code == 0 {
		c.printf("%s", text)
	}
	return code
}

func guestStatus(c *Command, a arguments) int {
	var text string
	code := c.read(func(_ *view, db *Database) error {
		g, err := c.own(db, a)
		if err == nil {
			text = "status: " + power(db.guestState(g.id).Running) + "\n"
		}
		return err
	})
	c.printf("%s", text)
	return code
}

func power(on bool) string {
	if on {
		return "running"
	}
	return "stopped"
}

func qmSet(c *Command, a arguments) int {
	var changes []string
	images, err := c.images(a.values)
	if err != nil {
		return c.report(err)
	}
	code := c.change(func(v *view, db *Database) error {
		g, err := c.changeable(db, a)
		if err != nil {
			return err
		}
		keys, pending := parseGuest(g.config), g.pending()
		for _, key := range sortedKeys(a.values) {
			if key != "vmid" && key != "delete" && key != "digest" {
				if db.guestState(g.id).Running && unplugged(key, keys) {
					pending[key] = v.guestValue(key, a.get(key))
				} else {
					keys[key] = v.guestValue(key, a.get(key))
					delete(pending, key)
				}
				changes = append(changes, "-"+key+" "+latin1(a.get(key)))
			}
		}
		for _, key := range splitList(a.get("delete")) {
			delete(keys, key)
		}
		if a.has("delete") {
			changes = append(changes, "-delete "+a.get("delete"))
		}
		if len(changes) == 0 {
			return failed(exitDie, "no options specified")
		}
		if err := v.allocate(db, g.id, keys, images, c.Stdout); err != nil {
			return err
		}
		db.Write(g.path(), g.with(keys, pending), v.now)
		return nil
	})
	if code == 0 {
		c.printf("update VM %s: %s\n", a.get("vmid"), strings.Join(changes, " "))
	}
	return code
}

// guestPower starts or stops a guest. If HA manages the guest, it only sends a request.
func guestPower(verb string, on bool) func(*Command, arguments) int {
	return func(c *Command, a arguments) int {
		var managed bool
		code := c.change(func(v *view, db *Database) error {
			g, err := c.own(db, a)
			if err != nil {
				return err
			}
			all := db.resources()
			i := section(all, g.id)
			if managed = i >= 0 && all[i].Keys["state"] != "ignored"; managed {
				all[i].Keys["state"] = map[bool]string{true: "started", false: "stopped"}[on]
				v.writeResources(db, all)
				return nil
			}
			if err := g.unlocked(); err != nil && !a.bool("skiplock") {
				return err
			}
			state := db.guestState(g.id)
			if on && state.Running {
				return failed(exitDie, "%s %s already running", g.word(), g.id)
			}
			if (verb == "shutdown" || g.kind == "lxc") && !on && !state.Running {
				return failed(exitDie, "%s %s not running", g.word(), g.id)
			}
			if template := parseGuest(g.config)["template"]; template == "1" && on && g.kind == "lxc" {
				return failed(exitDie, "you can't start a CT if it's a template")
			}
			v.switchGuest(db, g, on)
			return nil
		})
		if code == 0 && managed {
			what := "start"
			if !on {
				what = "stop"
			}
			kind := "VM"
			if c.Argv[0] == "pct" {
				kind = "CT"
			}
			c.printf("Requesting HA %s for %s %s\n", what, kind, a.get("vmid"))
		}
		return code
	}
}

func qmDestroy(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		if parseGuest(g.config)["protection"] == "1" {
			return failed(exitDie, "can't remove VM %s - protection mode enabled", g.id)
		}
		if db.guestState(g.id).Running {
			return failed(exitDie, "VM %s is running - destroy failed", g.id)
		}
		all := db.resources()
		if i := section(all, g.id); i >= 0 {
			if !a.bool("purge") {
				return failed(exitDie, "unable to remove VM %s - used in HA resources and purge parameter not set.", g.id)
			}
			v.writeResources(db, slices.Delete(all, i, i+1))
			v.purgeRules(db, "vm:"+g.id)
		}
		db.Remove(g.path())
		delete(db.Guests, g.id)
		return nil
	})
}

// switchGuest switches a guest on or off. Pending changes take effect when it is started.
func (v *view) switchGuest(db *Database, g guest, on bool) {
	state := db.guestState(g.id)
	if on && !state.Running && len(g.pending()) > 0 {
		db.Write(g.path(), []byte(formatGuest(g.applied())), v.now)
	}
	v.power(state, on)
}

// power switches a guest on or off. A running guest has a process.
func (v *view) power(state *GuestState, on bool) {
	if state.Running == on {
		return
	}
	state.Running, state.PID = on, 0
	if on {
		state.PID = 20000 + v.next()
	}
}

var bootDisk = pattern.New(`size=(\d+)G`)

func qmList(c *Command, _ arguments) int {
	var b strings.Builder
	code := c.read(func(_ *view, db *Database) error {
		for _, g := range sorted(db.guests()) {
			if g.node != c.Node.Name() || g.kind != "qemu" {
				continue
			}
			if b.Len() == 0 {
				fmt.Fprintf(&b, "%10s %-20s %-10s %-10s %12s %-10s\n", "VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID")
			}
			keys, state := parseGuest(g.config), db.guestState(g.id)
			size := 0.0
			if m := bootDisk.FindStringSubmatch(g.config); m != nil {
				size, _ = strconv.ParseFloat(m[1], 64)
			}
			fmt.Fprintf(&b, "%10s %-20s %-10s %-10s %12.2f %-10d\n", g.id, or(keys["name"], "VM "+g.id), power(state.Running), or(keys["memory"], "512"), size, state.PID)
		}
		return nil
	})
	c.printf("%s", b.String())
	return code
}
