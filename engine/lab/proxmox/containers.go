package proxmox

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The program pct as in pve-container 6.1: its checks, output and changes (PVE::CLI::pct, PVE::API2::LXC,
// PVE::LXC::Config).

func pctCommands() []perlCommand {
	vmid := map[string]check{"vmid": integer(100, 999999999)}
	resize := map[string]check{"vmid": vmid["vmid"], "size": matching(`^\+?\d+(\.\d+)?[KMGT]?$`), "disk": matching(ctDevice.String())}
	move := map[string]check{"delete": boolean, "bwlimit": integer(0, 0), "digest": anyText}
	set := ctOptions("delete", "revert", "digest")
	create := ctOptions("storage", "pool", "ssh-public-keys", "bwlimit")
	maps.Copy(create, map[string]check{"start": boolean, "ignore-unpack-errors": boolean})
	lock := map[string]check{"skiplock": boolean}
	return []perlCommand{
		{name: "list", run: pctList},
		{name: "config", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"current": boolean}, checks: vmid, run: guestConfig},
		{name: "status", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"verbose": boolean}, checks: vmid, run: guestStatus},
		{name: "unlock", args: []string{"vmid"}, usage: "<vmid>", checks: vmid, run: guestUnlock},
		{name: "start", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: lock, checks: vmid, run: guestPower("start", true)},
		{name: "stop", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: lock, checks: vmid, run: guestPower("stop", false)},
		{name: "shutdown", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"timeout": integer(0, 0), "forceStop": boolean}, checks: vmid, run: guestPower("shutdown", false)},
		{name: "set", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: set, checks: vmid, run: pctSet},
		{name: "resize", args: []string{"vmid", "disk", "size"}, usage: "<vmid> <disk> <size> [OPTIONS]", options: map[string]check{"digest": anyText}, checks: resize, run: pctResize},
		{name: "move-volume", args: []string{"vmid", "volume", "storage"}, usage: "<vmid> <volume> [<storage>] [<target-vmid>] [<target-volume>] [OPTIONS]", options: move, checks: vmid, run: pctMoveVolume},
		{name: "move_volume", args: []string{"vmid", "volume", "storage"}, usage: "<vmid> <volume> [<storage>] [<target-vmid>] [<target-volume>] [OPTIONS]", options: move, checks: vmid, run: pctMoveVolume},
		{name: "create", args: []string{"vmid", "ostemplate"}, usage: "<vmid> <ostemplate> [OPTIONS]", options: create, checks: vmid, run: pctCreate},
		{name: "restore", args: []string{"vmid", "ostemplate"}, usage: "<vmid> <ostemplate> [OPTIONS]", options: ctOptions("storage", "unique"), checks: vmid, run: pctRestore},
		{name: "destroy", args: []string{"vmid"}, usage: "<vmid> [OPTIONS]", options: map[string]check{"purge": boolean, "force": boolean}, checks: vmid, run: pctDestroy},
		pctMigrateCommand(),
	}
}

// ctOptions returns the options of a container's configuration, and those in more, which are not checked.
func ctOptions(more ...string) map[string]check {
	options := map[string]check{
		"arch": oneOf("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"), "cmode": oneOf("shell", "console", "tty"), "console": boolean,
		"cores": integer(1, 8192), "cpulimit": anyText, "cpuunits": integer(0, 500000), "debug": boolean, "description": anyText, "entrypoint": anyText, "env": anyText,
		"features": anyText, "hookscript": anyText, "hostname": anyText,
		"lock":   oneOf("backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted", "rollback", "snapshot", "snapshot-delete"),
		"memory": integer(16, 0), "nameserver": anyText, "onboot": boolean, "protection": boolean, "rootfs": anyText, "searchdomain": anyText, "startup": anyText,
		"ostype": oneOf("debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos", "unmanaged"),
		"swap":   integer(0, 0), "tags": anyText, "template": boolean, "timezone": anyText, "tty": integer(0, 6), "unprivileged": boolean,
	}
	for i := range 8 {
		for _, kind := range []string{"net", "mp", "dev", "unused"} {
			options[kind+strconv.Itoa(i)] = anyText
		}
	}
	for _, name := range more {
		options[name] = anyText
	}
	return options
}

func pctList(c *Command, _ arguments) int {
	var b strings.Builder
	code := c.read(func(_ *view, db *Database) error {
		for _, g := range sorted(db.guests()) {
			if g.node != c.Node.Name() || g.kind != "lxc" {
				continue
			}
			if b.Len() == 0 {
				fmt.Fprintf(&b, "%-10s %-10s %-12s %-20s\n", "VMID", "Status", "Lock", "Name")
			}
			keys := parseGuest(g.config)
			fmt.Fprintf(&b, "%-10s %-10s %-12s %-20s\n", g.id, power(db.guestState(g.id).Running), keys["lock"], keys["hostname"])
		}
		return nil
	})
	c.printf("%s", b.String())
	return code
}

// ctHot are the options that a running container applies at once (PVE::LXC::Config, vmconfig_hotplug_pending).
var ctHot = []string{"description", "onboot", "startup", "protection", "hostname", "hookscript", "cores", "tags", "lock", "memory", "swap", "cpulimit", "cpuunits"}

// ctPlugs reports whether a running container applies a change to an option at once.
func ctPlugs(key string, keys map[string]string) bool {
	_, exists := keys[key]
	added := (ctDevice.MatchString(key) || strings.HasPrefix(key, "dev")) && !exists
	return slices.Contains(ctHot, key) || netKey.MatchString(key) || added
}

// ctValue returns a value as pve-container writes it.
func (v *view) ctValue(key, value string) string {
	switch {
	case key == "tags":
		tags := splitList(strings.ToLower(value))
		slices.Sort(tags)
		return strings.Join(slices.Compact(tags), ";")
	case key == "nameserver" || key == "searchdomain":
		return strings.Join(splitList(value), " ")
	case netKey.MatchString(key):
		card := properties(value)
		if card["hwaddr"] == "" {
			sum := sha256.Sum256([]byte(fmt.Sprint("veth/", v.next())))
			card["hwaddr"] = fmt.Sprintf("BC:24:11:%02X:%02X:%02X", sum[0], sum[1], sum[2])
		}
		card["hwaddr"], card["type"] = strings.ToUpper(card["hwaddr"]), "veth"
		return printed(card, "name")
	}
	return v.guestValue(key, value)
}

// printed formats properties, those in first before the others (PVE::JSONSchema, print_property_string).
func printed(properties map[string]string, first ...string) string {
	var all []string
	for _, key := range append(first, slices.DeleteFunc(sortedKeys(properties), func(key string) bool { return slices.Contains(first, key) })...) {
		if properties[key] != "" {
			all = append(all, key+"="+properties[key])
		}
	}
	return strings.Join(all, ",")
}

// allocateVolumes replaces "STORAGE:GIGABYTES" in a container's options with new volumes.
func (v *view) allocateVolumes(db *Database, id string, keys map[string]string) error {
	for _, key := range sortedKeys(keys) {
		m := allocation.FindStringSubmatch(keys[key])
		if m == nil || !ctDevice.MatchString(key) {
			continue
		}
		all := db.storages()
		i := section(all, m[1])
		switch {
		case i < 0:
			return failed(exitDie, "storage '%s' does not exist", m[1])
		case !slices.Contains(splitList(all[i].Keys["content"]), "rootdir"):
			return failed(exitDie, "storage '%s' does not allow content type 'rootdir' (Container)", m[1])
		}
		options := properties(strings.TrimPrefix(m[3], ","))
		options["size"] = m[2] + "G"
		keys[key] = m[1] + ":" + newVolume(keys, all[i], id) + "," + printed(options, "mp")
	}
	return nil
}

func pctSet(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		if len(a.values) == 1 || len(a.values) == 2 && a.has("digest") {
			return failed(exitDie, "no options specified")
		}
		g, err := c.changeable(db, a)
		if err != nil {
			return err
		}
		keys, pending := parseGuest(g.config), g.pending()
		running := db.guestState(g.id).Running
		gone := splitList(pending["delete"])
		keep := func(key string) { gone = slices.DeleteFunc(gone, func(one string) bool { return one == key }) }
		for _, key := range splitList(a.get("revert")) {
			delete(pending, key)
			keep(key)
		}
		for _, key := range splitList(a.get("delete")) {
			_, waits := pending[key]
			switch {
			case keys[key] == "" && !waits:
				fmt.Fprintf(c.Stderr, "cannot delete '%s' - not set in current configuration!\n", key)
				continue
			case slices.Contains([]string{"memory", "rootfs", "ostype"}, key):
				return failed(exitDie, "unable to delete required option '%s'", key)
			case key == "unprivileged":
				return failed(exitDie, "unable to delete read-only option: '%s'", key)
			}
			delete(pending, key)
			keep(key)
			if running && !slices.Contains(ctHot, key) && !netKey.MatchString(key) {
				gone = append(gone, key)
				continue
			}
			if ctDevice.MatchString(key) {
				v.unuse(keys, keys[key])
			}
			delete(keys, key)
		}
		for _, key := range sortedKeys(a.values) {
			if slices.Contains([]string{"vmid", "digest", "delete", "revert"}, key) {
				continue
			}
			if key == "unprivileged" {
				return failed(exitDie, "unable to modify read-only option: '%s'", key)
			}
			value := v.ctValue(key, a.get(key))
			delete(pending, key)
			keep(key)
			switch {
			case keys[key] == value:
			case running && !ctPlugs(key, keys):
				pending[key] = value
			default:
				keys[key] = value
			}
		}
		if err := v.allocateVolumes(db, g.id, keys); err != nil {
			return err
		}
		if delete(pending, "delete"); len(gone) > 0 {
			slices.Sort(gone)
			pending["delete"] = strings.Join(gone, ",")
		}
		db.Write(g.path(), g.with(keys, pending), v.now)
		return nil
	})
}

// unuse keeps the volume of a removed mount point as an unused one.
func (v *view) unuse(keys map[string]string, value string) {
	d, ok := parseDrive(value)
	for n := 0; ok; n++ {
		if key := "unused" + strconv.Itoa(n); keys[key] == "" {
			keys[key] = d.id()
			return
		}
	}
}

// pctResize grows a volume. The exit code does not tell whether its task failed.
func pctResize(c *Command, a arguments) int {
	var volume drive
	var wanted int64
	var running bool
	if code := c.change(func(v *view, db *Database) error {
		g, err := c.changeable(db, a)
		if err != nil {
			return err
		}
		d, ok := parseDrive(parseGuest(g.config)[a.get("disk")])
		if !ok {
			return failed(exitDie, "unable to parse volume ID '%s'", parseGuest(g.config)[a.get("disk")])
		}
		size, relative := strings.CutPrefix(a.get("size"), "+")
		if wanted = sizeOf(size); relative {
			wanted += d.size()
		}
		switch {
		case wanted < d.size():
			return failed(exitDie, "unable to shrink disk size")
		case wanted == d.size():
			return failed(exitDie, "disk is already at specified size")
		}
		volume, running = d, db.guestState(g.id).Running
		return nil
	}); code != 0 {
		return code
	}
	c.task("resize", a.get("vmid"), func(out io.Writer) error {
		if err := c.sleep(2 * time.Second); err != nil {
			return err
		}
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			g, ok := db.guests()[a.get("vmid")]
			if !ok {
				return
			}
			keys, options := parseGuest(g.config), properties(volume.options)
			options["size"] = sizeText(wanted)
			volume.options = printed(options, "mp")
			keys[a.get("disk")] = volume.String()
			db.Write(g.path(), g.with(keys, g.pending()), v.now)
			if all := db.storages(); section(all, volume.storage) >= 0 && all[section(all, volume.storage)].Type == "dir" {
				fmt.Fprintln(out, "Image resized.")
			} else {
				fmt.Fprintln(out, "Resizing image: 100% complete...done.")
			}
		})
		blocks := wanted / 4096
		if running {
			fmt.Fprintln(out, "resize2fs 1.47.2 (1-Jan-2025)")
		} else {
			fmt.Fprintln(out, "e2fsck 1.47.2 (1-Jan-2025)\nPass 1: Checking inodes, blocks, and sizes\nPass 2: Checking directory structure\nPass 3: Checking directory connectivity\nPass 4: Checking reference counts\nPass 5: Checking group summary information\nresize2fs 1.47.2 (1-Jan-2025)")
		}
		fmt.Fprintf(out, "The filesystem on %s is now %d (4k) blocks long.\n", volume.id(), blocks)
		return nil
	})
	return 0
}

// pctMoveVolume copies a volume to another storage (move_volume of PVE::API2::LXC). A container that runs is refused, the same storage is not.
func pctMoveVolume(c *Command, a arguments) int {
	var from, to drive
	if code := c.change(func(v *view, db *Database) error {
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		if err := g.unlocked(); err != nil {
			return err
		}
		keys := parseGuest(g.config)
		d, ok := parseDrive(keys[a.get("volume")])
		switch {
		case db.guestState(g.id).Running:
			return failed(exitDie, "cannot move volumes of a running container")
		case strings.HasPrefix(a.get("volume"), "unused"):
			return failed(exitDie, "cannot move volume '%s', only configured volumes can be moved to another storage", a.get("volume"))
		case !ok:
			return failed(exitDie, "unable to parse volume ID '%s'", keys[a.get("volume")])
		case a.has("digest") && a.get("digest") != digest(g.config):
			return failed(exitDie, "detected modified configuration - file changed by other user? Try again.")
		}
		all := db.storages()
		i := section(all, a.get("storage"))
		if i < 0 {
			return failed(exitDie, "storage '%s' does not exist", a.get("storage"))
		}
		from, to = d, drive{storage: all[i].ID, volume: newVolume(keys, all[i], a.get("vmid")), options: d.options}
		return nil
	}); code != 0 {
		return code
	}
	if !c.task("move_volume", a.get("vmid"), func(io.Writer) error {
		if err := c.sleep(5*time.Second + time.Duration(from.size()>>30)*time.Second); err != nil {
			return err
		}
		c.World.at(func(v *view) {
			db := v.database(c.Node.Name())
			g, ok := db.guests()[a.get("vmid")]
			if !ok {
				return
			}
			keys := parseGuest(g.config)
			keys[a.get("volume")] = to.String()
			if !a.bool("delete") {
				v.unuse(keys, from.String())
			}
			db.Write(g.path(), g.with(keys, g.pending()), v.now)
		})
		return nil
	}) {
		return exitDie
	}
	return 0
}

// pctCreate creates a container from a template.
func pctCreate(c *Command, a arguments) int {
	id, node := a.get("vmid"), c.Node.Name()
	storage, file, isTemplate := strings.Cut(a.get("ostemplate"), ":vztmpl/")
	var archive string
	if code := c.change(func(v *view, db *Database) error {
		if g, ok := db.guests()[id]; ok {
			return failed(exitDie, "%s %s already exists on node '%s'", g.word(), id, g.node)
		}
		all := db.storages()
		i := section(all, storage)
		switch {
		case !isTemplate:
			return failed(exitDie, "unable to parse volume ID '%s'", a.get("ostemplate"))
		case i < 0:
			return failed(exitDie, "storage '%s' does not exist", storage)
		case !usableOn(all[i], node):
			return failed(exitDie, "storage '%s' is not available on node '%s'", storage, node)
		}
		archive = or(all[i].Keys["path"], "/mnt/pve/"+storage) + "/template/cache/" + file
		return nil
	}); code != 0 {
		return code
	}
	if keys := a.get("ssh-public-keys"); keys != "" && !c.Node.Exists(keys) {
		return c.die(exitENOENT, "unable to open file '%s' - No such file or directory", keys)
	}
	if !c.task("vzcreate", id, func(out io.Writer) error {
		if err := c.sleep(20 * time.Second); err != nil {
			return err
		}
		if !c.Node.Exists(archive) {
			return fmt.Errorf("unable to create CT %s - volume '%s' does not exist", id, a.get("ostemplate"))
		}
		var err error
		c.World.at(func(v *view) {
			keys := map[string]string{"arch": "amd64", "ostype": "debian", "memory": "512", "swap": "512", "hostname": "CT" + id, "rootfs": a.or("storage", "local") + ":4"}
			for key, value := range a.values {
				if !slices.Contains([]string{"vmid", "ostemplate", "storage", "pool", "ssh-public-keys", "bwlimit", "start", "ignore-unpack-errors", "unprivileged"}, key) {
					keys[key] = v.ctValue(key, value)
				}
			}
			if !a.has("unprivileged") || a.bool("unprivileged") {
				keys["unprivileged"] = "1"
			}
			db := v.database(node)
			if err = v.allocateVolumes(db, id, keys); err != nil {
				err = fmt.Errorf("unable to create CT %s - %w", id, err)
				return
			}
			db.Write("nodes/"+node+"/lxc/"+id+".conf", []byte(formatGuest(keys)), v.now)
			if a.bool("start") {
				v.power(db.guestState(id), true)
			}
		})
		if err == nil {
			fmt.Fprintf(out, "extracting archive '%s'\nDetected container architecture: amd64\n", archive)
		}
		return err
	}) {
		return exitDie
	}
	return 0
}
