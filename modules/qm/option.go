package qm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hlplay/modules/internal/pve"
)

// defaults are the values of options that are not set (PVE::QemuServer).
var defaults = map[string]string{
	"cores": "1", "sockets": "1", "memory": "512", "bios": "seabios", "ostype": "other", "scsihw": "lsi",
	"acpi": "1", "kvm": "1", "tablet": "1", "reboot": "1", "ciupgrade": "1",
	"onboot": "0", "numa": "0", "protection": "0", "autostart": "0", "freeze": "0", "tdf": "0", "template": "0", "agent": "0",
}

// defaultKeys are the default keys of the options whose value is a property string.
var defaultKeys = map[string]string{
	"agent": "enabled", "audio": "device", "boot": "legacy", "cpu": "cputype", "hostpci": "host", "ipconfig": "", "machine": "type",
	"memory": "current", "numa": "", "parallel": "", "rng": "source", "smbios": "uuid", "spice_enhancements": "", "startup": "order",
	"usb": "host", "vga": "type", "virtiofs": "dirid", "watchdog": "model",
}

// sets are the options that are lists in any order. Proxmox VE writes tags in lower case.
var sets = []string{"tags", "hotplug"}

// cardForm matches the model of a network device, which becomes a key if a MAC address follows it.
var cardForm = regexp.MustCompile(`^(virtio|vmxnet3|rtl8139|pcnet|ne2k_(isa|pci)|i8255[0-9a-z]+|e1000[0-9a-z-]*)(=|$)`)

// differs reports whether an option of a machine differs from the task's. Of disks and network devices only the properties
// that the task sets are compared, because Proxmox VE chooses MAC addresses, names of volumes and the like.
func differs(key, have, want string) bool {
	kind := strings.TrimRight(key, "0123456789")
	switch {
	case key == "description":
		return strings.TrimRight(have, "\n") != strings.TrimRight(want, "\n")
	case have == "" && want == "", have == "" && pve.Scalar.Same(defaults[key], want) && defaults[key] != "":
		return false
	case have == "":
		return true
	case diskSlot.MatchString(key):
		return diskDiffers(key, have, want)
	case netSlot.MatchString(key):
		return lacks(cardOf(have), cardOf(want))
	case slices.Contains(sets, key):
		return !pve.Fold.Same(have, want) && !pve.Scalar.Same(have, want)
	}
	if fallback, ok := defaultKeys[kind]; ok && (key != "numa" || strings.Contains(have+want, "=")) {
		return !maps.Equal(pve.PropertiesOf(have, fallback), pve.PropertiesOf(want, fallback))
	}
	return !pve.Scalar.Same(have, want)
}

// lacks reports whether a wanted property differs. off is the value of properties that are not set.
func lacks(have, want map[string]string) bool {
	for key, value := range want {
		now, written := have[key]
		if now != value && (written || value != "0") {
			return true
		}
	}
	return false
}

func cardOf(text string) map[string]string {
	card := pve.PropertiesOf(text, "model")
	for key, value := range card {
		if key != "model" && cardForm.MatchString(key) {
			delete(card, key)
			card["model"] = key
			if value != "" {
				card["macaddr"] = value
			}
		}
	}
	if mac, given := card["macaddr"]; given { // in whatever form; it is stored in upper case
		card["macaddr"] = strings.ToUpper(mac)
	}
	return card
}

// atCreation are the properties of a disk that say how to create it, and that are not stored.
var atCreation = []string{"file", "import-from", "format", "size"}

func diskDiffers(key, have, want string) bool {
	is, shall := pve.PropertiesOf(have, "file"), pve.PropertiesOf(want, "file")
	now, _, _ := strings.Cut(is["file"], ":")
	then, _, _ := strings.Cut(shall["file"], ":")
	if now != then {
		return true
	}
	if parts := newVolume.FindStringSubmatch(want); parts != nil && is["size"] != "" && key != "efidisk0" && key != "tpmstate0" {
		// Storages round up the size of what Proxmox VE allocates; these two kinds have a size of their own.
		gib, _ := strconv.ParseFloat(parts[2], 64)
		size, _ := strconv.ParseFloat(is["size"], 64)
		if wanted := gib * (1 << 30); size < wanted || size >= wanted+1<<30 {
			return true
		}
	}
	for _, property := range atCreation {
		delete(shall, property)
	}
	return lacks(is, shall)
}

// drift lists how a machine differs from the task.
func (m *Module) drift(have pve.GuestConfig) []string {
	var drift []string
	want := m.wanted()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if now := have.Options[key]; differs(key, now, want[key]) && !m.replaces(key, have) {
			drift = append(drift, fmt.Sprintf("%s is %q, the task specifies %q", key, now, want[key]))
		}
	}
	return drift
}
