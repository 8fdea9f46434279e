package pct

import (
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

const template = "local:vztmpl/debian-13.tar.zst"

// cluster is pve1 as it sees a container on pve2, where it runs if that is said; other observations replace those of the rest.
func cluster(config pve.GuestConfig, running bool, more ...observe.Expectation) (from, on *observe.Host) {
	guests := map[int]pve.Guest{}
	if config.Exists {
		guests[101] = config.Guest
	}
	host := func(name string) *observe.Host {
		h := observe.NewRecorded(name,
			pve.Nodes.Expect("", pve.Node{Name: name, Installed: true}),
			pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true, Name: "dream", Members: map[string]pve.Member{"pve1": {Online: true}, "pve2": {Online: true}}}),
			pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{}, Services: map[string]pve.Service{}, Nodes: map[string]string{}}),
			pve.GuestLists.Expect("", guests), pve.GuestConfigs.Expect("101", config),
			pve.Running.Expect("", map[int]bool{101: running && name == config.Node, 200: true}),
			pve.Storages.Expect("", map[string]pve.Storage{
				"local":    {Type: "dir", Options: map[string]string{"content": "vztmpl", "path": "/var/lib/vz"}},
				"vm-disks": {Type: "rbd", Options: map[string]string{"content": "images,rootdir"}},
				"cephfs":   {Type: "cephfs", Options: map[string]string{"content": "vztmpl"}},
			}),
			observe.Files.Expect("/var/lib/vz/template/cache/debian-13.tar.zst", observe.File{Type: observe.Regular}),
			observe.Files.Expect("/var/lib/vz/template/cache/none.tar.zst", observe.File{}),
			observe.Files.Expect("/root/keys", observe.File{Type: observe.Regular}),
			observe.Files.Expect("/root/none", observe.File{}),
		)
		h.Predict(more)
		return h
	}
	hosts := map[string]*observe.Host{"pve1": host("pve1"), "pve2": host("pve2")}
	for _, h := range hosts {
		h.SetPeers(func() []*observe.Host { return []*observe.Host{hosts["pve1"], hosts["pve2"]} }, func(name string) (*observe.Host, error) {
			if hosts[name] == nil {
				return nil, errors.New("no host " + name)
			}
			return hosts[name], nil
		})
	}
	return hosts["pve1"], hosts["pve2"]
}

// there is the configuration of container 101 on pve2, with options in addition to those that it has anyway.
func there(more map[string]string) pve.GuestConfig {
	config := pve.GuestConfig{
		Exists: true, Guest: pve.Guest{Node: "pve2", Type: "lxc"}, File: "/etc/pve/nodes/pve2/lxc/101.conf", Digest: "abc",
		Options: map[string]string{
			"arch": "amd64", "hostname": "dns", "memory": "512", "swap": "512", "ostype": "debian", "unprivileged": "1", "nameserver": "1.1.1.1 8.8.8.8", "tags": "core;dns",
			"rootfs": "vm-disks:vm-101-disk-0,size=8G", "mp0": "vm-disks:vm-101-disk-1,mp=/srv,size=4G", "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth",
		},
	}
	for key, value := range more {
		if config.Options[key] = value; value == "" {
			delete(config.Options, key)
		}
	}
	return config
}

func ptr[T any](v T) *T { return &v }

func commands(plan modules.Plan) string {
	var all []string
	for _, step := range plan.Steps {
		if run, ok := step.Action.(modules.Run); ok {
			all = append(all, strings.Join(run.Argv, " "))
		} else {
			all = append(all, step.Summary)
		}
	}
	return strings.Join(all, "\n")
}

func TestChanges(t *testing.T) {
	for name, test := range map[string]struct {
		m             Module
		have, pending map[string]string
		running       bool
		want, note    string
		risk          modules.Risk
	}{
		"as it is": {m: Module{Hostname: "dns", Memory: ptr(512), Swap: ptr(512), Tags: []string{"DNS", "core"}, Onboot: ptr(false),
			Disks: map[string]string{"rootfs": "vm-disks:8", "mp0": "vm-disks:4,mp=/srv"}, Net: map[string]string{"net0": "ip=dhcp,bridge=vmbr0,name=eth0"},
			Options: map[string]string{"nameserver": "1.1.1.1,8.8.8.8", "unprivileged": "yes", "startup": ""}, State: "stopped"}},
		"at once, running": {m: Module{Memory: ptr(1024), Cores: ptr(2), Onboot: ptr(true), Tags: []string{"web"}, Description: ptr("first\nsecond\n")}, running: true,
			want: "pct set 101 --cores 2 --description first\nsecond --memory 1024 --onboot 1 --tags web --digest abc"},
		"less memory, running": {m: Module{Memory: ptr(256)}, running: true, want: "pct set 101 --memory 256 --digest abc", risk: modules.Restarts},
		"less memory, off":     {m: Module{Memory: ptr(256)}, want: "pct set 101 --memory 256 --digest abc"},
		"later, running":       {m: Module{Options: map[string]string{"features": "nesting=1"}}, running: true, want: "pct set 101 --features nesting=1 --digest abc", note: `container 101 (dns): features takes effect at its next start (pct reboot 101); until then it is ""`},
		"later, off":           {m: Module{Options: map[string]string{"features": "nesting=1"}}, want: "pct set 101 --features nesting=1 --digest abc"},
		"waiting already":      {m: Module{Options: map[string]string{"features": "nesting=1"}}, pending: map[string]string{"features": "nesting=1"}, running: true, note: "features takes effect at"},
		"taken back":           {m: Module{Options: map[string]string{"nameserver": "1.1.1.1 8.8.8.8"}}, pending: map[string]string{"nameserver": "9.9.9.9"}, running: true, want: "pct set 101 --nameserver 1.1.1.1 8.8.8.8 --digest abc"},
		"deleted, running":     {m: Module{Options: map[string]string{"nameserver": ""}}, running: true, want: "pct set 101 --delete nameserver --digest abc", note: "nameserver takes effect at"},
		"deleted, waiting":     {m: Module{Options: map[string]string{"nameserver": ""}}, pending: map[string]string{"nameserver": ""}, running: true, note: "nameserver takes effect at"},
		"deleted, off":         {m: Module{Options: map[string]string{"nameserver": ""}, Description: ptr("")}, have: map[string]string{"description": "x"}, want: "pct set 101 --delete description,nameserver --digest abc"},
		"grown":                {m: Module{Disks: map[string]string{"rootfs": "vm-disks:16", "mp0": "vm-disks:4.5,mp=/srv"}}, running: true, want: "pct resize 101 mp0 4.5G --digest abc\npct resize 101 rootfs 16G"},
		"set and grown":        {m: Module{Memory: ptr(1024), Disks: map[string]string{"rootfs": "vm-disks:16"}}, want: "pct set 101 --memory 1024 --digest abc\npct resize 101 rootfs 16G"},
		"what is not changed": {m: Module{Disks: map[string]string{"rootfs": "vm-disks:4", "mp0": "local:4,mp=/srv", "mp1": "vm-disks:1,mp=/x"}, Net: map[string]string{"net0": "name=eth0,bridge=vmbr1"}, Options: map[string]string{"ostype": "alpine"}},
			note: "container 101 (dns): mp0 is \"vm-disks:vm-101-disk-1,mp=/srv,size=4G\", the task specifies \"local:4,mp=/srv\"; mp1 is \"\", the task specifies \"vm-disks:1,mp=/x\"; net0 is"},
		"started":             {m: Module{State: "started"}, want: "pct start 101"},
		"started already":     {m: Module{State: "started"}, running: true},
		"changed, started":    {m: Module{State: "started", Options: map[string]string{"features": "nesting=1"}}, want: "pct set 101 --features nesting=1 --digest abc\npct start 101"},
		"pending, started":    {m: Module{State: "started", Options: map[string]string{"features": "nesting=1"}}, pending: map[string]string{"features": "nesting=1"}, want: "pct start 101"},
		"stopped":             {m: Module{State: "stopped"}, running: true, want: "pct shutdown 101 --timeout 180", risk: modules.Restarts},
		"stopped and changed": {m: Module{State: "stopped", Options: map[string]string{"features": "nesting=1"}}, running: true, want: "pct shutdown 101 --timeout 180\npct set 101 --features nesting=1 --digest abc", risk: modules.Restarts},
		"stopped already":     {m: Module{State: "stopped"}},
		"a template, stopped": {m: Module{State: "stopped"}, have: map[string]string{"template": "1"}},
		"locked, as it is":    {m: Module{State: "started", Memory: ptr(512)}, have: map[string]string{"lock": "backup"}, running: true},
		"a device, running":   {m: Module{Options: map[string]string{"dev0": "/dev/ttyUSB0"}}, running: true, want: "pct set 101 --dev0 /dev/ttyUSB0 --digest abc"},
		"a device, exchanged": {m: Module{Options: map[string]string{"dev0": "/dev/ttyUSB1"}}, have: map[string]string{"dev0": "/dev/ttyUSB0"}, running: true, want: "pct set 101 --dev0 /dev/ttyUSB1 --digest abc", note: "dev0 takes effect at"},
	} {
		t.Run(name, func(t *testing.T) {
			test.m.ID = 101
			if err := test.m.Validate(); err != nil {
				t.Fatal(err)
			}
			have := there(test.have)
			have.Pending = test.pending
			from, on := cluster(have, test.running)
			plan := modulestest.Converges(t, &test.m, from)
			if got := commands(plan); got != test.want {
				t.Errorf("commands:\n%s\nwant:\n%s", got, test.want)
			}
			notes := strings.Join(plan.Notes, "\n")
			if !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
			for i, step := range plan.Steps {
				if step.On != on {
					t.Errorf("%q is carried out on another host than pve2", step.Summary)
				}
				if i == 0 && step.Risk != test.risk {
					t.Errorf("the risk of %q is %v, want %v", step.Summary, step.Risk, test.risk)
				}
			}
		})
	}
}

// Volumes are moved while the container is stopped, which the task has to allow.
func TestMove(t *testing.T) {
	away := map[string]string{"rootfs": "local:101/vm-101-disk-0.raw,size=8G"}
	for name, test := range map[string]struct {
		m       Module
		have    map[string]string
		running bool
		want    string
		note    string
		err     string
	}{
		"stopped":            {m: Module{Move: map[string]string{"rootfs": "vm-disks"}}, have: away, want: "pct move-volume 101 rootfs vm-disks --digest abc"},
		"there already":      {m: Module{Move: map[string]string{"rootfs": "vm-disks"}}, running: true},
		"shut down first":    {m: Module{Move: map[string]string{"rootfs": "vm-disks"}, State: "stopped"}, have: away, running: true, want: "pct shutdown 101 --timeout 180\npct move-volume 101 rootfs vm-disks --digest abc"},
		"then started":       {m: Module{Move: map[string]string{"rootfs": "vm-disks"}, State: "started"}, have: away, want: "pct move-volume 101 rootfs vm-disks --digest abc\npct start 101"},
		"and changed":        {m: Module{Move: map[string]string{"rootfs": "vm-disks"}, Memory: ptr(1024)}, have: away, want: "pct move-volume 101 rootfs vm-disks --digest abc\npct set 101 --memory 1024"},
		"what is left":       {m: Module{Move: map[string]string{"rootfs": "vm-disks"}}, have: map[string]string{"unused0": "local:101/vm-101-disk-0.raw"}, note: "destroy it with: pct set 101 --delete unused0"},
		"running":            {m: Module{Move: map[string]string{"rootfs": "vm-disks"}}, have: away, running: true, err: "container 101 (dns) runs, and Proxmox VE moves volumes of a container only while it is stopped"},
		"running, to go on":  {m: Module{Move: map[string]string{"rootfs": "vm-disks"}, State: "started"}, have: away, running: true, err: "only while it is stopped"},
		"no such volume":     {m: Module{Move: map[string]string{"mp3": "vm-disks"}}, err: "move.mp3: container 101 has no such disk; it has: mp0 vm-disks"},
		"a folder":           {m: Module{Move: map[string]string{"mp0": "vm-disks"}}, have: map[string]string{"mp0": "/srv/data,mp=/data"}, err: "move.mp0: container 101 has a folder of pve2 there (/srv/data,mp=/data)"},
		"no place for it":    {m: Module{Move: map[string]string{"rootfs": "local"}}, err: "move.rootfs: storage local does not accept volumes of containers"},
		"no storage":         {m: Module{Move: map[string]string{"rootfs": "nosuch"}}, err: "move.rootfs: there is no storage nosuch"},
		"while it is locked": {m: Module{Move: map[string]string{"rootfs": "vm-disks"}}, have: map[string]string{"rootfs": away["rootfs"], "lock": "backup"}, err: "is locked (backup)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := modulestest.Decoded(&test.m)
			m.ID = 101
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			from, _ := cluster(there(test.have), test.running)
			if test.err != "" {
				if _, err := m.Plan(t.Context(), from); err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			plan := modulestest.Converges(t, m, from)
			if got := commands(plan); got != test.want {
				t.Errorf("commands:\n%s\nwant:\n%s", got, test.want)
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
	if err := (&Module{ID: 101, Move: map[string]string{"rootfs": "vm-disks"}, Disks: map[string]string{"rootfs": "vm-disks:8"}}).Validate(); err == nil || !strings.Contains(err.Error(), "disks also gives the storage") {
		t.Errorf("error %v, want that only one may be given", err)
	}
}

// A container that is highly available is switched by the manager.
func TestHighAvailability(t *testing.T) {
	for name, test := range map[string]struct {
		state    string // that the task wants
		resource string
		service  pve.Service
		want     string
		err      string
	}{
		"started":          {"started", "stopped", pve.Service{Node: "pve2", State: "stopped"}, "ha-manager set ct:101 --state started", ""},
		"started already":  {"started", "started", pve.Service{Node: "pve2", State: "started", Running: true}, "", ""},
		"on its way":       {"started", "started", pve.Service{Node: "pve2", State: "started"}, "wait for container 101 (dns): starting, wanted started", ""},
		"stopped":          {"stopped", "started", pve.Service{Node: "pve2", State: "started", Running: true}, "ha-manager set ct:101 --state stopped", ""},
		"disabled already": {"stopped", "disabled", pve.Service{Node: "pve2", State: "stopped"}, "", ""},
		"ignored":          {"stopped", "ignored", pve.Service{}, "pct shutdown 101 --timeout 180", ""},
		"in error":         {"started", "started", pve.Service{Node: "pve2", State: "error"}, "", "ha-manager set ct:101 --state disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			ha := pve.HA{Resources: map[string]pve.Resource{"ct:101": {State: test.resource}}, Services: map[string]pve.Service{"ct:101": test.service}, Nodes: map[string]string{}}
			from, _ := cluster(there(nil), true, pve.HAs.Expect("", ha))
			m := &Module{ID: 101, State: test.state}
			if test.err != "" {
				if _, err := m.Plan(t.Context(), from); err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if got := commands(modulestest.Converges(t, m, from)); got != test.want {
				t.Errorf("commands %q, want %q", got, test.want)
			}
		})
	}
}

func TestCreation(t *testing.T) {
	m := &Module{ID: 101, Hostname: "dns", Node: "pve2", Template: template, Memory: ptr(1024), Tags: []string{"dns", "core"}, SSHKeys: "/root/keys", State: "started",
		Disks: map[string]string{"rootfs": "vm-disks:8"}, Net: map[string]string{"net0": "name=eth0,bridge=vmbr0,ip=dhcp"}, Options: map[string]string{"features": "nesting=1", "startup": ""}}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	from, on := cluster(pve.GuestConfig{}, false)
	plan := modulestest.Converges(t, m, from)
	want := "pct create 101 " + template + " --features nesting=1 --hostname dns --memory 1024 --net0 name=eth0,bridge=vmbr0,ip=dhcp --rootfs vm-disks:8 --tags core;dns --unprivileged 1 --ssh-public-keys /root/keys\npct start 101"
	if got := commands(plan); got != want || plan.Steps[0].On != on {
		t.Errorf("commands:\n%s\nwant, on pve2:\n%s", got, want)
	}
	if list, err := pve.GuestLists.Observe(t.Context(), on, ""); err != nil || list[101] != (pve.Guest{Node: "pve2", Type: "lxc"}) {
		t.Errorf("the other host is predicted to see %v, %v", list, err)
	}
	for want, change := range map[string]func(*Module){
		"disks.rootfs: storage local does not accept volumes of containers (content vztmpl)": func(m *Module) { m.Disks = map[string]string{"rootfs": "local:8"} },
		"disks.mp0: there is no storage nosuch":                                              func(m *Module) { m.Disks = map[string]string{"rootfs": "vm-disks:8", "mp0": "nosuch:1"} },
		"template: storage vm-disks does not accept templates of containers":                 func(m *Module) { m.Template = "vm-disks:vztmpl/x" },
		"pveam download local none.tar.zst":                                                  func(m *Module) { m.Template = "local:vztmpl/none.tar.zst" },
		"ssh_keys: pve2 has no file /root/none":                                              func(m *Module) { m.SSHKeys = "/root/none" },
		"node: no host pve9":                                                                 func(m *Module) { m.Node = "pve9" },
		"there is no guest 101, and the task does not set what to create it from":            func(m *Module) { m.Template = "" },
	} {
		other := *m
		change(&other)
		from, _ := cluster(pve.GuestConfig{}, false)
		if _, err := other.Plan(t.Context(), from); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	privileged := *m
	privileged.Template, privileged.Options = "cephfs:vztmpl/x", map[string]string{"unprivileged": "0", "bwlimit": "1024"}
	from, _ = cluster(pve.GuestConfig{}, false)
	if got := commands(modulestest.Converges(t, &privileged, from)); !strings.Contains(got, "--bwlimit 1024") || !strings.Contains(got, "--unprivileged 0") {
		t.Errorf("commands %q, want a container that is privileged", got)
	}
}

func TestRefusals(t *testing.T) {
	machine := there(nil)
	machine.Type, machine.Options = "qemu", map[string]string{"name": "sso"}
	away := there(nil)
	away.Node = "pve7"
	for want, test := range map[string]struct {
		m      Module
		config pve.GuestConfig
	}{
		`id 101 belongs to container "dns" on pve2, the task specifies "mail"`:                                    {Module{Hostname: "mail"}, there(nil)},
		"id 101 belongs to virtual machine sso on pve2":                                                           {Module{}, machine},
		"container 101 (dns) is locked (backup): wait for the operation to finish, or resolve the lock by hand (": {Module{Memory: ptr(1024)}, there(map[string]string{"lock": "backup"})},
		"is locked (snapshot)": {Module{State: "started"}, there(map[string]string{"lock": "snapshot"})},
		"is a template":        {Module{State: "started"}, there(map[string]string{"template": "1"})},
		"container 101 (dns) is on pve7, where it has to be changed: no host pve7": {Module{Memory: ptr(1024)}, away},
	} {
		test.m.ID = 101
		from, _ := cluster(test.config, false)
		plan, err := test.m.Plan(t.Context(), from)
		if err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%d steps, error %v, want %q", len(plan.Steps), err, want)
		}
	}
	alone, _ := cluster(there(nil), false, pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Members: map[string]pve.Member{"pve1": {Online: true}, "pve2": {}, "pve3": {}}}))
	if _, err := (&Module{ID: 101, State: "started"}).Plan(t.Context(), alone); err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("%v, want a refusal: there is no quorum", err)
	}
}

func TestValidate(t *testing.T) {
	whole := Module{ID: 101, Hostname: "dns", Node: "pve1", Template: template, Disks: map[string]string{"rootfs": "vm-disks:8"}}
	if err := whole.Validate(); err != nil {
		t.Fatal(err)
	}
	for argument, change := range map[string]func(*Module){
		"id":                      func(m *Module) { m.ID = 99 },
		"hostname":                func(m *Module) { m.Hostname = "my_ct" },
		"memory":                  func(m *Module) { m.Memory = ptr(8) },
		"swap":                    func(m *Module) { m.Swap = ptr(-1) },
		"cores":                   func(m *Module) { m.Cores = ptr(0) },
		"timeout":                 func(m *Module) { m.Timeout = -1 },
		"tags":                    func(m *Module) { m.Tags = []string{"a;b"} },
		"template":                func(m *Module) { m.Template = "debian-13" },
		"node":                    func(m *Module) { m.Node = "" },
		"disks.rootfs":            func(m *Module) { m.Disks = nil },
		"disks.scsi0":             func(m *Module) { m.Disks["scsi0"] = "a:1" },
		"net.eth0":                func(m *Module) { m.Net = map[string]string{"eth0": "x"} },
		"ssh_keys":                func(m *Module) { m.SSHKeys = "keys" },
		"options.password":        func(m *Module) { m.Options = map[string]string{"password": "x"} },
		"options.--force":         func(m *Module) { m.Options = map[string]string{"--force": "1"} },
		"options.memory":          func(m *Module) { m.Options = map[string]string{"memory": "1"} },
		"options.mp0":             func(m *Module) { m.Options = map[string]string{"mp0": "/srv,mp=/srv"} },
		"options.hookscript":      func(m *Module) { m.Options = map[string]string{"hookscript": "a\nb"} },
		"options.ssh-public-keys": func(m *Module) { m.Options = map[string]string{"ssh-public-keys": "/x"} },
	} {
		m := whole
		m.Disks = map[string]string{"rootfs": "vm-disks:8"}
		change(&m)
		var fault *modules.ArgumentError
		if err := m.Validate(); !errors.As(err, &fault) || fault.Argument != argument {
			t.Errorf("%v, want a fault in %s", err, argument)
		}
	}
	if err := (&Module{ID: 101, SSHKeys: "/root/keys"}).Validate(); err == nil {
		t.Error("keys without a template are accepted")
	}
}
