package pbs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// PruneJob is a job that removes old backups from a datastore.
type PruneJob struct {
	ID        string         `hcl:"id" doc:"ID of the job."`
	Datastore string         `hcl:"datastore,optional" doc:"The datastore. Required unless state is absent."`
	Schedule  string         `hcl:"schedule,optional" default:"\"daily\"" doc:"When it runs, as a calendar event."`
	Keep      map[string]int `hcl:"keep,optional" doc:"How many backups of each guest to keep: { last = 3, daily = 7, weekly = 4, monthly = 6, yearly = 1 }. Required unless state is absent; intervals that are not listed keep nothing."`
	State     string         `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the job exists."`
}

// VerifyJob is a job that reads the backups of a datastore.
type VerifyJob struct {
	ID            string `hcl:"id" doc:"ID of the job."`
	Datastore     string `hcl:"datastore,optional" doc:"The datastore. Required unless state is absent."`
	Schedule      string `hcl:"schedule,optional" default:"\"daily\"" doc:"When it runs, as a calendar event."`
	OutdatedAfter int    `hcl:"outdated_after,optional" default:"30" doc:"Days after which a verified backup is verified again."`
	State         string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the job exists."`
}

// job is a job of either kind, in the form of its configuration file.
type job struct {
	// argument is the name of the block; command is the command of proxmox-backup-manager.
	argument, command string
	id, store, state  string
	want              map[string]string
	// in returns the jobs of the kind.
	in func(s *pbs.Server) map[string]map[string]string
}

func (j *PruneJob) job() job {
	want := map[string]string{"store": j.Datastore, "schedule": j.Schedule}
	for _, period := range pve.KeepPeriods {
		want["keep-"+period] = ""
		if n := j.Keep[period]; n > 0 {
			want["keep-"+period] = strconv.Itoa(n)
		}
	}
	return job{"prune_job", "prune-job", j.ID, j.Datastore, j.State, want, func(s *pbs.Server) map[string]map[string]string { return s.PruneJobs }}
}

func (j *PruneJob) validate() error {
	if j.State != "absent" {
		if err := pve.CheckKeep("prune_job.keep", j.Keep); err != nil {
			return err
		}
		if len(j.Keep) == 0 {
			return &modules.ArgumentError{Argument: "prune_job.keep", Problem: "missing: the job would not remove any backup", Want: "{ last = 3, daily = 7, … }"}
		}
	}
	return j.job().validate(j.Schedule)
}

func (j *PruneJob) plan(_ context.Context, h modules.Host, have pbs.Server) (modules.Plan, error) {
	return j.job().plan(h, have)
}

func (j *VerifyJob) job() job {
	want := map[string]string{"store": j.Datastore, "schedule": j.Schedule, "outdated-after": strconv.Itoa(j.OutdatedAfter)}
	return job{"verify_job", "verify-job", j.ID, j.Datastore, j.State, want, func(s *pbs.Server) map[string]map[string]string { return s.VerifyJobs }}
}

func (j *VerifyJob) validate() error {
	if j.OutdatedAfter < 1 {
		return &modules.ArgumentError{Argument: "verify_job.outdated_after", Problem: fmt.Sprintf("%d days", j.OutdatedAfter), Want: "a number above 0"}
	}
	return j.job().validate(j.Schedule)
}

func (j *VerifyJob) plan(_ context.Context, h modules.Host, have pbs.Server) (modules.Plan, error) {
	return j.job().plan(h, have)
}

func (j job) validate(schedule string) error {
	if err := checkName(j.argument+".id", j.id); err != nil || j.state == "absent" {
		return err
	}
	if err := checkName(j.argument+".datastore", j.store); err != nil {
		return err
	}
	return checkSchedule(j.argument+".schedule", schedule)
}

func (j job) plan(h modules.Host, have pbs.Server) (modules.Plan, error) {
	is, exists := j.in(&have)[j.id]
	after := have.Clone()
	step := modules.Step{Exact: true}
	named := strings.ReplaceAll(j.command, "-", " ") + " " + j.id
	if j.state == "absent" {
		if !exists {
			return modules.Plan{}, nil
		}
		delete(j.in(&after), j.id)
		step.Summary, step.Action = "remove "+named, run(j.command, "remove", j.id)
	} else {
		if err := noDatastore(h, j.argument+".datastore", j.store, have); err != nil {
			return modules.Plan{}, err
		}
		keys := differing(is, j.want)
		if exists && len(keys) == 0 {
			return modules.Plan{}, nil
		}
		j.in(&after)[j.id] = merged(is, j.want)
		if exists {
			step.Summary = fmt.Sprintf("change %s: %s", named, strings.Join(keys, ", "))
			step.Action = run(slices.Concat([]string{j.command, "update", j.id}, options(j.want, keys))...)
			step.Diff = &modules.Diff{Subject: named, Before: lines(is), After: lines(j.in(&after)[j.id])}
		} else {
			step.Summary = fmt.Sprintf("create %s: datastore %s, %s", named, j.store, j.want["schedule"])
			step.Action = run(slices.Concat([]string{j.command, "create", j.id}, options(j.want, keys))...)
		}
	}
	step.Expect = []observe.Expectation{pbs.Servers.Expect("", after)}
	return modules.Plan{Steps: []modules.Step{step}}, nil
}
