package proxmox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// Command: qm disk, which moves and resizes the disks of a guest.

const qemuImg = "/usr/bin/qemu-img"

func qmDiskCommands(vmid map[string]check) []perlCommand {
	move := map[string]check{"delete": boolean, "format": oneOf("raw", "qcow2", "vmdk"), "bwlimit": integer(0, 0), "digest": anyText}
	resize := map[string]check{"digest": anyText, "skiplock": boolean}
	sizes := map[string]check{"vmid": vmid["vmid"], "size": matching(`^\+?\d+(\.\d+)?[KMGT]?$`)}
	var all []perlCommand
	for _, name := range []string{"disk move", "move-disk", "move_disk"} {
		all = append(all, perlCommand{name: name, args: []string{"vmid", "disk", "storage"}, usage: "<vmid> <disk> [<storage>] [OPTIONS]", options: move, checks: vmid, run: qmDiskMove})
	}
	for _, name := range []string{"disk resize", "resize"} {
		all = append(all, perlCommand{name: name, args: []string{"vmid", "disk", "size"}, usage: "<vmid> <disk> <size> [OPTIONS]", options: resize, checks: sizes, run: qmDiskResize})
	}
	return all
}

// drive is a disk in a guest's configuration: "STORAGE:VOLUME,size=4G".
type drive struct{ storage, volume, options string }

func parseDrive(value string) (d drive, ok bool) {
	id, options, _ := strings.Cut(value, ",")
	d.storage, d.volume, ok = strings.Cut(id, ":")
	d.options = options
	return d, ok
}

func (d drive) id() string { return d.storage + ":" + d.volume }

func (d drive) String() string {
	if d.options == "" {
		return d.id()
	}
	return d.id() + "," + d.options
}

// size returns the size of a drive in bytes, or zero if its options do not contain it.
func (d drive) size() int64 { return sizeOf(properties(d.options)["size"]) }

var sizePattern = pattern.New(`^(\d+(?:\.\d+)?)([KMGT]?)$`)

func sizeOf(text string) int64 {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	return int64(n * float64(int64(1)<<map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[m[2]]))
}

// sizeText formats a size as in configurations: in the largest unit of which it is a multiple.
func sizeText(bytes int64) string {
	unit := 0
	for unit < 4 && bytes != 0 && bytes%1024 == 0 {
		bytes, unit = bytes/1024, unit+1
	}
	return fmt.Sprint(bytes) + []string{"", "K", "M", "G", "T"}[unit]
}

// newVolume returns the name of the guest's next volume on a storage.
func newVolume(keys map[string]string, s Section, id string) string {
	for n := 0; ; n++ {
		volume := fmt.Sprintf("vm-%s-disk-%d", id, n)
		if s.Type == "dir" {
			volume = id + "/" + volume + ".raw"
		}
		taken := false
		for _, value := range keys {
			d, ok := parseDrive(value)
			taken = taken || ok && d.storage == s.ID && d.volume == volume
		}
		if !taken {
			return volume
		}
	}
}

// imageStorage returns the storage with a name if it can store disk images.
func (v *view) imageStorage(db *Database, id string) (Section, error) {
	all := db.storages()
	i := section(all, id)
	switch {
	case i < 0:
		return Section{}, failed(exitDie, "storage '%s' does not exist", id)
	case !slices.Contains(splitList(all[i].Keys["content"]), "images"):
		return Section{}, failed(exitDie, "storage '%s' does not support content-type 'images'", id)
	}
	if _, _, _, status, _ := v.storageState(db, "", all[i]); status != "active" {
		return Section{}, failed(exitDie, "rbd error: rbd: couldn't connect to the cluster!")
	}
	return all[i], nil
}

// disk returns a disk of a guest on this node, if it may be changed.
func (c *Command) disk(db *Database, a arguments) (g guest, keys map[string]string, d drive, err error) {
	if g, err = c.changeable(db, a); err != nil {
		return g, nil, d, err
	}
	keys = parseGuest(g.config)
	value, ok := keys[a.get("disk")]
	if !ok || !diskKey.MatchString(a.get("disk")) {
		return g, keys, d, failed(exitDie, "disk '%s' does not exist", a.get("disk"))
	}
	d, ok = parseDrive(value)
	if !ok {
		return g, keys, d, failed(exitDie, "disk '%s' has no associated volume", a.get("disk"))
	}
	return g, keys, d, nil
}

func qmDiskMove(c *Command, a arguments) int {
	var from, to drive
	var running bool
	if code := c.change(func(v *view, db *Database) error {
		_, keys, d, err := c.disk(db, a)
		if err != nil {
			return err
		}
		if properties(d.options)["media"] == "cdrom" {
			return failed(exitDie, "you can't move a cdrom")
		}
		if d.storage == a.get("storage") {
			return failed(exitDie, "you can't move to the same storage with same format")
		}
		s, err := v.imageStorage(db, a.get("storage"))
		if err != nil {
			return err
		}
		from, to = d, drive{storage: s.ID, volume: newVolume(keys, s, a.get("vmid")), options: d.options}
		running = db.guestState(a.get("vmid")).Running
		return nil
	}); code != 0 {
		return code
	}
	if !c.task("qmmove", a.get("vmid"), func(out io.Writer) error { return c.moveDisk(a, from, to, running, out) }) {
		return exitDie
	}
	return 0
}

// moveDisk copies a volume and makes the configuration refer to the copy.
func (c *Command) moveDisk(a arguments, from, to drive, running bool, out io.Writer) error {
	fmt.Fprintf(out, "copying volume '%s' from current storage '%s' to target storage '%s'\n", from.id(), from.storage, to.storage)
	fmt.Fprintf(out, "create full clone of drive %s (%s)\nallocated target volume '%s'\n", a.get("disk"), from.id(), to.id())
	if err := c.sleep(time.Second + time.Duration(from.size()>>30)*100*time.Millisecond); err != nil {
		return err
	}
	whole := size(from.size())
	switch name := "drive-" + a.get("disk"); {
	case running:
		fmt.Fprintf(out, "drive mirror is starting for %s\n%s: transferred 0.0 B of %s (0.00%%) in 0s\n%s: transferred %s of %s (100.00%%) in 1s, ready\nall 'mirror' jobs are ready\n", name, name, whole, name, whole, whole)
		fmt.Fprintf(out, "%s: Completing block job...\n%s: Completed successfully.\n%s: mirror-job finished\n", name, name, name)
	case !c.Node.Exists(qemuImg):
		removeImage(out)
		convert := fmt.Sprintf("convert -p -n -f raw -O raw %s zeroinit:%s", rbdPath(from), rbdPath(to))
		quoted := fmt.Sprintf("convert -p -n -f raw -O raw '%s' 'zeroinit:%s'", rbdPath(from), rbdPath(to))
		//lint:ignore ST1005 the words are Perl's, recorded
		return fmt.Errorf("storage migration failed: copy failed: command '%s %s' failed: open3: exec of %s %s failed: No such file or directory at /usr/share/perl5/PVE/Cmd.pm line 174.", qemuImg, quoted, qemuImg, convert)
	default:
		fmt.Fprintf(out, "transferred 0.0 B of %s (0.00%%)\ntransferred %s of %s (100.00%%)\ntransferred %s of %s (100.00%%)\n", whole, whole, whole, whole, whole)
	}
	var err error
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		g, ok := db.guests()[a.get("vmid")]
		if !ok || !v.quorate(c.Node.Name()) {
			err = fmt.Errorf("storage migration failed: cluster not ready - no quorum?")
			return
		}
		keys := parseGuest(g.config)
		keys[a.get("disk")] = to.String()
		if !a.bool("delete") {
			n := 0
			for keys["unused"+strconv.Itoa(n)] != "" {
				n++
			}
			keys["unused"+strconv.Itoa(n)] = from.id()
			fmt.Fprintf(out, "adding source volume '%s' as 'unused%d' to config\n", from.id(), n)
		}
		db.Write(g.path(), g.with(keys, g.pending()), v.now)
	})
	if err == nil && a.bool("delete") {
		fmt.Fprintf(out, "removing source volume '%s' after successful copy\n", from.id())
		removeImage(out)
	}
	return err
}

// rbdPath returns the name by which qemu-img opens a volume.
func rbdPath(d drive) string {
	return fmt.Sprintf("rbd:%s/%s:conf=/etc/pve/ceph.conf:id=admin:keyring=/etc/pve/priv/ceph/%s.keyring", d.storage, d.volume, d.storage)
}

func removeImage(out io.Writer) {
	for percent := 1; percent < 100; percent++ {
		fmt.Fprintf(out, "Removing image: %d%% complete...\n", percent)
	}
	fmt.Fprintln(out, "Removing image: 100% complete...done.")
}

func qmDiskResize(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		g, keys, d, err := c.disk(db, a)
		if err != nil {
			return err
		}
		grow, relative := strings.CutPrefix(a.get("size"), "+")
		wanted, present := sizeOf(grow), d.size()
		if relative {
			wanted += present
		}
		switch {
		case wanted < present:
			return failed(exitDie, "shrinking disks is not supported")
		case wanted == present:
			return nil
		}
		var options []string
		for option := range strings.SplitSeq(d.options, ",") {
			if !strings.HasPrefix(option, "size=") {
				options = append(options, option)
			}
		}
		options = append(options, "size="+sizeText(wanted))
		slices.Sort(options)
		d.options = strings.Join(options, ",")
		keys[a.get("disk")] = d.String()
		db.Write(g.path(), g.with(keys, g.pending()), v.now)
		if all := db.storages(); section(all, d.storage) >= 0 && all[section(all, d.storage)].Type == "dir" {
			c.printf("Image resized.\n")
		} else {
			c.printf("Resizing image: 100%% complete...done.\n")
		}
		return nil
	})
}
