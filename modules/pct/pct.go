// Package pct creates and changes containers on a Proxmox VE cluster.
package pct

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is a container.
type Module struct {
	ID          int               `hcl:"id" doc:"Container id, 100 or greater, unique in the cluster."`
	Hostname    string            `hcl:"hostname,optional" doc:"Host name, by which an existing container is recognised."`
	Node        string            `hcl:"node,optional" doc:"Inventory name of the host to create it on; not used otherwise. A later migration is not undone."`
	Template    string            `hcl:"template,optional" doc:"Template to create it from: local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst. Without it the container must exist."`
	Memory      *int              `hcl:"memory,optional" doc:"Memory in MiB. A new container gets 512."`
	Swap        *int              `hcl:"swap,optional" doc:"Swap in MiB, in addition to the memory. A new container gets 512."`
	Cores       *int              `hcl:"cores,optional" doc:"CPU cores. A new container gets all."`
	Description *string           `hcl:"description,optional" doc:"Description; empty for none."`
	Onboot      *bool             `hcl:"onboot,optional" doc:"Start it when its node boots. High availability starts its resources itself."`
	Tags        []string          `hcl:"tags,optional" doc:"All of its tags. Proxmox VE writes them in lower case."`
	Disks       map[string]string `hcl:"disks,optional" doc:"Volumes: rootfs = \"STORAGE:GIB\", mount points mp0 = \"STORAGE:GIB,mp=/srv\". A smaller volume is grown."`
	Move        map[string]string `hcl:"move,optional" doc:"Storages to move volumes of an existing container to, by slot: rootfs = \"ha-disks\". It must be stopped."`
	Net         map[string]string `hcl:"net,optional" doc:"Network devices by slot: net0 = \"name=eth0,bridge=vmbr0,ip=dhcp\"."`
	SSHKeys     string            `hcl:"ssh_keys,optional" doc:"File on the node with the public keys that may log in to a new container as root."`
	Options     map[string]string `hcl:"options,optional" doc:"Other options of pct(1), without leading dashes: features, nameserver, startup, …. An empty value removes the option."`
	State       string            `hcl:"state,optional" enum:"started,stopped" doc:"Whether it runs. By default, the state is left alone."`
	Timeout     time.Duration     `hcl:"timeout,optional" default:"\"3m\"" doc:"How long it may take to shut down. After that the task fails; the container is not killed."`
}

// result is the registered result.
type result struct {
	ID   int    `cty:"id" doc:"Container id."`
	Node string `cty:"node" doc:"Node that the container is on."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:    "pct",
	Aliases: []string{"proxmox", "lxc"},
	Summary: "A container: created if its id is free, changed, started and stopped",
	Doc: `The container is created on the named host if no guest of the cluster has its id and the task names a template. It is unprivileged unless
options.unprivileged = "0" is set. Root gets no password, because it would be visible in the process list: use ssh_keys. An existing container with
that id is recognised by its host name. A guest with the same id and another name is refused.

Differences in memory, swap, cores, description, onboot, tags and options are changed. Most of them take effect in a running container
immediately; the others are pending until its next start, and every run notes that until then. The module never restarts the container for that.
A volume that is smaller than the task says is grown, also while the container runs. Other differences are only noted, never changed: the network; volumes
that are larger, on another storage or mounted elsewhere; arch, ostype and unprivileged.

**move** moves volumes to other storages, on the container's node. Proxmox VE does that only while the container is stopped: with
` + "`state = \"stopped\"`" + ` it is shut down first, and a later task with ` + "`state = \"started\"`" + ` starts it again. The source stays with the container as an unused volume;
a note says how to remove it.

**state** starts the container, or shuts it down cleanly. If it is highly available, the HA manager does so.

Nothing is ever destroyed.`,
	Example: `task "a container" {
  pct {
    id       = 101
    node     = "pve1"
    hostname = "dns"
    template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
    memory   = 1024
    cores    = 2
    ssh_keys = "/root/.ssh/authorized_keys"
    disks = {
      rootfs = "vm-disks:8"
    }
    net = {
      net0 = "name=eth0,bridge=vmbr0,ip=dhcp"
    }
    state = "started"
  }
}

task "a container that exists gets more memory and a larger root" {
  pct {
    id     = 101
    memory = 2048
    disks  = { rootfs = "vm-disks:16" }
  }
}
`,
	Result: result{},
	New:    func() modules.Module { return &Module{} },
}

// Scope implements modules.Scoped. IDs are unique in the cluster.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	switch {
	case m.ID < 100 || m.ID > 999999999:
		return fault("id", strconv.Itoa(m.ID), "100 to 999999999")
	case m.Memory != nil && *m.Memory < 16:
		return fault("memory", strconv.Itoa(*m.Memory), "at least 16 MiB")
	case m.Swap != nil && *m.Swap < 0:
		return fault("swap", "negative", "expected MiB, 0 for none")
	case m.Cores != nil && *m.Cores < 1:
		return fault("cores", strconv.Itoa(*m.Cores), "at least 1")
	case m.Timeout < 0:
		return fault("timeout", "negative", "expected a duration such as \"3m\"")
	case m.SSHKeys != "" && !path.IsAbs(m.SSHKeys):
		return fault("ssh_keys", fmt.Sprintf("%q is not a path from the root", m.SSHKeys), "expected a file of the node, such as /root/.ssh/authorized_keys")
	}
	if m.Hostname != "" {
		if err := pve.CheckGuestName("hostname", m.Hostname); err != nil {
			return err
		}
	}
	for _, tag := range m.Tags {
		if tag == "" || strings.ContainsAny(tag, ",; \t\n") {
			return fault("tags", fmt.Sprintf("%q is not a tag", tag), "expected letters, digits, and . _ + - inside")
		}
	}
	if m.Template != "" {
		if err := m.validateCreation(fault); err != nil {
			return err
		}
	} else if m.SSHKeys != "" {
		return fault("ssh_keys", "given without template", "only a new container gets keys")
	}
	for _, slot := range slices.Sorted(maps.Keys(m.Move)) {
		if err := pve.CheckStorageID("move."+slot, m.Move[slot]); err != nil {
			return err
		}
		if _, both := m.Disks[slot]; both {
			return fault("move."+slot, "disks also gives the storage of this volume", "give only one of them")
		}
	}
	return m.validateOptions(fault)
}

func (m *Module) validateCreation(fault func(argument, problem, want string) error) error {
	storage, volume, ok := strings.Cut(m.Template, ":vztmpl/")
	switch {
	case !ok || storage == "" || volume == "":
		return fault("template", fmt.Sprintf("%q is not a template", m.Template), "expected STORAGE:vztmpl/FILE, as pveam list STORAGE shows it")
	case m.Hostname == "":
		return fault("hostname", "not given", "expected the name of the new container, by which it is recognised later")
	case m.Node == "":
		return fault("node", "empty", "expected the inventory name of a host")
	}
	if _, _, ok := pve.NewDisk(m.Disks["rootfs"]); !ok {
		return fault("disks.rootfs", "not given", `expected the size of the new container's root: "STORAGE:GIB"`)
	}
	return nil
}

// own are the options that have an argument of their own.
var own = []string{"hostname", "memory", "swap", "cores", "description", "onboot", "tags", "rootfs"}

// refused are options that are not for people to set, with what to do.
var refused = map[string]string{
	"password": "a password would be visible in the process list: use ssh_keys, or set it on the host", "ssh-public-keys": "use ssh_keys",
	"lock": "an operation sets it", "parent": "a snapshot sets it", "snaptime": "a snapshot sets it", "template": "use pct template on the host",
	"delete": "give the option an empty value", "revert": "give the option the value that it has", "digest": "the module sets it", "force": "nothing is overwritten",
	"restore": "this module creates, and restores nothing", "start": "use state", "node": "use the argument node", "vmid": "use id",
}

func (m *Module) validateOptions(fault func(argument, problem, want string) error) error {
	for _, group := range []struct {
		argument string
		values   map[string]string
		fits     func(string) bool
		want     string
	}{
		{"disks", m.Disks, isDisk, "rootfs, or a mount point such as mp0"},
		{"move", m.Move, isDisk, "rootfs, or a mount point such as mp0"},
		{"net", m.Net, func(key string) bool { return numbered(key, "net") }, "a slot such as net0"},
		{"options", m.Options, isOption, "an option of pct without leading dashes"},
	} {
		for _, key := range slices.Sorted(maps.Keys(group.values)) {
			argument := group.argument + "." + key
			switch value := group.values[key]; {
			case !group.fits(key):
				return fault(argument, "unknown", group.want)
			case strings.ContainsAny(value, "\x00\n"):
				return fault(argument, "has a line break", "one line")
			case group.argument != "options":
			case slices.Contains(own, key):
				return fault(argument, "not to be given here", "it has its own argument")
			case refused[key] != "":
				return fault(argument, "not to be given here", refused[key])
			case isDisk(key) || numbered(key, "net"):
				return fault(argument, "not to be given here", "give it in disks or net")
			}
		}
	}
	return nil
}

func isDisk(key string) bool { return key == "rootfs" || numbered(key, "mp") }

// numbered reports whether a key is a prefix and a number.
func numbered(key, prefix string) bool {
	number, ok := strings.CutPrefix(key, prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

func isOption(key string) bool {
	return key != "" && key[0] >= 'a' && key[0] <= 'z' && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// wanted returns the options that the task sets, without disks and network devices; an empty one is to be deleted.
func (m *Module) wanted() map[string]string {
	want := maps.Clone(m.Options)
	if want == nil {
		want = map[string]string{}
	}
	for key, value := range map[string]*int{"memory": m.Memory, "swap": m.Swap, "cores": m.Cores} {
		if value != nil {
			want[key] = strconv.Itoa(*value)
		}
	}
	if m.Description != nil {
		want["description"] = strings.TrimRight(*m.Description, "\n")
	}
	if m.Onboot != nil {
		want["onboot"] = pve.Flag(*m.Onboot)
	}
	if m.Tags != nil {
		want["tags"] = strings.Join(slices.Compact(slices.Sorted(slices.Values(m.Tags))), ";")
	}
	return want
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	have, guests, err := pve.FindGuest(ctx, h, m.ID)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case have.Exists:
		return m.existing(ctx, h, have)
	case m.Template == "":
		return modules.Plan{}, fmt.Errorf("there is no guest %d, and the task does not set what to create it from (template, node, hostname, disks.rootfs)", m.ID)
	}
	return m.create(ctx, h, guests)
}

// existing plans for a guest that has the ID.
func (m *Module) existing(ctx context.Context, h modules.Host, have pve.GuestConfig) (modules.Plan, error) {
	switch {
	case have.Type != "lxc":
		return modules.Plan{}, fmt.Errorf("id %d belongs to virtual machine %s on %s: choose another id, or use the module qm", m.ID, have.Title(), have.Node)
	case m.Hostname != "" && have.Title() != m.Hostname:
		return modules.Plan{}, fmt.Errorf("id %d belongs to container %q on %s, the task specifies %q: choose another id, or rename the container (pct set %d --hostname %s)",
			m.ID, have.Title(), have.Node, m.Hostname, m.ID, m.Hostname)
	}
	moves := pve.GuestMoves{ID: m.ID, To: m.Move, Host: h, Disk: isDisk}
	moved, after, err := moves.Plan(ctx, have)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: modules.Data(result{ID: m.ID, Node: have.Node}), Notes: moves.LeftBehind(have)}
	set, grow, drift := m.differences(have)
	if len(drift) > 0 {
		plan.Notes = append(plan.Notes, fmt.Sprintf("%s: %s; not changed", have.Label(m.ID), strings.Join(drift, "; ")))
	}
	change := pve.GuestChange{ID: m.ID, Form: &form, Want: m.wanted(), Hot: isHot, Host: h, After: after}
	var stop, steps []modules.Step
	var notes []string
	if len(moved) > 0 {
		if change.On, stop, err = m.stop(ctx, h, have); err != nil {
			return modules.Plan{}, err
		}
	}
	if change.Off = len(stop) > 0; change.Off {
		steps, _, err = change.Plan(ctx, set, grow)
	} else {
		steps, notes, err = change.Switched(ctx, set, grow, m.State, m.Timeout)
	}
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Steps, plan.Notes = slices.Concat(stop, moved, steps), append(plan.Notes, notes...)
	return plan, nil
}

// stop returns the host of the container, and the steps that shut it down before its volumes are moved, none if it does not run.
func (m *Module) stop(ctx context.Context, h modules.Host, have pve.GuestConfig) (on modules.Host, steps []modules.Step, err error) {
	if on, err = pve.HostOf(ctx, h, have.Node); err != nil {
		return nil, nil, err
	}
	running, err := pve.Running.Observe(ctx, on, "")
	switch {
	case err != nil || !running[m.ID]:
		return on, nil, err
	case m.State != "stopped":
		return nil, nil, fmt.Errorf("%s runs, and Proxmox VE moves volumes of a container only while it is stopped: set state = \"stopped\" in this task, and state = \"started\" in one after it", have.Label(m.ID))
	}
	steps, err = pve.Power{ID: m.ID, Timeout: m.Timeout}.Plan(ctx, h, on, have)
	return on, steps, err
}
