// Package mapping implements the module for resource mappings, which give devices of several Proxmox VE nodes one name, so
// that a guest can run on any of these nodes.
package mapping

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is a mapping.
type Module struct {
	PCI *PCI `hcl:"pci,block" doc:"A PCI device on each node."`
	USB *USB `hcl:"usb,block" doc:"A USB device on each node."`
}

// request is a mapping of either kind.
type request struct {
	// kind is "pci" or "usb", and file the file that holds such mappings.
	kind, file      string
	id, description string
	// nodes lists the nodes that the task names.
	nodes []string
	// named returns the devices of a node as the task names them; find reads one of them on its host.
	named func(node string) []string
	find  func(ctx context.Context, h modules.Host, node, name string) (map[string]string, error)
}

func (m *Module) request() request {
	if u := m.USB; u != nil {
		return request{"usb", pve.USBFile, u.ID, u.Description, slices.Sorted(maps.Keys(u.Devices)), u.names, u.device}
	}
	p := m.PCI
	return request{"pci", pve.PCIFile, p.ID, p.Description, slices.Sorted(maps.Keys(p.Devices)), p.addresses, p.device}
}

// PCI maps a PCI device on each of several nodes.
type PCI struct {
	ID          string            `hcl:"id" doc:"Name of the mapping, which guests refer to: hostpci0 = \"mapping=gpu\"."`
	Devices     map[string]string `hcl:"devices" doc:"Device addresses by node name: { pve1 = \"0000:01:00.0\", pve2 = \"0000:41:00.0\" }. Without a function number, all functions are mapped: \"0000:01:00\". Separate several devices of a node with commas; a guest gets one that is free."`
	Description string            `hcl:"description,optional" doc:"Description of the mapping."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:      "mapping",
	Vital:     []string{"/etc/pve/mapping/*"},
	Rewritten: []string{pve.PCIFile, pve.USBFile},
	Summary:   "Resource mappings: one name for devices of several nodes",
	Doc: `**pci** maps a device of each node to one name. What Proxmox VE compares when a guest starts (vendor and device, subsystem, IOMMU
group) is read on each host, so all nodes must be in the inventory. A host without the device is an error that lists its devices.
Devices of nodes that the task does not name stay in the mapping. If the mapping has more devices of a node than the task
names, the task fails and changes nothing.

**usb** does the same for USB devices: by vendor and product, in any port, or by port.

A guest that uses the mapping cannot start on a node without a device: notes name those nodes, and ` + "`ha { placement { strict = true } }`" + ` keeps it
away from them. Notes also name nodes whose devices differ or that have no IOMMU.`,
	Example: `task "one name for the graphics cards" {
  mapping {
    pci {
      id      = "gpu"
      devices = { pve1 = "0000:01:00.0", pve2 = "0000:41:00.0" }
    }
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

var address = pattern.New(`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}(\.[0-7])?$`)

// Scope implements modules.Scoped: a mapping belongs to the cluster.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	switch {
	case m.PCI != nil && m.USB == nil:
		return m.PCI.validate()
	case m.USB != nil && m.PCI == nil:
		return m.USB.validate()
	}
	return &modules.ArgumentError{Argument: "mapping", Problem: "needs one block", Want: "pci or usb"}
}

func (p *PCI) validate() error {
	if err := pve.CheckConfigID("pci.id", p.ID); err != nil {
		return err
	}
	if len(p.Devices) == 0 {
		return &modules.ArgumentError{Argument: "pci.devices", Problem: "empty", Want: "the device of each node"}
	}
	for _, node := range slices.Sorted(maps.Keys(p.Devices)) {
		if err := pve.CheckNodeName("pci.devices", node); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, at := range p.addresses(node) {
			switch {
			case !address.MatchString(at):
				return &modules.ArgumentError{Argument: "pci.devices." + node, Problem: fmt.Sprintf("%q is not the address of a PCI device", at), Want: "expected an address as printed by lspci -D, in lower case: 0000:01:00.0"}
			case seen[at]:
				return &modules.ArgumentError{Argument: "pci.devices." + node, Problem: fmt.Sprintf("names %s twice", at), Want: "each device once"}
			case slices.ContainsFunc(p.addresses(node), func(whole string) bool { return strings.HasPrefix(at, whole+".") }):
				return &modules.ArgumentError{Argument: "pci.devices." + node, Problem: fmt.Sprintf("names %s and the whole device that it belongs to", at), Want: "expected the whole device, or functions of it"}
			}
			seen[at] = true
		}
	}
	return pve.CheckText("pci.description", p.Description)
}

// addresses returns the addresses of a node's devices.
func (p *PCI) addresses(node string) []string {
	all := strings.Split(p.Devices[node], ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	p := m.request()
	pve.Clusters.Want(h, "")
	all, err := pve.Mappings.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	have, exists := all[p.kind+"/"+p.id]
	want := pve.Mapping{Options: maps.Clone(have.Options)}
	if want.Options == nil {
		want.Options = map[string]string{}
	}
	if p.description != "" {
		want.Options["description"] = p.description
	}
	for _, device := range have.Devices {
		if !slices.Contains(p.nodes, device["node"]) {
			want.Devices = append(want.Devices, device)
		}
	}
	for _, node := range p.nodes {
		if cluster.Name != "" && !slices.Contains(cluster.Names(), node) {
			return modules.Plan{}, fmt.Errorf("%s.devices: cluster %s has no node %s (it has %s)", p.kind, cluster.Name, node, strings.Join(cluster.Names(), ", "))
		}
		named := p.named(node)
		if mapped := mappedOn(have, node); len(mapped) > len(named) {
			return modules.Plan{}, fmt.Errorf("%s.devices: mapping %s has %d devices of %s (%s), and the task names %s: name all of them, separated by commas, or remove the others from the mapping first (Datacenter, Resource Mappings)",
				p.kind, p.id, len(mapped), node, strings.Join(mapped, ", "), strings.Join(named, ", "))
		}
		for _, at := range named {
			device, err := p.find(ctx, h, node, at)
			if err != nil {
				return modules.Plan{}, err
			}
			if text := descriptionOf(have, device); text != "" {
				device["description"] = text
			}
			want.Devices = append(want.Devices, device)
		}
	}
	plan := modules.Plan{Notes: p.notes(cluster, want)}
	if exists && same(have, want) {
		return plan, nil
	}
	if err := pve.Writable(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	plan.Steps = []modules.Step{p.step(h, all, have, want, exists)}
	return plan, nil
}

// descriptionOf returns the description of a device in a mapping, or "" if it has none.
func descriptionOf(m pve.Mapping, device map[string]string) string {
	for _, other := range m.Devices {
		if other["node"] == device["node"] && other["path"] == device["path"] && (device["path"] != "" || other["id"] == device["id"]) {
			return other["description"]
		}
	}
	return ""
}

// mappedOn returns the addresses of a node's devices in a mapping. One entry may have several, separated by semicolons.
func mappedOn(m pve.Mapping, node string) []string {
	var all []string
	for _, device := range m.Devices {
		if device["node"] == node {
			name := device["path"]
			if name == "" {
				name = device["id"] // a USB device, in any port
			}
			all = append(all, strings.Split(name, ";")...)
		}
	}
	return all
}

// device returns a node's device with the properties that Proxmox VE compares when a guest starts.
func (p *PCI) device(ctx context.Context, h modules.Host, node, where string) (map[string]string, error) {
	first := where
	if !strings.Contains(where, ".") {
		first += ".0"
	}
	folder := "/sys/bus/pci/devices/" + first + "/"
	if on, err := pve.Listed(h, node); err == nil {
		observe.PCIDevices.Want(on, "")
	}
	on, err := pve.HostOf(ctx, h, node)
	if err != nil {
		return nil, fmt.Errorf("pci.devices: %w", err)
	}
	observe.PCIUses.Want(on, "")
	observe.Files.Want(on, folder+"subsystem_vendor", folder+"subsystem_device")
	devices, err := observe.PCIDevices.Observe(ctx, on, "")
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(devices, func(d observe.PCIDevice) bool { return d.Address == first })
	if at < 0 {
		return nil, fmt.Errorf("pci.devices: %s has no device %s; it has: %s", node, where, list(devices))
	}
	uses, err := observe.PCIUses.Observe(ctx, on, "")
	if err != nil {
		return nil, err
	}
	files, err := observe.Files.ObserveAll(ctx, on, []string{folder + "subsystem_vendor", folder + "subsystem_device"})
	if err != nil {
		return nil, err
	}
	device := map[string]string{"id": devices[at].ID, "iommugroup": "-1", "node": node, "path": where}
	if _, err := strconv.Atoi(uses[first].Group); err == nil {
		device["iommugroup"] = uses[first].Group
	}
	vendor, model := hexOf(files[folder+"subsystem_vendor"]), hexOf(files[folder+"subsystem_device"])
	if vendor != "" && model != "" {
		device["subsystem-id"] = vendor + ":" + model
	}
	return device, nil
}

// hexOf returns the number in a file in sysfs without its 0x, or "" if there is no such file.
func hexOf(f observe.File) string {
	return strings.TrimPrefix(strings.TrimSpace(string(f.Content)), "0x")
}

// list lists the devices that guests can get: all but bridges.
func list(devices []observe.PCIDevice) string {
	var all []string
	for _, d := range devices {
		if !strings.HasPrefix(d.Class, "06") {
			all = append(all, d.Address+" ("+d.ID+")")
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// line formats a device with its keys in alphabetical order, as the web interface sends them.
func line(device map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(device)) {
		parts = append(parts, key+"="+device[key])
	}
	return strings.Join(parts, ",")
}

func lines(m pve.Mapping) []string {
	var all []string
	for _, device := range m.Devices {
		all = append(all, line(device))
	}
	slices.Sort(all)
	return all
}

// same reports whether two mappings have the same devices and options, in any order.
func same(a, b pve.Mapping) bool {
	return slices.Equal(lines(a), lines(b)) && maps.Equal(a.Options, b.Options)
}

// step writes the mapping with the complete list of devices, because pvesh removes those that are left out.
func (p request) step(h modules.Host, all map[string]pve.Mapping, have, want pve.Mapping, exists bool) modules.Step {
	after := maps.Clone(all)
	if after == nil {
		after = map[string]pve.Mapping{}
	}
	after[p.kind+"/"+p.id] = want
	argv, verb := []string{"pvesh", "create", "/cluster/mapping/" + p.kind, "--id", p.id}, "map"
	if exists {
		argv, verb = []string{"pvesh", "set", "/cluster/mapping/" + p.kind + "/" + p.id}, "change the mapping"
	}
	for _, device := range want.Devices {
		argv = append(argv, "--map", line(device))
	}
	if p.description != "" {
		argv = append(argv, "--description", p.description)
	}
	return modules.Step{
		Summary: fmt.Sprintf("%s %s to %s devices of %s", verb, p.id, strings.ToUpper(p.kind), strings.Join(want.Nodes(), ", ")),
		Action: pve.Versioned(modules.Run{
			Argv: argv, Dir: "/root", Limit: time.Minute,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
		}, p.file, have.Digest),
		Diff:   &modules.Diff{Subject: "mapping " + p.id, Before: text(have), After: text(want)},
		Expect: pve.Everywhere(h, pve.Mappings.Expect("", after)),
		Settle: 20 * time.Second,
		Await:  "the mapping in /etc/pve/mapping",
		Wide:   true,
		Exact:  true,
	}
}

func text(m pve.Mapping) string {
	var b strings.Builder
	for _, device := range m.Devices {
		b.WriteString(line(device) + "\n")
	}
	return b.String()
}

// notes names the nodes on which a guest with the device could not start.
func (p request) notes(cluster pve.Cluster, want pve.Mapping) []string {
	var notes []string
	nodes := want.Nodes()
	lacking := slices.DeleteFunc(cluster.Names(), func(node string) bool { return slices.Contains(nodes, node) })
	if len(lacking) > 0 {
		notes = append(notes, fmt.Sprintf("mapping %s has no device on %s: keep guests that use it on %s with a strict placement", p.id, strings.Join(lacking, ", "), strings.Join(nodes, ", ")))
	}
	ids := map[string][]string{}
	var off []string
	for _, device := range want.Devices {
		if !slices.Contains(ids[device["id"]], device["node"]) {
			ids[device["id"]] = append(ids[device["id"]], device["node"])
		}
		if device["iommugroup"] == "-1" && !slices.Contains(off, device["node"]) {
			off = append(off, device["node"])
		}
	}
	if len(ids) > 1 {
		var said []string
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			said = append(said, id+" on "+strings.Join(ids[id], ", "))
		}
		notes = append(notes, fmt.Sprintf("mapping %s has different devices (%s): a guest that moves gets another one", p.id, strings.Join(said, "; ")))
	}
	if len(off) > 0 {
		notes = append(notes, fmt.Sprintf("mapping %s: no IOMMU group on %s: a guest cannot start with the device there until the IOMMU is enabled (see passthrough)", p.id, strings.Join(off, ", ")))
	}
	return notes
}
