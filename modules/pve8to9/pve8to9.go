// Package pve8to9 implements the module that asks Proxmox VE 8's own checklist whether a node can be upgraded to 9.
package pve8to9

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/plural"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "pve8to9",
	Summary: "A gate: Proxmox VE's own checklist finds no obstacle to the upgrade from 8 to 9",
	Doc: `Runs pve8to9, which comes with Proxmox VE since 8.4.2 and only reads. The task fails if it finds a failure (FAIL), and shows warnings
and notices (WARN, NOTICE) as notes. pve8to9 exits with 0 whatever it finds, so its findings are parsed and compared with the counts in its
summary: output in an unknown format is an error, never a pass.

On a node that already runs Proxmox VE 9, the task does nothing.`,
	Example: `task "Proxmox VE's checklist has no failure" {
  pve8to9 {}
}`,
	Result: result{},
	New:    func() modules.Module { return &Checklist{} },
}

// Checklist is a run of pve8to9.
type Checklist struct {
	Full    bool          `hcl:"full,optional" default:"true" doc:"Run the expensive checks too, such as whether containers support cgroup v2."`
	Timeout time.Duration `hcl:"timeout,optional" default:"10m" doc:"Time limit for the checklist."`
}

type result struct {
	Warnings []string `cty:"warnings" doc:"The warnings and notices."`
}

// OnlyReads implements modules.Reader.
func (c *Checklist) OnlyReads() bool { return true }

// Validate implements modules.Validator.
func (c *Checklist) Validate() error {
	if c.Timeout <= 0 {
		return &modules.ArgumentError{Argument: "timeout", Problem: c.Timeout.String(), Want: "expected a positive duration"}
	}
	return nil
}

// Plan implements modules.Module.
func (c *Checklist) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if !node.Installed {
		return modules.Plan{}, errors.New("pve-manager is not installed, or not configured: see dpkg --audit")
	}
	major, err := pve.Major(ctx, h)
	if err != nil || major > 8 {
		return modules.Plan{Data: modules.Data(result{Warnings: []string{}})}, err
	}
	argv := []string{"pve8to9"}
	if c.Full {
		argv = append(argv, "--full")
	}
	// What it prints depends on the whole cluster, so any earlier change makes it unknown.
	answer, err := observe.AuthorCommands.Observe(ctx, h, observe.Reading{Argv: argv, Limit: c.Timeout}.Key())
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case answer.Exit == 127:
		return modules.Plan{}, fmt.Errorf("pve8to9 is missing: Proxmox VE %s is too old, upgrade it to the newest 8.4 first", node.Version)
	case answer.Exit != 0:
		return modules.Plan{}, fmt.Errorf("pve8to9: %s: %s", remote.Ending(answer.Exit), observe.LastLine(answer.Stderr))
	}
	found, err := parse(string(answer.Stdout))
	if err != nil {
		return modules.Plan{}, err
	}
	if failures := found["FAIL"]; len(failures) > 0 {
		return modules.Plan{}, fmt.Errorf("pve8to9 finds %s: %s", plural.Of(len(failures), "failure"), strings.Join(failures, "; "))
	}
	warnings := append([]string{}, append(found["WARN"], found["NOTICE"]...)...)
	plan := modules.Plan{Data: modules.Data(result{Warnings: warnings})}
	for _, w := range warnings {
		plan.Notes = append(plan.Notes, "pve8to9 warns: "+w)
	}
	return plan, nil
}
