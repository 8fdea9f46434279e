package qm

import (
	"strings"

	"hlplay/engine/pattern"
	"hlplay/modules/internal/pve"
)

// form is how Proxmox VE interprets the options of a virtual machine (PVE::QemuServer).
var form = pve.GuestForm{
	Defaults: map[string]string{
		"cores": "1", "sockets": "1", "memory": "512", "bios": "seabios", "ostype": "other", "scsihw": "lsi",
		"acpi": "1", "kvm": "1", "tablet": "1", "reboot": "1", "ciupgrade": "1",
		"onboot": "0", "numa": "0", "protection": "0", "autostart": "0", "freeze": "0", "tdf": "0", "template": "0", "agent": "0",
	},
	DefaultKeys: map[string]string{
		"agent": "enabled", "audio": "device", "boot": "legacy", "cpu": "cputype", "hostpci": "host", "ipconfig": "", "machine": "type",
		"memory": "current", "numa": "", "parallel": "", "rng": "source", "smbios": "uuid", "spice_enhancements": "", "startup": "order",
		"usb": "host", "vga": "type", "virtiofs": "dirid", "watchdog": "model",
	},
	Sets:    []string{"tags", "hotplug"}, // Proxmox VE writes tags in lower case
	Disk:    diskSlot.MatchString,
	Unsized: []string{"efidisk0", "tpmstate0"},
	Card:    cardOf,
}

// cardForm matches the model of a network device, which becomes a key if a MAC address follows it.
var cardForm = pattern.New(`^(virtio|vmxnet3|rtl8139|pcnet|ne2k_(isa|pci)|i8255[0-9a-z]+|e1000[0-9a-z-]*)(=|$)`)

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
	if mac, given := card["macaddr"]; given { // in any form; Proxmox VE stores it in upper case
		card["macaddr"] = strings.ToUpper(mac)
	}
	return card
}
