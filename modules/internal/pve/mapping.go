package pve

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// mappingFolder contains a file for each kind of mapped device.
const mappingFolder = "/etc/pve/mapping/"

// PCIFile contains the mapped PCI devices, USBFile the mapped USB devices.
const (
	PCIFile = mappingFolder + "pci.cfg"
	USBFile = mappingFolder + "usb.cfg"
)

// Mapping is a device that guests refer to by the id of the mapping, whatever the device is on each node.
type Mapping struct {
	// Devices holds the parsed lines of the mapping, in the order of the file; each has a node.
	Devices []map[string]string
	// Options holds the other properties: description, mdev, live-migration-capable.
	Options map[string]string
	// Digest is the version of its file (see Versioned). An expectation does not claim it.
	Digest string
}

// Nodes returns the nodes that have the device, in the mapping's order.
func (m Mapping) Nodes() []string {
	var nodes []string
	for _, device := range m.Devices {
		if node := device["node"]; node != "" && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// HostPCI returns the PCI addresses on a node that an option hostpciN of a guest refers to: the addresses it names, or all
// of its mapping, of which the guest gets one. An address without a function stands for all functions of the card.
func HostPCI(option, node string, mappings map[string]Mapping) []string {
	var all []string
	if id, ok := mapped(option); ok {
		for _, device := range mappings["pci/"+id].Devices {
			if device["node"] == node {
				all = append(all, strings.Split(device["path"], ";")...)
			}
		}
		return all
	}
	first, _, _ := strings.Cut(option, ",")
	for address := range strings.SplitSeq(strings.TrimPrefix(first, "host="), ";") {
		if strings.Count(address, ":") == 1 {
			address = "0000:" + address
		}
		all = append(all, address)
	}
	return all
}

// Mappings observes the mapped devices by "pci/ID" or "usb/ID", under the empty name.
var Mappings = &observe.Kind[map[string]Mapping]{
	Complete: func(expected, found map[string]Mapping) map[string]Mapping {
		expected = maps.Clone(expected)
		for id, m := range expected {
			m.Digest = found[id].Digest
			expected[id] = m
		}
		return expected
	},
	Name: "pve-mappings", What: "the mapped devices",
	Shared: observe.Always,
	Ask: func([]string) []remote.Query {
		return []remote.Query{readFile(mappingFolder + "pci.cfg"), readFile(mappingFolder + "usb.cfg")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]Mapping, error)) {
		all := map[string]Mapping{}
		var failed error
		for i, kind := range []string{"pci", "usb"} {
			file := path.Join(mappingFolder, kind+".cfg")
			content, _, err := fileContent(file, answers[i])
			if err == nil {
				err = readMappings(content, kind, all)
				if err != nil {
					err = &FileError{file, err}
				}
			}
			for id, m := range all {
				if strings.HasPrefix(id, kind+"/") {
					m.Digest = digestOf(content)
					all[id] = m
				}
			}
			if failed == nil {
				failed = err
			}
		}
		for _, name := range names {
			tell(name, all, failed)
		}
	},
}

// readMappings parses a file of mappings: the header of a section is just the id, and there is a line "map node=…,…"
// for each device.
func readMappings(content []byte, kind string, into map[string]Mapping) error {
	id, number := "", 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimRight(string(line), " \t\r\n")
		property := strings.TrimLeft(text, " \t")
		switch {
		case text == "", strings.HasPrefix(property, "#"):
		case property == text:
			id = kind + "/" + text
			into[id] = Mapping{Options: map[string]string{}}
		case id == "":
			return fmt.Errorf("line %d: %q belongs to no mapping", number, property)
		default:
			m := into[id]
			key, value, _ := strings.Cut(property, " ")
			if key != "map" {
				m.Options[key] = decodeText(strings.TrimSpace(value))
				break
			}
			device := map[string]string{}
			for part := range strings.SplitSeq(value, ",") {
				name, is, _ := strings.Cut(strings.TrimSpace(part), "=")
				device[name] = is
			}
			m.Devices = append(m.Devices, device)
			into[id] = m
		}
	}
	return nil
}
