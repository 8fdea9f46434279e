package mapping

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

const sys = "/sys/bus/pci/devices/"

// node returns a host with a graphics card at the given address, in an IOMMU group ("" for none).
func node(name, at, id, group string, mappings map[string]pve.Mapping) *observe.Host {
	cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{}}
	for i, member := range []string{"pve1", "pve2", "pve3"} {
		cluster.Members[member] = pve.Member{ID: i + 1, Votes: 1, Online: true}
	}
	content := func(text string) observe.File { return observe.File{Type: observe.Regular, Content: []byte(text)} }
	return observe.NewRecorded(name,
		pve.Nodes.Expect("", pve.Node{Name: name}), pve.Clusters.Expect("", cluster), pve.Mappings.Expect("", mappings),
		observe.PCIDevices.Expect("", []observe.PCIDevice{{Address: "0000:00:00.0", ID: "8086:1234", Class: "0600"}, {Address: at, ID: id, Class: "0300"}}),
		observe.PCIUses.Expect("", map[string]observe.PCIUse{at: {Group: group}}),
		observe.Files.Expect(sys+"0000:00:00.0/subsystem_vendor", observe.File{}), observe.Files.Expect(sys+"0000:00:00.0/subsystem_device", observe.File{}),
		observe.Files.Expect(sys+at+"/subsystem_vendor", content("0x1043\n")), observe.Files.Expect(sys+at+"/subsystem_device", content("0x87b3\n")),
	)
}

// pair returns pve1 of two hosts with one card each.
func pair(mappings map[string]pve.Mapping, secondID, secondGroup string) *observe.Host {
	all := []*observe.Host{node("pve1", "0000:01:00.0", "10de:2204", "14", mappings), node("pve2", "0000:41:00.0", secondID, secondGroup, mappings)}
	for _, h := range all {
		h.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
			if at := slices.IndexFunc(all, func(h *observe.Host) bool { return h.Name() == name }); at >= 0 {
				return all[at], nil
			}
			return nil, errors.New("there is no host " + name)
		})
	}
	return all[0]
}

func gpu() *Module {
	return &Module{PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00", "pve2": "0000:41:00.0"}}}
}

const (
	first  = "id=10de:2204,iommugroup=14,node=pve1,path=0000:01:00,subsystem-id=1043:87b3"
	second = "id=10de:2204,iommugroup=20,node=pve2,path=0000:41:00.0,subsystem-id=1043:87b3"
	lacks  = "mapping gpu has no device on pve3: keep guests that use it on pve1, pve2 with a strict placement"
)

// device parses a line of a mapping.
func device(text string) map[string]string {
	d := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		d[key] = value
	}
	return d
}

func mapped(lines ...string) map[string]pve.Mapping {
	m := pve.Mapping{Options: map[string]string{"mdev": "0"}}
	for _, text := range lines {
		m.Devices = append(m.Devices, device(text))
	}
	return map[string]pve.Mapping{"pci/gpu": m, "usb/key": {Devices: []map[string]string{{"node": "pve2"}}}}
}

func TestPlan(t *testing.T) {
	third := "id=10de:2204,node=pve3,path=0000:02:00.0"
	for name, test := range map[string]struct {
		have      map[string]pve.Mapping
		id, group string
		want      string
		notes     []string
	}{
		"new":                            {nil, "10de:2204", "20", "pvesh create /cluster/mapping/pci --id gpu --map " + first + " --map " + second, []string{lacks}},
		"there":                          {mapped(second, first), "10de:2204", "20", "", []string{lacks}},
		"a node more":                    {mapped(first), "10de:2204", "20", "pvesh set /cluster/mapping/pci/gpu --map " + first + " --map " + second, []string{lacks}},
		"another group now":              {mapped(first, strings.Replace(second, "20", "7", 1)), "10de:2204", "20", "pvesh set /cluster/mapping/pci/gpu --map " + first + " --map " + second, []string{lacks}},
		"a node that is not named stays": {mapped(third), "10de:2204", "20", "pvesh set /cluster/mapping/pci/gpu --map " + third + " --map " + first + " --map " + second, nil},
		"different cards": {nil, "10de:2206", "20", "pvesh create /cluster/mapping/pci --id gpu --map " + first + " --map " + strings.Replace(second, "2204", "2206", 1),
			[]string{lacks, "mapping gpu has different devices (10de:2204 on pve1; 10de:2206 on pve2): a guest that moves gets another one"}},
		"no IOMMU": {nil, "10de:2204", "", "pvesh create /cluster/mapping/pci --id gpu --map " + first + " --map " + strings.Replace(second, "=20", "=-1", 1),
			[]string{lacks, "mapping gpu: no IOMMU group on pve2: a guest cannot start with the device there until the IOMMU is enabled (see passthrough)"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := gpu()
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, pair(test.have, test.id, test.group))
			var got []string
			for _, step := range plan.Steps {
				got = append(got, strings.Join(step.Action.(modules.Run).Argv, " "))
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("commands %q\nwant %q", got, test.want)
			}
			if !slices.Equal(plan.Notes, test.notes) {
				t.Errorf("notes %q\nwant %q", plan.Notes, test.notes)
			}
		})
	}
}

// Each of several devices of a node has its own entry. Naming fewer devices loses none of them.
func TestSeveralDevices(t *testing.T) {
	const bridge = "id=8086:1234,iommugroup=-1,node=pve1,path=0000:00:00.0"
	m := &Module{PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00, 0000:00:00.0"}}}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := modulestest.Converges(t, m, pair(mapped(first, second), "10de:2204", "20"))
	want := "pvesh set /cluster/mapping/pci/gpu --map " + second + " --map " + first + " --map " + bridge
	if got := strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " "); got != want {
		t.Errorf("command %q, want %q", got, want)
	}
	for _, have := range []map[string]pve.Mapping{mapped(first, bridge, second), mapped(strings.Replace(first, "0000:01:00", "0000:01:00;0000:00:00.0", 1))} {
		if _, err := gpu().Plan(t.Context(), pair(have, "10de:2204", "20")); err == nil || !strings.Contains(err.Error(), "mapping gpu has 2 devices of pve1 (0000:01:00, 0000:00:00.0), and the task names 0000:01:00: name all of them") {
			t.Errorf("of %v: error %v", have["pci/gpu"].Devices, err)
		}
	}
}

func TestDescriptionOfADeviceStays(t *testing.T) {
	described := "description=left slot," + second
	if plan := modulestest.Converges(t, gpu(), pair(mapped(first, described), "10de:2204", "20")); len(plan.Steps) > 0 {
		t.Errorf("what a person wrote beside a device is a difference:\n%s", modulestest.Summaries(plan))
	}
	plan := modulestest.Converges(t, gpu(), pair(mapped(described), "10de:2204", "20"))
	want := "--map " + first + " --map " + described
	if got := strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " "); !strings.Contains(got, want) {
		t.Errorf("command %q, want one with %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	for want, devices := range map[string]map[string]string{
		"pve1 has no device 0000:02:00.0; it has: 0000:01:00.0 (10de:2204)": {"pve1": "0000:02:00.0"},
		"cluster dream has no node pve9 (it has pve1, pve2, pve3)":          {"pve9": "0000:01:00.0"},
		"there is no host pve3": {"pve3": "0000:01:00.0"},
	} {
		if _, err := (&Module{PCI: &PCI{ID: "gpu", Devices: devices}}).Plan(t.Context(), pair(nil, "10de:2204", "20")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	away := pair(nil, "10de:2204", "20")
	away.Predict([]observe.Expectation{pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Members: map[string]pve.Member{"pve1": {Online: true}, "pve2": {}}})})
	if _, err := gpu().Plan(t.Context(), away); err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("without a quorum: error %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, m := range map[string]*Module{
		"mapping: needs one block":    {},
		"pci.devices: empty":          {PCI: &PCI{ID: "gpu"}},
		"is not the address":          {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "01:00.0"}}},
		"is not the address of a":     {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00.0,"}}},
		"names 0000:01:00.0 twice":    {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00.0, 0000:01:00.0"}}},
		"pci.description":             {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00.0"}, Description: "a\nb"}},
		"names 0000:01:00.1 and the":  {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:01:00, 0000:01:00.1"}}},
		"names 0000:02:00.0 and the":  {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve1": "0000:02:00.0, 0000:02:00"}}},
		`pci.id: "g pu" is not valid`: {PCI: &PCI{ID: "g pu", Devices: map[string]string{"pve1": "0000:01:00.0"}}},
		`"pve_1" is not valid`:        {PCI: &PCI{ID: "gpu", Devices: map[string]string{"pve_1": "0000:01:00.0"}}},
	} {
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", m.PCI, err, want)
		}
	}
}
