package pve

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"hlplay/modules"
)

var (
	nodeName    = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	configID    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]+$`)
	storageID   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$`)
	serviceID   = regexp.MustCompile(`^(vm|ct):([1-9][0-9]{2,8})$`)
	cephName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	deviceClass = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// CheckNodeName checks a node's or a cluster's name against PVE's format pve-node.
func CheckNodeName(argument, name string) error {
	return check(nodeName, argument, name, "letters, digits and inner hyphens")
}

// CheckConfigID checks the name of an HA group or rule.
func CheckConfigID(argument, id string) error {
	return check(configID, argument, id, "a letter, then at least one letter, digit, _ or -")
}

// CheckStorageID checks the id of a storage.
func CheckStorageID(argument, id string) error {
	return check(storageID, argument, id, "a letter, then letters, digits, - _ or ., ending in a letter or digit")
}

// CheckServiceID checks an HA service id.
func CheckServiceID(argument, sid string) error {
	return check(serviceID, argument, sid, "vm:ID or ct:ID with an id of 100 or more")
}

// CheckCephName checks the name of a pool, rule or file system. An empty name crashes monitors.
func CheckCephName(argument, name string) error {
	return check(cephName, argument, name, "letters, digits, _ - and ., not beginning with a dot or hyphen")
}

// CheckDeviceClass checks a device class.
func CheckDeviceClass(argument, class string) error {
	return check(deviceClass, argument, class, "a class such as hdd, ssd or nvme")
}

func check(form *regexp.Regexp, argument, text, want string) error {
	if form.MatchString(text) {
		return nil
	}
	return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not valid", text), Want: "expected " + want}
}

// SplitServiceID reads a service id that CheckServiceID accepts; kind is "qemu" or "lxc".
func SplitServiceID(sid string) (kind string, id int) {
	kind, text, _ := strings.Cut(sid, ":")
	id, _ = strconv.Atoi(text)
	if kind == "ct" {
		return "lxc", id
	}
	return "qemu", id
}
