// Package qm creates virtual machines on a Proxmox VE cluster.
package qm

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is a virtual machine.
type Module struct {
	ID      int               `hcl:"id" doc:"VM id, 100 or greater, unique in the cluster."`
	Node    string            `hcl:"node,optional" doc:"Inventory name of the host to create it on; not used otherwise. A later migration is not undone."`
	Name    string            `hcl:"name,optional" doc:"Name: letters, digits, hyphens and dots. Without it the machine must exist."`
	Memory  *int              `hcl:"memory,optional" doc:"Memory in MiB. A new machine gets 512."`
	Cores   *int              `hcl:"cores,optional" doc:"CPU cores. A new machine gets 1."`
	Disks   map[string]string `hcl:"disks,optional" doc:"Disks by slot: scsi0 = \"STORAGE:GIB\" allocates one; anything else is passed to qm(1)."`
	Move    map[string]string `hcl:"move,optional" doc:"Storages to move disks of an existing machine to, by slot: scsi0 = \"ha-disks\"."`
	Net     map[string]string `hcl:"net,optional" doc:"Network devices by slot: net0 = \"virtio,bridge=vmbr0\"."`
	SSHKeys string            `hcl:"ssh_keys,optional" doc:"File on the node with the public keys, one per line, that cloud-init installs in a new machine. disks must contain a cloud-init drive."`
	Options map[string]string `hcl:"options,optional" doc:"Other options of qm(1), without leading dashes: ostype, scsihw, boot, …."`
	Start   bool              `hcl:"start,optional" default:"false" doc:"Start the machine after creating it. High availability starts its resources itself."`
	State   string            `hcl:"state,optional" enum:"started,stopped" doc:"Whether it runs. By default, the state is left alone."`
	Timeout time.Duration     `hcl:"timeout,optional" default:"\"3m\"" doc:"How long it may take to shut down. After that the task fails; the machine is not killed."`
}

// result is the registered result.
type result struct {
	ID   int    `cty:"id" doc:"VM id."`
	Node string `cty:"node" doc:"Node that the machine is on."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:    "qm",
	Aliases: []string{"proxmox_kvm"},
	Summary: "A virtual machine, created if its id is free",
	Doc: `The machine is created on the named host if no guest of the cluster has its id. An existing machine with that id is recognised by its
name. A guest with the same id and another name is refused.

Differences in memory, cores, sockets, agent, cpulimit, cpuunits, description, hookscript, migrate_downtime, migrate_speed, onboot, protection,
startup and tags are changed. A running machine gets memory, cores, sockets and agent at its next start, and every run notes that until then; the module never restarts the machine for that. A disk that is smaller than the task
says is grown, also while the machine runs; the file system in it is not. Other differences are only noted, because the machine depends on
them: the network, other options, disks that are larger or on another storage, and memory and processors that are plugged in while it runs (hotplug).
Exceptions follow.

**options** that give a mapping (` + "`hostpci0 = \"mapping=gpu,pcie=1\"`, `usb0 = \"mapping=stick\"`" + `) replace the raw device that an existing machine has there. A
running machine keeps it until its next cold start, and every run notes that until then; a USB device is exchanged immediately if USB hotplug
is enabled for the machine. A mapping is refused if it has no device on the machine's node.

**move** moves disks to other storages, on the machine's node, even while it runs. The source stays with the machine as an unused disk; a note
says how to remove it. To move disks only, the id is enough.

**cloud-init** gives a new machine made from a cloud image its user, keys and address, so that it can be a host of the inventory: a drive for it
(` + "`ide2 = \"STORAGE:cloudinit\"`), `ssh_keys`" + `, and the options ciuser, ipconfig0, nameserver and searchdomain. The image is a disk of size 0 that is imported:
` + "`scsi0 = \"vm-disks:0,import-from=local:import/debian-13.qcow2\"`" + `. A later task that gives the disk a size grows it.

**state** starts the machine, or shuts it down cleanly. If it is highly available, the HA manager does so.

Nothing is ever destroyed.`,
	Example: `task "a virtual machine" {
  qm {
    id     = 100
    node   = "pve1"
    name   = "sso"
    memory = 2048
    cores  = 2
    disks = {
      scsi0 = "vm-disks:32"
    }
    net = {
      net0 = "virtio,bridge=vmbr0"
    }
  }
}
`,
	Result: result{},
	New:    func() modules.Module { return &Module{} },
}

var (
	diskSlot  = pattern.New(`^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3]|efidisk0|tpmstate0)$`)
	netSlot   = pattern.New(`^net([0-9]|[12][0-9]|3[01])$`)
	optionKey = pattern.New(`^[a-z][a-z0-9_-]*$`)
)

// Scope implements modules.Scoped. IDs are unique in the cluster.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if m.ID < 100 || m.ID > 999999999 {
		return &modules.ArgumentError{Argument: "id", Problem: strconv.Itoa(m.ID), Want: "100 to 999999999"}
	}
	if m.Name == "" && (m.Node != "" || m.Memory != nil || m.Cores != nil || len(m.Disks)+len(m.Net)+len(m.Options) > 0 || m.Start || m.SSHKeys != "" || len(m.Move) == 0 && m.State == "") {
		return &modules.ArgumentError{Argument: "name", Problem: "not given", Want: "expected the name of the machine, unless the task only moves disks or sets the state"}
	}
	if m.Name != "" {
		if err := pve.CheckGuestName("name", m.Name); err != nil {
			return err
		}
	}
	if m.Node == "" && m.Name != "" && len(m.Move) == 0 && m.State == "" && !slices.ContainsFunc(slices.Collect(maps.Keys(m.Options)), m.maps) {
		return &modules.ArgumentError{Argument: "node", Problem: "empty", Want: "expected the inventory name of a host"}
	}
	if m.SSHKeys != "" && !path.IsAbs(m.SSHKeys) {
		return &modules.ArgumentError{Argument: "ssh_keys", Problem: fmt.Sprintf("%q is not a path from the root", m.SSHKeys), Want: "expected a file of the node, such as /root/.ssh/authorized_keys"}
	}
	if m.SSHKeys != "" && !slices.ContainsFunc(slices.Collect(maps.Values(m.Disks)), isCloudInit) {
		return &modules.ArgumentError{Argument: "ssh_keys", Problem: "no disk is a cloud-init drive, without which a new machine gets no keys", Want: `expected one among the disks: ide2 = "STORAGE:cloudinit"`}
	}
	if m.Timeout < 0 {
		return &modules.ArgumentError{Argument: "timeout", Problem: "negative", Want: "expected a duration such as \"3m\""}
	}
	if m.Start && m.State == "stopped" {
		return &modules.ArgumentError{Argument: "start", Problem: "the task also sets the state to stopped", Want: "give only one of them"}
	}
	if m.Memory != nil && *m.Memory < 16 {
		return &modules.ArgumentError{Argument: "memory", Problem: strconv.Itoa(*m.Memory), Want: "at least 16 MiB"}
	}
	if m.Cores != nil && *m.Cores < 1 {
		return &modules.ArgumentError{Argument: "cores", Problem: strconv.Itoa(*m.Cores), Want: "at least 1"}
	}
	for _, slot := range slices.Sorted(maps.Keys(m.Move)) {
		if err := pve.CheckStorageID("move."+slot, m.Move[slot]); err != nil {
			return err
		}
		if _, both := m.Disks[slot]; both {
			return &modules.ArgumentError{Argument: "move." + slot, Problem: "disks also gives the storage of this disk", Want: "give only one of them"}
		}
	}
	for _, group := range []struct {
		argument string
		values   map[string]string
		form     *pattern.Regexp
		want     string
	}{
		{"disks", m.Disks, diskSlot, "a slot such as scsi0, virtio0, sata0, ide2"},
		{"move", m.Move, diskSlot, "a slot such as scsi0, virtio0, sata0, ide2"},
		{"net", m.Net, netSlot, "a slot such as net0"},
		{"options", m.Options, optionKey, "an option of qm without leading dashes"},
	} {
		for key, value := range group.values {
			if !group.form.MatchString(key) {
				return &modules.ArgumentError{Argument: group.argument + "." + key, Problem: "unknown", Want: group.want}
			}
			if strings.Contains(value, "\x00") || strings.Contains(value, "\n") && key != "description" {
				return &modules.ArgumentError{Argument: group.argument + "." + key, Problem: "has a line break", Want: "one line"}
			}
		}
	}
	for _, key := range []string{"name", "memory", "cores", "cipassword", "sshkeys"} {
		if _, ok := m.Options[key]; ok {
			want := "it has its own argument"
			switch key {
			case "cipassword":
				want = "a password would be visible in the process list: set it on the host"
			case "sshkeys":
				want = "it has its own argument, ssh_keys"
			}
			return &modules.ArgumentError{Argument: "options." + key, Problem: "not to be given here", Want: want}
		}
	}
	return nil
}

// wanted returns the options of the configuration that the task sets.
func (m *Module) wanted() map[string]string {
	want := map[string]string{}
	if m.Name != "" {
		want["name"] = m.Name
	}
	if m.Memory != nil {
		want["memory"] = strconv.Itoa(*m.Memory)
	}
	if m.Cores != nil {
		want["cores"] = strconv.Itoa(*m.Cores)
	}
	maps.Copy(want, m.Options)
	maps.Copy(want, m.Net)
	maps.Copy(want, m.Disks)
	return want
}

// Plan creates the machine if its ID is free.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	have, guests, err := pve.FindGuest(ctx, h, m.ID)
	if err != nil {
		return modules.Plan{}, err
	}
	if have.Exists {
		return m.existing(ctx, h, have)
	}
	switch {
	case m.Name == "":
		return modules.Plan{}, fmt.Errorf("there is no guest %d, and the task only changes an existing one", m.ID)
	case m.Node == "":
		return modules.Plan{}, fmt.Errorf("there is no guest %d, and the task does not set the node to create it on", m.ID)
	}
	return m.create(ctx, h, guests)
}

// existing checks a guest that has the ID.
func (m *Module) existing(ctx context.Context, h modules.Host, have pve.GuestConfig) (modules.Plan, error) {
	if have.Type != "qemu" {
		return modules.Plan{}, fmt.Errorf("id %d belongs to container %s on %s: choose another id", m.ID, have.Title(), have.Node)
	}
	if m.Name != "" && have.Title() != m.Name {
		return modules.Plan{}, fmt.Errorf("id %d belongs to virtual machine %q on %s, the task specifies %q: choose another id, or rename the machine (qm set %d --name %s)",
			m.ID, have.Title(), have.Node, m.Name, m.ID, m.Name)
	}
	after, mapped, notes, err := m.mapDevices(ctx, h, have)
	if err != nil {
		return modules.Plan{}, err
	}
	moves := pve.GuestMoves{ID: m.ID, To: m.Move, Host: h, Disk: diskSlot.MatchString}
	moved, after, err := moves.Plan(ctx, after)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: data(m.ID, have.Node), Notes: append(notes, moves.LeftBehind(have)...)}
	set, grow, drift := m.differences(have)
	if len(drift) > 0 {
		plan.Notes = append(plan.Notes, fmt.Sprintf("virtual machine %d: %s; not changed", m.ID, strings.Join(drift, "; ")))
	}
	change := pve.GuestChange{ID: m.ID, Form: &form, Want: m.changes(), Hot: isHot, Host: h, After: after}
	steps, waits, err := change.Switched(ctx, set, grow, m.State, m.Timeout)
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Steps, plan.Notes = slices.Concat(mapped, moved, steps), append(plan.Notes, waits...)
	return plan, nil
}

func data(id int, node string) cty.Value {
	return modules.Data(result{ID: id, Node: node})
}

// create plans the creation on the named host.
func (m *Module) create(ctx context.Context, h modules.Host, guests map[int]pve.Guest) (modules.Plan, error) {
	target, node, err := pve.CreateOn(ctx, h, m.Node)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := pve.CheckNewDisks(ctx, h, m.Disks, node, "qemu"); err != nil {
		return modules.Plan{}, err
	}
	want := m.wanted()
	memory, cores := 512, 1
	if m.Memory != nil {
		memory = *m.Memory
	}
	if m.Cores != nil {
		cores = *m.Cores
	}
	want["memory"], want["cores"] = strconv.Itoa(memory), strconv.Itoa(cores)
	argv := []string{"qm", "create", strconv.Itoa(m.ID)}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if want[key] != "" { // qm rejects an empty value, and the option is unset already
			argv = append(argv, "--"+key, want[key])
		}
	}
	if m.SSHKeys != "" {
		if err := pve.CheckKeyFile(ctx, target, m.SSHKeys); err != nil {
			return modules.Plan{}, err
		}
		argv = append(argv, "--sshkeys", m.SSHKeys)
	}
	if m.Start {
		argv = append(argv, "--start", "1")
	}
	summary := fmt.Sprintf("create virtual machine %d (%s) on %s: %d MiB, %s%s", m.ID, m.Name, node, memory, plural.Of(cores, "core"), m.diskText())
	config := pve.GuestConfig{Guest: pve.Guest{Node: node, Type: "qemu"}, Options: want}
	plan := modules.Plan{Steps: []modules.Step{pve.Create(summary, h, target, m.ID, config, guests, argv)}, Data: data(m.ID, node)}
	if m.State == "started" && !m.Start {
		config.Exists = true
		start, err := pve.Power{ID: m.ID, On: true}.Plan(ctx, h, target, config)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = append(plan.Steps, start...)
	}
	return plan, nil
}

// isCloudInit reports whether a disk is a drive that cloud-init reads.
func isCloudInit(disk string) bool {
	volume, _, _ := strings.Cut(disk, ",")
	return strings.HasSuffix(volume, ":cloudinit")
}

func (m *Module) diskText() string {
	text := ""
	for _, slot := range slices.Sorted(maps.Keys(m.Disks)) {
		text += ", " + slot + " " + m.Disks[slot]
	}
	return text
}
