package pve

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// mappingFolder holds a file for each kind of mapped devices.
const mappingFolder = "/etc/pve/mapping/"

// Mappings observes the nodes that a mapped device is on, by "pci/ID" or "usb/ID"; its only name is "".
var Mappings = &observe.Kind[map[string][]string]{
	Name: "pve-mappings", What: "the mapped devices",
	Shared: observe.Always,
	Ask: func([]string) []remote.Query {
		return []remote.Query{readFile(mappingFolder + "pci.cfg"), readFile(mappingFolder + "usb.cfg")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string][]string, error)) {
		all := map[string][]string{}
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
			if failed == nil {
				failed = err
			}
		}
		for _, name := range names {
			tell(name, all, failed)
		}
	},
}

// readMappings reads a file of mappings: a section's header is the id alone, and there is a line "map node=…,…" for each device.
func readMappings(content []byte, kind string, into map[string][]string) error {
	id, number := "", 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimRight(string(line), " \t\r\n")
		property := strings.TrimLeft(text, " \t")
		switch {
		case text == "", strings.HasPrefix(property, "#"):
		case property == text:
			id = kind + "/" + text
			into[id] = nil
		case id == "":
			return fmt.Errorf("line %d: %q belongs to no mapping", number, property)
		default:
			devices, ok := strings.CutPrefix(property, "map ")
			for part := range strings.SplitSeq(devices, ",") {
				node, is := strings.CutPrefix(strings.TrimSpace(part), "node=")
				if ok && is && !slices.Contains(into[id], node) {
					into[id] = append(into[id], node)
				}
			}
		}
	}
	return nil
}
