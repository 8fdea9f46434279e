// Package backup_job implements the module for scheduled backups of a Proxmox VE cluster's guests.
package backup_job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is one backup job.
type Module struct {
	ID       string         `hcl:"id" doc:"ID of the job."`
	State    string         `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the job exists. Its backups stay when it is removed."`
	Schedule string         `hcl:"schedule,optional" doc:"When it runs, as a calendar event of Proxmox VE: 02:30, mon..fri 22:00, sun 01:00."`
	Storage  string         `hcl:"storage,optional" doc:"The storage for the backups."`
	Guests   []int          `hcl:"guests,optional" doc:"The guests to back up. The default is all, including those created later; an empty list is an error."`
	Except   []int          `hcl:"except,optional" doc:"Guests to leave out, if all others are backed up. They need not exist yet."`
	Mode     string         `hcl:"mode,optional" default:"snapshot" enum:"snapshot,suspend,stop" doc:"snapshot keeps guests running during the backup; suspend and stop do not."`
	Keep     map[string]int `hcl:"keep,optional" doc:"How many backups of each guest are kept: { last = 3, daily = 7, weekly = 4, monthly = 6, yearly = 1 }. Without it, the storage's own setting decides."`
	Notes    string         `hcl:"notes,optional" default:"\"{{guestname}}\"" doc:"Note to attach to each backup. It may contain {{cluster}}, {{guestname}}, {{node}} and {{vmid}}."`
	Enabled  bool           `hcl:"enabled,optional" default:"true" doc:"Whether the schedule is active."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:      "backup_job",
	Rewritten: []string{"/etc/pve/jobs.cfg"},
	Summary:   "A scheduled backup of the cluster's guests",
	Doc: `The job belongs to the cluster: each node backs up the guests that are on it at the time. The storage must exist and accept backups, and what
` + "`guests`" + ` names must exist. Options of the job that the task does not set, such as mail or bandwidth, are kept.

A note says so if the job keeps every backup forever, because neither the job nor its storage limits them. If a backup server prunes by
a job of its own, set ` + "`prune-backups = \"keep-all=1\"`" + ` in the options of its storage.`,
	Example: `task "every night" {
  backup_job {
    id       = "nightly"
    schedule = "02:30"
    storage  = "pbs1"
    keep     = { last = 3, daily = 7, weekly = 4 }
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

// placeholders lists the variables that notes may contain in double braces: vzdump(1), notes-template.
var (
	placeholders = []string{"cluster", "guestname", "node", "vmid"}
	placeholder  = pattern.New(`\{\{([^{}\s]*)\}\}`)
)

// Scope implements modules.Scoped: jobs.cfg belongs to the cluster.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if err := pve.CheckConfigID("id", m.ID); err != nil {
		return err
	}
	if m.State == "absent" {
		return nil
	}
	switch {
	case !pve.IsEvent(m.Schedule):
		return &modules.ArgumentError{Argument: "schedule", Problem: fmt.Sprintf("%q is not a calendar event", m.Schedule), Want: "as in 02:30, or mon..fri 22:00"}
	case m.Guests != nil && len(m.Guests) == 0:
		return &modules.ArgumentError{Argument: "guests", Problem: "is empty, and a job without a guest list backs up every guest", Want: "name guests, or leave it out (null) to back up all guests"}
	case m.Storage == "":
		return &modules.ArgumentError{Argument: "storage", Problem: "missing", Want: "expected the id of a storage for backups"}
	case len(m.Guests) > 0 && len(m.Except) > 0:
		return &modules.ArgumentError{Argument: "except", Problem: "guests already names the guests to back up", Want: "give only one of the two"}
	case strings.HasPrefix(m.Notes, "-"):
		return &modules.ArgumentError{Argument: "notes", Problem: "begins with a hyphen", Want: "one line"}
	}
	if err := pve.CheckText("notes", m.Notes); err != nil {
		return err
	}
	for _, name := range placeholder.FindAllStringSubmatch(m.Notes, -1) {
		if !slices.Contains(placeholders, name[1]) {
			return &modules.ArgumentError{Argument: "notes", Problem: fmt.Sprintf("Proxmox VE has no variable {{%s}}, and would omit the notes", name[1]), Want: "{{" + strings.Join(placeholders, "}}, {{") + "}}"}
		}
	}
	if err := pve.CheckKeep("keep", m.Keep); err != nil {
		return err
	}
	return pve.CheckStorageID("storage", m.Storage)
}

// forms says how options are compared; the others are compared as texts.
var forms = map[string]pve.Form{"vmid": pve.Set, "exclude": pve.Set, "prune-backups": pve.Properties, "schedule": pve.Text, "notes-template": pve.Text}

// wanted returns the options as jobs.cfg writes them. An option with an empty value must not be set.
func (m *Module) wanted() map[string]string {
	want := map[string]string{
		"schedule": m.Schedule, "storage": m.Storage, "mode": m.Mode, "notes-template": m.Notes, "enabled": pve.Flag(m.Enabled),
		"vmid": join(m.Guests), "exclude": join(m.Except), "pool": "", "all": "",
	}
	if len(m.Guests) == 0 {
		want["all"] = "1"
	}
	var keep []string
	for _, period := range slices.Sorted(maps.Keys(m.Keep)) {
		keep = append(keep, fmt.Sprintf("keep-%s=%d", period, m.Keep[period]))
	}
	if len(keep) > 0 {
		want["prune-backups"] = strings.Join(keep, ",")
	}
	return want
}

func join(ids []int) string {
	var all []string
	for _, id := range slices.Sorted(slices.Values(ids)) {
		all = append(all, strconv.Itoa(id))
	}
	return strings.Join(all, ",")
}

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	pve.BackupJobs.Want(h, "")
	pve.Storages.Want(h, "")
	pve.GuestLists.Want(h, "")
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	jobs, err := pve.BackupJobs.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	have, exists := jobs[m.ID]
	after := maps.Clone(jobs)
	var step modules.Step
	var plan modules.Plan
	if m.State == "absent" {
		if !exists {
			return modules.Plan{}, nil
		}
		delete(after, m.ID)
		step = m.step("remove backup job "+m.ID, nil, "delete", "/cluster/backup/"+m.ID)
	} else {
		if plan.Notes, err = m.check(ctx, h, have); err != nil {
			return modules.Plan{}, err
		}
		want := m.wanted()
		var differing []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if !forms[key].Same(have[key], want[key]) {
				differing = append(differing, key)
			}
		}
		if exists && len(differing) == 0 {
			return plan, nil
		}
		options := maps.Clone(have)
		if options == nil {
			options = map[string]string{}
		}
		maps.Copy(options, want)
		maps.DeleteFunc(options, func(_, value string) bool { return value == "" })
		after[m.ID] = options
		if exists {
			step = m.step(fmt.Sprintf("change backup job %s: %s", m.ID, strings.Join(differing, ", ")), pve.Arguments(want, differing), "set", "/cluster/backup/"+m.ID)
			step.Diff = &modules.Diff{Subject: "backup job " + m.ID, Before: text(have), After: text(options)}
		} else {
			step = m.step(fmt.Sprintf("create backup job %s: %s to %s at %s", m.ID, m.which(), m.Storage, m.Schedule), pve.Arguments(options, slices.Sorted(maps.Keys(options))), "create", "/cluster/backup", "--id", m.ID)
		}
	}
	if err := pve.Writable(ctx, h); err != nil {
		return modules.Plan{}, fmt.Errorf("backup job %s: %w", m.ID, err)
	}
	step.Expect = pve.Everywhere(h, pve.BackupJobs.Expect("", after))
	plan.Steps = []modules.Step{step}
	return plan, nil
}

func (m *Module) which() string {
	switch {
	case len(m.Guests) > 0:
		return "guests " + join(m.Guests)
	case len(m.Except) > 0:
		return "all guests but " + join(m.Except)
	}
	return "all guests"
}

// check returns an error if the storage or a guest does not exist, and a note if no backup is ever removed.
func (m *Module) check(ctx context.Context, h modules.Host, have map[string]string) (notes []string, err error) {
	storages, err := pve.Storages.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	storage, ok := storages[m.Storage]
	switch {
	case !ok:
		return nil, fmt.Errorf("storage: the cluster has no storage %s; it has: %s", m.Storage, strings.Join(slices.Sorted(maps.Keys(storages)), ", "))
	case !pve.List(storage.Options["content"])["backup"]:
		return nil, fmt.Errorf("storage: %s accepts %s, but not backups: add backup to its content, or name another storage", m.Storage, storage.Options["content"])
	}
	guests, err := pve.GuestLists.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	for _, id := range m.Guests {
		if _, ok := guests[id]; !ok {
			return nil, fmt.Errorf("backup job %s: the cluster has no guest %d", m.ID, id)
		}
	}
	if prune := storage.Options["prune-backups"]; len(m.Keep) == 0 && have["prune-backups"] == "" && (prune == "" || storage.Type != "pbs" && pve.Properties.Same(prune, "keep-all=1")) {
		notes = append(notes, fmt.Sprintf("backup job %s: neither keep nor storage %s limits the number of backups, so all are kept until it is full, unless a backup server prunes them", m.ID, m.Storage))
	}
	return notes, nil
}

func text(options map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(options)) {
		fmt.Fprintf(&b, "%s %s\n", key, options[key])
	}
	return b.String()
}

func (m *Module) step(summary string, args []string, call ...string) modules.Step {
	return modules.Step{
		Summary: summary,
		Action: modules.Run{
			Argv: slices.Concat([]string{"pvesh"}, call, args), Dir: "/root", Limit: time.Minute,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
		},
		Settle: 20 * time.Second,
		Await:  "the job in /etc/pve/jobs.cfg",
		Wide:   true,
		Exact:  true,
	}
}
