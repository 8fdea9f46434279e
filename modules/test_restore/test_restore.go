// Package test_restore implements the module for scheduled test restores of backups on a Proxmox VE node.
package test_restore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is the test restore of one guest.
type Module struct {
	Guest    string        `hcl:"guest" doc:"The guest whose backup is tested: vm:100 or ct:101."`
	State    string        `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the test is scheduled. Its last report stays when it is removed."`
	Storage  string        `hcl:"storage,optional" doc:"The storage with the backups."`
	Target   string        `hcl:"target,optional" doc:"The storage to restore to. It needs room for all disks of the guest."`
	ID       int           `hcl:"id,optional" doc:"The id to restore under. No other guest may have it."`
	Schedule string        `hcl:"schedule,optional" doc:"When the test runs, as a calendar event of systemd: sun 04:00, *-*-01 03:00."`
	Prove    string        `hcl:"prove,optional" default:"running" enum:"restored,running,agent" doc:"What is proven: restored does not start the guest, running starts it and watches that it keeps running, agent waits until its guest agent answers."`
	Watch    time.Duration `hcl:"watch,optional" default:"\"2m\"" doc:"How long the started guest has to keep running, or how long its agent may take to answer."`
}

// Result is what the module registers.
type Result struct {
	Outcome     string `cty:"outcome" doc:"The outcome of the last test: succeeded or failed; empty before the first one."`
	Reason      string `cty:"reason" doc:"Why it failed."`
	Volume      string `cty:"volume" doc:"The backup that was restored."`
	Seconds     int    `cty:"seconds" doc:"How long it took."`
	Ended       string `cty:"ended" doc:"When it ended: 2026-11-29T04:12:00Z."`
	LastSuccess string `cty:"last_success" doc:"When a test last succeeded; empty if none has."`
	Overdue     bool   `cty:"overdue" doc:"Whether the last test was longer ago than the schedule allows."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "test_restore",
	Summary: "A scheduled test that a guest's backup can be restored",
	Doc: `The host gets a script, and a service and a timer of systemd that run it. The script takes the newest backup of the guest from the storage,
restores it under another id, starts it without network, and destroys it again, whatever the outcome. Run the task on one node of the cluster: the
test takes place there.

What it restores has the tag ` + "`test-restore-vm-100`" + ` from the beginning. A guest without that tag is never changed or destroyed: if the id is
taken, the test fails. What an interrupted test has left behind is removed by the next one. The restored guest gets new MAC addresses, its network
devices are disconnected before it is started, and passed-through devices, shared directories, hook scripts and the like are taken from it. It is never
made highly available. A target without room for all its disks is refused, and a guest is not started whose memory would leave the node less than
1 GiB.

A note of each run says when the last test succeeded, and how the last one failed or whether it is overdue. The report is in
` + "`/var/lib/test-restore`" + `, the whole output in the journal: ` + "`journalctl -u test-restore-vm-100`" + `. To test at once:
` + "`systemctl start test-restore-vm-100`" + `.

A backup job for all guests also finds the restored one if it runs at the same time: leave its id out with ` + "`except`" + `.`,
	Example: `task "the backup of the domain controller can be restored" {
  when = host.name == "pve1"
  test_restore {
    guest    = "vm:100"
    storage  = "pbs1"
    target   = "local-lvm"
    id       = 9100
    schedule = "sun 04:00"
    prove    = "agent"
    watch    = "5m"
  }
}
`,
	Result: Result{},
	New:    func() modules.Module { return &Module{} },
}

const absent = "absent"

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if err := pve.CheckServiceID("guest", m.Guest); err != nil {
		return err
	}
	if m.State == absent {
		return nil
	}
	kind, id := m.guest()
	switch {
	case m.Storage == "":
		return &modules.ArgumentError{Argument: "storage", Problem: "missing", Want: "the id of the storage with the backups"}
	case m.Target == "":
		return &modules.ArgumentError{Argument: "target", Problem: "missing", Want: "the id of a storage with room for the guest's disks"}
	case m.ID < 100 || m.ID > 999999999:
		return &modules.ArgumentError{Argument: "id", Problem: fmt.Sprintf("%d is not the id of a guest", m.ID), Want: "100 to 999999999, one that no guest has"}
	case m.ID == id:
		return &modules.ArgumentError{Argument: "id", Problem: "it is that of the guest itself", Want: "an id that no guest has"}
	case !pve.IsEvent(m.Schedule):
		return &modules.ArgumentError{Argument: "schedule", Problem: fmt.Sprintf("%q is not a calendar event", m.Schedule), Want: "as in sun 04:00, or *-*-01 03:00"}
	case minutesOnly(m.Schedule):
		return &modules.ArgumentError{Argument: "schedule", Problem: fmt.Sprintf("%q has no hour, which systemd requires", m.Schedule), Want: "as in sun 04:00"}
	case m.Prove == "agent" && kind == "ct":
		return &modules.ArgumentError{Argument: "prove", Problem: "containers have no guest agent", Want: "running or restored"}
	case m.Watch < time.Second || m.Watch > 6*time.Hour:
		return &modules.ArgumentError{Argument: "watch", Problem: m.Watch.String(), Want: "1s to 6h"}
	}
	if err := pve.CheckStorageID("storage", m.Storage); err != nil {
		return err
	}
	return pve.CheckStorageID("target", m.Target)
}

// guest returns the kind, vm or ct, and the id of the guest.
func (m *Module) guest() (kind string, id int) {
	kind, number, _ := strings.Cut(m.Guest, ":")
	id, _ = strconv.Atoi(number) // a service id has a number
	return kind, id
}

// slug names the guest in the names of files and units: vm-100.
func (m *Module) slug() string { return strings.ReplaceAll(m.Guest, ":", "-") }

// mark returns the tag of the restored guest.
func (m *Module) mark() string { return "test-restore-" + m.slug() }

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	if pve.CheckServiceID("guest", m.Guest) != nil {
		return
	}
	observe.Files.Want(h, scriptPath, m.path("service"), m.path("timer"))
	observe.Units.Want(h, m.unit("service"), m.unit("timer"))
	reports.Want(h, m.slug())
	pve.Nodes.Want(h, "")
	if m.State != absent {
		pve.Storages.Want(h, "")
		pve.GuestLists.Want(h, "")
		pve.HAs.Want(h, "")
		pve.BackupJobs.Want(h, "")
		pve.GuestConfigs.Want(h, strconv.Itoa(m.ID))
	}
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if m.State == absent {
		return m.remove(ctx, h)
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	switch {
	case err != nil:
		return modules.Plan{}, err
	case !node.Installed:
		return modules.Plan{}, fmt.Errorf("%s is not a Proxmox VE node, on which the backup could be restored", h.Name())
	}
	notes, err := m.check(ctx, h, node.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	steps, err := m.install(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	last, err := reports.Observe(ctx, h, m.slug())
	if err != nil {
		return modules.Plan{}, err
	}
	overdue := last.overdue(m.Schedule)
	return modules.Plan{Steps: steps, Notes: append(notes, m.told(last, overdue)), Data: modules.Data(last.result(overdue))}, nil
}

// check returns an error if the test could not work, and notes.
func (m *Module) check(ctx context.Context, h modules.Host, node string) (notes []string, err error) {
	kind, id := m.guest()
	guests, err := pve.GuestLists.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	wanted := map[string]string{"vm": "qemu", "ct": "lxc"}[kind]
	if guest, ok := guests[id]; !ok {
		return nil, fmt.Errorf("test restore of %s: the cluster has no guest %d", m.Guest, id)
	} else if guest.Type != wanted {
		other := map[string]string{"vm": "ct", "ct": "vm"}[kind]
		return nil, fmt.Errorf("test restore of %s: guest %d is %s:%[2]d", m.Guest, id, other)
	}
	content := map[string]string{"vm": "images", "ct": "rootdir"}[kind]
	if err := m.checkStorage(ctx, h, node, "storage", m.Storage, "backup"); err != nil {
		return nil, err
	}
	if err := m.checkStorage(ctx, h, node, "target", m.Target, content); err != nil {
		return nil, err
	}
	if _, taken := guests[m.ID]; taken {
		config, err := pve.GuestConfigs.Observe(ctx, h, strconv.Itoa(m.ID))
		if err != nil {
			return nil, err
		}
		if config.Exists && (config.Node != node || config.Options["tags"] != m.mark()) {
			return nil, fmt.Errorf("test restore of %s: id %d belongs to guest %q on %s: choose one that no guest has", m.Guest, m.ID, config.Title(), config.Node)
		}
	}
	ha, err := pve.HAs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	for _, sid := range []string{fmt.Sprintf("vm:%d", m.ID), fmt.Sprintf("ct:%d", m.ID)} {
		if _, managed := ha.Resources[sid]; managed {
			return nil, fmt.Errorf("test restore of %s: high availability manages %s: remove the resource, or choose another id", m.Guest, sid)
		}
	}
	jobs, err := pve.BackupJobs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		if job := jobs[name]; job["all"] == "1" && !pve.List(job["exclude"])[strconv.Itoa(m.ID)] {
			notes = append(notes, fmt.Sprintf("backup job %s backs up all guests, and the restored guest %d if it is there at the time: add it to the job's except", name, m.ID))
		}
	}
	return notes, nil
}

// checkStorage returns an error if the storage is not available on the node or does not accept the content.
func (m *Module) checkStorage(ctx context.Context, h modules.Host, node, argument, name, content string) error {
	storages, err := pve.Storages.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	storage, ok := storages[name]
	if !ok {
		return fmt.Errorf("%s: the cluster has no storage %s; it has: %s", argument, name, strings.Join(slices.Sorted(maps.Keys(storages)), ", "))
	}
	if nodes := storage.Options["nodes"]; nodes != "" && !pve.List(nodes)[node] {
		return fmt.Errorf("%s: storage %s is not available on node %s (it is on %s)", argument, name, node, nodes)
	}
	if !pve.List(storage.Options["content"])[content] {
		return fmt.Errorf("%s: storage %s holds %s, and not %s: name another storage", argument, name, storage.Options["content"], content)
	}
	return nil
}
