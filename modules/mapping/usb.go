package mapping

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// USB maps a USB device on each of several nodes.
type USB struct {
	ID          string            `hcl:"id" doc:"Name of the mapping, which guests refer to: usb0 = \"mapping=key\"."`
	Devices     map[string]string `hcl:"devices" doc:"Devices by node name: vendor and product, for a device in any port ({ pve1 = \"0781:5567\" }), or a port, for the device that is plugged in there now ({ pve1 = \"1-2.3\" })."`
	Description string            `hcl:"description,optional" doc:"Description of the mapping."`
}

var (
	usbID   = pattern.New(`^[0-9a-f]{4}:[0-9a-f]{4}$`)
	usbPort = pattern.New(`^\d+-\d+(\.\d+)*$`)
)

func (u *USB) validate() error {
	if err := pve.CheckConfigID("usb.id", u.ID); err != nil {
		return err
	}
	if len(u.Devices) == 0 {
		return &modules.ArgumentError{Argument: "usb.devices", Problem: "empty", Want: "the device of each node"}
	}
	for _, node := range slices.Sorted(maps.Keys(u.Devices)) {
		if err := pve.CheckNodeName("usb.devices", node); err != nil {
			return err
		}
		if name := u.Devices[node]; !usbID.MatchString(name) && !usbPort.MatchString(name) {
			return &modules.ArgumentError{Argument: "usb.devices." + node, Problem: fmt.Sprintf("%q is neither the vendor and product of a USB device nor a port", name),
				Want: "expected an id as printed by lsusb, in lower case: 0781:5567; or a port: 1-2.3"}
		}
	}
	return pve.CheckText("usb.description", u.Description)
}

func (u *USB) names(node string) []string { return []string{u.Devices[node]} }

// usbDevices observes the vendor and product of the USB devices by port, such as "1-2.3". Its only name is "". Root hubs
// have no port and are left out.
var usbDevices = &observe.Kind[map[string]string]{
	Name: "usb-devices", What: "the USB devices",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{
			Script: `[ -e /sys/bus/usb/devices ] || exit 0
cd /sys/bus/usb/devices && [ -r . ] || exit 1
set -- */idVendor
[ -e "$1" ] || exit 0
exec grep -H '' */idVendor */idProduct /dev/null`,
		}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]string, error)) {
		devices, err := parseUSB(answers[0])
		for _, name := range names {
			tell(name, devices, err)
		}
	},
}

func parseUSB(a remote.Answer) (map[string]string, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("/sys/bus/usb/devices cannot be read: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	devices := map[string]string{}
	vendors := map[string]string{}
	for line := range strings.Lines(string(a.Stdout)) {
		file, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch port, attribute, _ := strings.Cut(file, "/"); {
		case !usbPort.MatchString(port):
		case attribute == "idVendor":
			vendors[port] = value
		case attribute == "idProduct":
			devices[port] = vendors[port] + ":" + value
		}
	}
	for port, id := range devices {
		if !usbID.MatchString(id) {
			return nil, fmt.Errorf("the USB device at port %s has vendor and product %q, expected four hexadecimal digits each", port, id)
		}
	}
	return devices, nil
}

// device returns a node's device as Proxmox VE writes it.
func (u *USB) device(ctx context.Context, h modules.Host, node, name string) (map[string]string, error) {
	if on, err := pve.Listed(h, node); err == nil {
		usbDevices.Want(on, "")
	}
	on, err := pve.HostOf(ctx, h, node)
	if err != nil {
		return nil, fmt.Errorf("usb.devices: %w", err)
	}
	devices, err := usbDevices.Observe(ctx, on, "")
	if err != nil {
		return nil, err
	}
	if usbPort.MatchString(name) {
		if id, ok := devices[name]; ok {
			return map[string]string{"node": node, "id": id, "path": name}, nil
		}
		return nil, fmt.Errorf("usb.devices: nothing is plugged in at port %s of %s; it has: %s", name, node, listUSB(devices))
	}
	var ports []string
	for port, id := range devices {
		if id == name {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	switch len(ports) {
	case 0:
		return nil, fmt.Errorf("usb.devices: %s has no device %s; it has: %s", node, name, listUSB(devices))
	case 1:
		return map[string]string{"node": node, "id": name}, nil
	}
	return nil, fmt.Errorf("usb.devices: %s has several devices %s: give the port of the right one: %s", node, name, strings.Join(ports, ", "))
}

func listUSB(devices map[string]string) string {
	var all []string
	for _, port := range slices.Sorted(maps.Keys(devices)) {
		all = append(all, devices[port]+" at "+port)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
