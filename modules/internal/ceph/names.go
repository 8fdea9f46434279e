package ceph

import (
	"hlplay/engine/pattern"
	"hlplay/modules/internal/pve"
)

var (
	objectName  = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	deviceClass = pattern.New(`^[A-Za-z0-9_-]+$`)
)

// CheckName checks the name of a pool, rule or file system. An empty name crashes monitors.
func CheckName(argument, name string) error {
	return pve.CheckForm(objectName, argument, name, "letters, digits, _ - and ., not beginning with a dot or hyphen")
}

// CheckDeviceClass checks a device class.
func CheckDeviceClass(argument, class string) error {
	return pve.CheckForm(deviceClass, argument, class, "a class such as hdd, ssd or nvme")
}
