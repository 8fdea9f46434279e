package proxmox

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"

	"hlplay/engine/pattern"
)

// formatGuest formats a guest's configuration file: the description as comments, then everything else.
func formatGuest(keys map[string]string) string {
	var b strings.Builder
	if text := strings.TrimRight(keys["description"], "\n"); text != "" {
		for _, line := range strings.Split(text, "\n") {
			fmt.Fprintf(&b, "#%s\n", encodeComment(line))
		}
	}
	for _, key := range sortedKeys(keys) {
		if key != "description" {
			fmt.Fprintf(&b, "%s: %s\n", key, keys[key])
		}
	}
	return b.String()
}

// shownGuest formats a configuration as qm config prints it.
func shownGuest(keys map[string]string) string {
	var b strings.Builder
	for _, key := range sortedKeys(keys) {
		value := keys[key]
		if key == "description" {
			value = encodeComment(value)
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return b.String()
}

func parseGuest(config string) map[string]string {
	keys := map[string]string{}
	var description []string
	for line := range strings.Lines(config) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "[") {
			break
		}
		if text, ok := strings.CutPrefix(line, "#"); ok {
			description = append(description, decodeComment(text))
		} else if key, value, ok := strings.Cut(line, ":"); ok {
			keys[key] = or(strings.TrimSpace(value), " ") // an empty boot order is a space
		}
	}
	if len(description) > 0 {
		keys["description"] = strings.Join(description, "\n")
	}
	return keys
}

// pendingHeads are, by kind of guest, the headers of the section with changes that take effect at the next start.
var pendingHeads = map[string]string{"qemu": "[PENDING]", "lxc": "[pve:pending]"}

// pending returns the changes that take effect at the next start. The value of "delete" is a list of options.
func (g guest) pending() map[string]string {
	_, section, _ := strings.Cut(g.config, "\n"+pendingHeads[g.kind]+"\n")
	return parseGuest(section)
}

// with formats a configuration of the guest with pending changes.
func (g guest) with(keys, pending map[string]string) []byte {
	text := formatGuest(keys)
	if len(pending) > 0 {
		text += "\n" + pendingHeads[g.kind] + "\n" + formatGuest(pending)
	}
	return []byte(text)
}

// applied returns the guest's configuration after applying the pending changes.
func (g guest) applied() map[string]string {
	keys, pending := parseGuest(g.config), g.pending()
	gone := splitList(pending["delete"])
	delete(pending, "delete")
	maps.Copy(keys, pending)
	for _, key := range gone {
		delete(keys, key)
	}
	return keys
}

// word returns the guest's kind in messages: VM or CT.
func (g guest) word() string {
	return map[string]string{"qemu": "VM", "lxc": "CT"}[g.kind]
}

// unplugged reports whether a change to an option of a running guest is pending until the next start. Changes to PCI
// devices, the number of processors and the agent always are; those to USB devices and memory unless hotplug is enabled for them
// (PVE::QemuServer, vmconfig_hotplug_pending). The result for other options is always false.
func unplugged(key string, keys map[string]string) bool {
	switch key {
	case "cores", "sockets", "agent":
		return true
	case "memory":
		return !strings.Contains(keys["hotplug"], "memory")
	}
	usb := strings.HasPrefix(key, "usb") && strings.Contains(or(keys["hotplug"], "network,disk,usb"), "usb") && hotUSB[keys["ostype"]]
	return passedThrough.MatchString(key) && !usb
}

// hotUSB are the guest types whose USB devices can be exchanged at run time.
var hotUSB = map[string]bool{"l26": true, "win8": true, "win10": true, "win11": true}

// unlocked returns an error if the guest is locked.
func (g guest) unlocked() error {
	if lock := parseGuest(g.config)["lock"]; lock != "" {
		return failed(exitDie, "%s is locked (%s)", g.word(), lock)
	}
	return nil
}

// withoutLock returns the guest's configuration without its lock. Snapshots and pending changes stay.
func (g guest) withoutLock() string {
	keys, sections := parseGuest(g.config), ""
	if i := strings.Index("\n"+g.config, "\n["); i >= 0 {
		sections = "\n" + g.config[i:]
	}
	delete(keys, "lock")
	return formatGuest(keys) + sections
}

func guestUnlock(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		g, err := c.own(db, a)
		if err != nil {
			return err
		}
		db.Write(g.path(), []byte(g.withoutLock()), v.now)
		return nil
	})
}

var (
	netKey     = pattern.New(`^net\d+$`)
	bareCard   = pattern.New(`^(model=)?(virtio|vmxnet3|rtl8139|e1000e?)(,|$)`)
	deviceKey  = pattern.New(`^(net|scsi|virtio|sata|ide|hostpci|usb)\d+$`)
	guestFlags = map[string]bool{"onboot": true, "numa": true, "tablet": true, "protection": true, "acpi": true, "kvm": true, "freeze": true, "reboot": true, "autostart": true, "unprivileged": true, "console": true, "debug": true}
)

// guestValue returns a value as qemu-server writes it: booleans as 1 and 0, also among the properties of a device, and
// with a generated MAC address for a network card without one.
func (v *view) guestValue(key, value string) string {
	if guestFlags[key] {
		return fmt.Sprint(number(truth(value)))
	}
	if !deviceKey.MatchString(key) {
		return value
	}
	items := strings.Split(value, ",")
	for i, item := range items {
		if name, text, ok := strings.Cut(item, "="); ok && name != "discard" && boolean(text) == "" {
			items[i] = name + "=" + fmt.Sprint(number(truth(text)))
		}
	}
	value = strings.Join(items, ",")
	if card := bareCard.FindStringSubmatch(value); netKey.MatchString(key) && card != nil {
		sum := sha256.Sum256([]byte(fmt.Sprint("card/", v.next())))
		value = fmt.Sprintf("%s=BC:24:11:%02X:%02X:%02X%s", card[2], sum[0], sum[1], sum[2], strings.TrimPrefix(value, card[1]+card[2]))
	}
	return value
}

// latin1 returns a text as Perl prints it to a terminal with a single-byte encoding.
func latin1(text string) string {
	var b []byte
	for _, r := range text {
		if r > 0xff {
			return text
		}
		b = append(b, byte(r))
	}
	return string(b)
}
