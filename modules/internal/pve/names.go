package pve

import (
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/modules"
)

var (
	nodeName  = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	configID  = pattern.New(`^[A-Za-z][A-Za-z0-9_-]+$`)
	storageID = pattern.New(`^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$`)
	guestName = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)
	serviceID = pattern.New(`^(vm|ct):([1-9][0-9]{2,8})$`)
)

// CheckNodeName checks the name of a node or cluster against PVE's format pve-node.
func CheckNodeName(argument, name string) error {
	return CheckForm(nodeName, argument, name, "letters, digits and inner hyphens")
}

// CheckConfigID checks the name of an HA group or rule.
func CheckConfigID(argument, id string) error {
	return CheckForm(configID, argument, id, "a letter, then at least one letter, digit, _ or -")
}

// CheckStorageID checks the id of a storage.
func CheckStorageID(argument, id string) error {
	return CheckForm(storageID, argument, id, "a letter, then letters, digits, - _ or ., ending in a letter or digit")
}

// CheckGuestName checks the name of a virtual machine or the host name of a container.
func CheckGuestName(argument, name string) error {
	return CheckForm(guestName, argument, name, "a DNS name: letters, digits, hyphens and dots")
}

// CheckServiceID checks an HA service id.
func CheckServiceID(argument, sid string) error {
	return CheckForm(serviceID, argument, sid, "vm:ID or ct:ID with an id of 100 or more")
}

// CheckForm checks an argument against its required form, which want describes.
func CheckForm(form *pattern.Regexp, argument, text, want string) error {
	if form.MatchString(text) {
		return nil
	}
	return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not valid", text), Want: "expected " + want}
}

// CheckText checks a text that Proxmox VE stores as the rest of a line in a configuration file (PVE::SectionConfig).
// Leading and trailing blanks are lost there, so such a text would differ from the stored one in every run.
func CheckText(argument, text string) error {
	switch {
	case strings.ContainsAny(text, "\n\r\x00"):
		return &modules.ArgumentError{Argument: argument, Problem: "has a line break", Want: "one line"}
	case strings.TrimSpace(text) != text:
		return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q begins or ends with a blank, which Proxmox VE strips", text), Want: "remove it, with trimspace() if the value is computed"}
	}
	return nil
}

// SplitServiceID parses a service id that CheckServiceID accepts; kind is "qemu" or "lxc".
func SplitServiceID(sid string) (kind string, id int) {
	kind, text, _ := strings.Cut(sid, ":")
	id, _ = strconv.Atoi(text)
	if kind == "ct" {
		return "lxc", id
	}
	return "qemu", id
}
