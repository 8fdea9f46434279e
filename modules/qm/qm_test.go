package qm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

func host(name string, config pve.GuestConfig) *observe.Host {
	guests := map[int]pve.Guest{}
	if config.Exists {
		guests[100] = config.Guest
	}
	return observe.NewRecorded(name,
		pve.Nodes.Expect("", pve.Node{Name: name}),
		pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true, Name: "dream"}),
		pve.GuestLists.Expect("", guests), pve.GuestConfigs.Expect("100", config),
		pve.Storages.Expect("", map[string]pve.Storage{
			"local":    {Type: "dir", Options: map[string]string{"content": "iso,backup"}},
			"vm-disks": {Type: "rbd", Options: map[string]string{"content": "images", "nodes": "pve1,pve2"}},
		}))
}

func module() *Module {
	memory, cores := 2048, 2
	return &Module{
		ID: 100, Node: "pve2", Name: "sso", Memory: &memory, Cores: &cores,
		Disks: map[string]string{"scsi0": "vm-disks:32,discard=on"}, Net: map[string]string{"net0": "virtio,bridge=vmbr0"},
	}
}

func existing(name string) pve.GuestConfig {
	return pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve3", Type: "qemu"}, Options: map[string]string{
		"name": name, "memory": "2048", "cores": "2", "scsi0": "vm-disks:vm-100-disk-0,discard=on,size=32G",
		"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
	}}
}

func TestCreateOnAnotherHost(t *testing.T) {
	first, second := host("pve1", pve.GuestConfig{}), host("pve2", pve.GuestConfig{})
	all := []*observe.Host{first, second}
	first.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
		if name == "pve2" {
			return second, nil
		}
		return nil, errors.New("no host " + name)
	})
	m := module()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := modulestest.Converges(t, m, first)
	if len(plan.Steps) != 1 || plan.Steps[0].On != second {
		t.Fatalf("want one step on pve2, got:\n%s", modulestest.Summaries(plan))
	}
	want := "qm create 100 --cores 2 --memory 2048 --name sso --net0 virtio,bridge=vmbr0 --scsi0 vm-disks:32,discard=on"
	if got := strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " "); got != want {
		t.Errorf("command %q\nwant %q", got, want)
	}
	list, err := pve.GuestLists.Observe(context.Background(), second, "")
	if err != nil || list[100].Node != "pve2" {
		t.Errorf("the other host is predicted to see %v, %v", list, err)
	}
}

func TestCloudInit(t *testing.T) {
	pve2 := func() *observe.Host {
		h := host("pve2", pve.GuestConfig{})
		h.SetPeers(func() []*observe.Host { return []*observe.Host{h} }, func(string) (*observe.Host, error) { return h, nil })
		h.Predict([]observe.Expectation{observe.Files.Expect("/root/keys", observe.File{Type: observe.Regular}), observe.Files.Expect("/root/none", observe.File{})})
		return h
	}
	m := module()
	m.Disks = map[string]string{"scsi0": "vm-disks:0,import-from=local:import/debian-13.qcow2", "ide2": "vm-disks:cloudinit"}
	m.Options = map[string]string{"ciuser": "admin", "ipconfig0": "ip=dhcp"}
	m.SSHKeys = "/root/keys"
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := modulestest.Converges(t, m, pve2())
	want := "qm create 100 --ciuser admin --cores 2 --ide2 vm-disks:cloudinit --ipconfig0 ip=dhcp --memory 2048 --name sso --net0 virtio,bridge=vmbr0 --scsi0 vm-disks:0,import-from=local:import/debian-13.qcow2 --sshkeys /root/keys"
	if got := strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " "); got != want {
		t.Errorf("command %q\nwant %q", got, want)
	}
	have := existing("sso")
	have.Options["scsi0"], have.Options["ide2"] = "vm-disks:vm-100-disk-0,size=3G", "vm-disks:vm-100-cloudinit,media=cdrom"
	have.Options["ciuser"], have.Options["ipconfig0"], have.Options["sshkeys"] = "admin", "ip=dhcp", "ssh-ed25519%20AAAA%0A"
	if plan := modulestest.Converges(t, m, host("pve3", have)); len(plan.Steps) != 0 || len(plan.Notes) != 0 {
		t.Errorf("of what is as it was made: %s, notes %v", modulestest.Summaries(plan), plan.Notes)
	}
	m.SSHKeys = "/root/none"
	if _, err := m.Plan(t.Context(), pve2()); err == nil || !strings.Contains(err.Error(), "ssh_keys: pve2 has no file /root/none") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestExisting(t *testing.T) {
	plan, err := module().Plan(context.Background(), host("pve1", existing("sso")))
	if err != nil || len(plan.Steps) != 0 || len(plan.Notes) != 0 {
		t.Errorf("the machine is there, wherever it runs now: %v, notes %v, %v", modulestest.Summaries(plan), plan.Notes, err)
	}
	m := module()
	m.Net = map[string]string{"net0": "virtio,bridge=vmbr1"}
	m.Disks = map[string]string{"scsi0": "local:32"}
	plan, err = m.Plan(context.Background(), host("pve1", existing("sso")))
	if err != nil || len(plan.Steps) != 0 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "net0") || !strings.Contains(plan.Notes[0], "scsi0") {
		t.Errorf("drift is a note, not a step: %v, notes %v, %v", modulestest.Summaries(plan), plan.Notes, err)
	}
}

// What Proxmox VE writes in its own way is no difference; anything else is.
func TestDiffers(t *testing.T) {
	for _, test := range []struct {
		key, have, want string
		differs         bool
	}{
		{"onboot", "1", "true", false},
		{"onboot", "1", "off", true},
		{"onboot", "", "false", false},
		{"acpi", "", "1", false},
		{"acpi", "", "0", true},
		{"cores", "", "1", false},
		{"cores", "2", "02", false},
		{"memory", "current=2048", "2048", false},
		{"memory", "2048", "4096", true},
		{"agent", "enabled=1", "true", false},
		{"agent", "enabled=1,fstrim_cloned_disks=1", "fstrim_cloned_disks=1,enabled=yes", false},
		{"agent", "1", "enabled=1,fstrim_cloned_disks=1", true},
		{"cpu", "cputype=host", "host", false},
		{"cpu", "host", "host,flags=+aes", true},
		{"tags", "ha;web", "web,HA", false},
		{"tags", "ha", "ha;web", true},
		{"hotplug", "disk,network", "network,disk", false},
		{"hotplug", "0", "false", false},
		{"boot", "order=scsi0;net0", "order=scsi0;net0", false},
		{"boot", "order=scsi0;net0", "order=net0;scsi0", true},
		{"hostpci0", "0000:01:00.0,pcie=1", "pcie=true,host=0000:01:00.0", false},
		{"hostpci0", "mapping=gpu2,pcie=0", "mapping=gpu2,pcie=1", true},
		{"usb0", "host=spice", "spice", false},
		{"vga", "std", "type=std", false},
		{"numa", "", "off", false},
		{"numa0", "cpus=0-1,memory=1024", "memory=1024,cpus=0-1", false},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1", "bridge=vmbr0,model=virtio,firewall=yes", false},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio=bc:24:11:00:00:01,bridge=vmbr0", false},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio=bc:24:11:00:00:02,bridge=vmbr0", true},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio,macaddr=bc:24:11:00:00:01,bridge=vmbr0", false},
		{"net0", "model=virtio,macaddr=bc:24:11:00:00:01,bridge=vmbr0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", false},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=virtio,macaddr=bc:24:11:00:00:02", true},
		{"net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0", "virtio,bridge=vmbr0", true},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio,bridge=vmbr0,firewall=0", false},
		{"scsi0", "vm-disks:vm-100-disk-0,iothread=1,size=32G,ssd=1", "vm-disks:32,ssd=on,iothread=true", false},
		{"scsi0", "vm-disks:vm-100-disk-0,size=32768M", "file=vm-disks:32", false},
		{"scsi0", "vm-disks:vm-100-disk-0,size=64G", "vm-disks:32", true},
		{"scsi0", "vm-disks:vm-100-disk-0,size=516M", "vm-disks:0.5", false},
		{"scsi0", "local:100/vm-100-disk-0.raw,size=32G", "vm-disks:32", true},
		{"scsi0", "vm-disks:vm-100-disk-0,size=32G", "vm-disks:32,discard=on", true},
		{"efidisk0", "vm-disks:vm-100-disk-1,size=4M", "vm-disks:1", false},
		{"ide2", "none,media=cdrom", "media=cdrom,file=none", false},
		{"description", "first\nsecond", "first\nsecond\n", false},
		{"description", "first", "second", true},
		{"description", "first", "", true},
		{"description", "", "", false},
		{"ostype", "", "other", false},
		{"ostype", "l26", "win11", true},
	} {
		if got := form.Differs(test.key, test.have, test.want); got != test.differs {
			t.Errorf("%s is %q, the task specifies %q: differs %v, want %v", test.key, test.have, test.want, got, test.differs)
		}
	}
}

func TestRefusals(t *testing.T) {
	container := existing("x")
	container.Type = "lxc"
	container.Options = map[string]string{"hostname": "sso"}
	with := func(change func(*Module)) *Module {
		m := module()
		m.Node = "pve1"
		change(m)
		return m
	}
	tests := []struct {
		name   string
		m      *Module
		config pve.GuestConfig
		want   string
	}{
		{"another machine", module(), existing("mail"), `"mail"`},
		{"a container", module(), container, "container sso"},
		{"no such storage", with(func(m *Module) { m.Disks = map[string]string{"scsi0": "nosuch:8"} }), pve.GuestConfig{}, "no storage nosuch; the cluster has: local, vm-disks"},
		{"a storage without disks", with(func(m *Module) { m.Disks = map[string]string{"scsi0": "local:8"} }), pve.GuestConfig{}, "does not accept disks"},
		{"unknown host", with(func(m *Module) { m.Node = "pve9" }), pve.GuestConfig{}, "pve9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.m.Plan(context.Background(), host("pve1", test.config)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want a refusal that mentions %q", err, test.want)
			}
		})
	}
	alone := host("pve1", pve.GuestConfig{})
	alone.Predict([]observe.Expectation{pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Members: map[string]pve.Member{"pve1": {Online: true}, "pve2": {}, "pve3": {}}})})
	if _, err := with(func(*Module) {}).Plan(context.Background(), alone); err == nil || !strings.Contains(err.Error(), "no quorum as seen from pve1") {
		t.Errorf("%v, want a refusal: there is no quorum", err)
	}
	elsewhere := with(func(m *Module) { m.Node = "pve3" })
	if _, err := elsewhere.Plan(context.Background(), host("pve3", pve.GuestConfig{})); err == nil || !strings.Contains(err.Error(), "not available on node pve3") {
		t.Errorf("%v, want a refusal: the storage is not on pve3", err)
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change   func(*Module)
		argument string
	}{
		"id":             {func(m *Module) { m.ID = 99 }, "id"},
		"name":           {func(m *Module) { m.Name = "my_vm" }, "name"},
		"node":           {func(m *Module) { m.Node = "" }, "node"},
		"memory":         {func(m *Module) { *m.Memory = 8 }, "memory"},
		"slot":           {func(m *Module) { m.Disks = map[string]string{"scsi31": "a:1"} }, "disks.scsi31"},
		"net":            {func(m *Module) { m.Net = map[string]string{"eth0": "virtio"} }, "net.eth0"},
		"dashes":         {func(m *Module) { m.Options = map[string]string{"--force": "1"} }, "options.--force"},
		"keys, no drive": {func(m *Module) { m.SSHKeys = "/root/keys" }, "ssh_keys"},
		"keys, no path":  {func(m *Module) { m.SSHKeys = "ssh-ed25519 AAAA" }, "ssh_keys"},
		"keys as option": {func(m *Module) { m.Options = map[string]string{"sshkeys": "/root/keys"} }, "options.sshkeys"},
		"password":       {func(m *Module) { m.Options = map[string]string{"cipassword": "x"} }, "options.cipassword"},
		"only an id":     {func(m *Module) { *m = Module{ID: 100} }, "name"},
		"no name":        {func(m *Module) { m.Name = "" }, "name"},
		"moved and said": {func(m *Module) { m.Move = map[string]string{"scsi0": "vm-disks"} }, "move.scsi0"},
		"moved nowhere":  {func(m *Module) { m.Move = map[string]string{"scsi1": ""} }, "move.scsi1"},
		"no slot":        {func(m *Module) { m.Move = map[string]string{"net0": "vm-disks"} }, "move.net0"},
		"line":           {func(m *Module) { m.Options = map[string]string{"args": "a\nb"} }, "options.args"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := module()
			test.change(m)
			var fault *modules.ArgumentError
			if err := m.Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
				t.Errorf("%v, want a fault in %s", err, test.argument)
			}
		})
	}
}

// withDevices is a host of the cluster's node pve3, where the machine of the task is, with raw devices.
func withDevices(running bool, options, pending map[string]string) *observe.Host {
	have := existing("sso")
	for key, value := range options {
		have.Options[key] = value
	}
	have.Pending = pending
	have.File, have.Digest = "/etc/pve/nodes/pve3/qemu-server/100.conf", "abc"
	h := host("pve3", have)
	h.Predict([]observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: "pve3", Installed: true}),
		pve.Running.Expect("", map[int]bool{100: running}),
		pve.Mappings.Expect("", map[string]pve.Mapping{
			"pci/gpu":   {Devices: []map[string]string{{"node": "pve3", "path": "0000:01:00.0", "id": "10de:2204"}}},
			"pci/far":   {Devices: []map[string]string{{"node": "pve1", "path": "0000:01:00.0"}}},
			"usb/stick": {Devices: []map[string]string{{"node": "pve3", "id": "0781:5567"}}},
		}),
	})
	h.SetPeers(func() []*observe.Host { return []*observe.Host{h} }, func(string) (*observe.Host, error) { return h, nil })
	return h
}

func TestMappingInPlaceOfADevice(t *testing.T) {
	raw := map[string]string{"hostpci0": "01:00.0,pcie=1", "usb0": "host=0781:5567"}
	linux := map[string]string{"hostpci0": "01:00.0,pcie=1", "usb0": "host=0781:5567", "ostype": "l26"}
	both := map[string]string{"hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=stick"}
	for name, test := range map[string]struct {
		running             bool
		have, pending, want map[string]string
		command, note       string
		risk                modules.Risk
	}{
		"off":                      {have: raw, want: both, command: "qm set 100 --hostpci0 mapping=gpu,pcie=1 --usb0 mapping=stick --digest abc"},
		"running":                  {running: true, have: raw, want: both, command: "qm set 100 --hostpci0 mapping=gpu,pcie=1 --usb0 mapping=stick --digest abc", note: "hostpci0, usb0 changes when"},
		"running, with hotplug":    {running: true, have: linux, want: both, command: "qm set 100 --hostpci0 mapping=gpu,pcie=1 --usb0 mapping=stick --digest abc", note: "device until its next cold start: hostpci0 changes when", risk: modules.Restarts},
		"pending":                  {running: true, have: raw, pending: both, want: both, note: "hostpci0, usb0 changes when"},
		"another change is there":  {running: true, have: raw, pending: map[string]string{"hostpci0": "mapping=old"}, want: map[string]string{"hostpci0": "mapping=gpu,pcie=1"}, command: "qm set 100 --hostpci0 mapping=gpu,pcie=1 --digest abc", note: "hostpci0 changes when"},
		"mapped already":           {have: both, want: both},
		"mapped, in another way":   {have: both, want: map[string]string{"hostpci0": "mapping=gpu"}, note: "not changed"},
		"a raw device is wanted":   {have: raw, want: map[string]string{"hostpci0": "0000:02:00.0"}, note: "not changed"},
		"nothing is there":         {want: map[string]string{"hostpci1": "mapping=gpu"}, note: "not changed"},
		"a port for SPICE is kept": {have: map[string]string{"usb0": "spice"}, want: map[string]string{"usb0": "mapping=stick"}, note: "not changed"},
	} {
		t.Run(name, func(t *testing.T) {
			m := module()
			m.Options = test.want
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, withDevices(test.running, test.have, test.pending))
			got := ""
			for _, step := range plan.Steps {
				got += strings.Join(step.Action.(modules.Run).Argv, " ")
				if step.Risk != test.risk {
					t.Errorf("the risk is %v, want %v", step.Risk, test.risk)
				}
			}
			if got != test.command {
				t.Errorf("command %q, want %q", got, test.command)
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

func TestMappingRefused(t *testing.T) {
	for want, test := range map[string]struct{ have, options map[string]string }{
		"mapping far has no device of pve3, where virtual machine 100 is (it has those of pve1)": {map[string]string{"hostpci0": "01:00.0"}, map[string]string{"hostpci0": "mapping=far"}},
		"there is no mapping stick of PCI devices":                                               {map[string]string{"hostpci0": "01:00.0"}, map[string]string{"hostpci0": "mapping=stick"}},
		"virtual machine 100 is locked (backup)":                                                 {map[string]string{"hostpci0": "01:00.0", "lock": "backup"}, map[string]string{"hostpci0": "mapping=gpu"}},
	} {
		m := module()
		m.Options = test.options
		plan, err := m.Plan(context.Background(), withDevices(true, test.have, nil))
		if err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%d steps, %v; expected %q", len(plan.Steps), err, want)
		}
	}
}
