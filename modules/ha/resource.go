package ha

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Resource is a highly available guest.
type Resource struct {
	SID         string  `hcl:"sid" doc:"vm:ID or ct:ID. The guest must exist."`
	State       string  `hcl:"state,optional" default:"\"started\"" enum:"started,stopped,disabled,ignored" doc:"The requested state."`
	MaxRestart  *int    `hcl:"max_restart,optional" doc:"How often the service is restarted on its node after a failure. A new resource gets 1."`
	MaxRelocate *int    `hcl:"max_relocate,optional" doc:"How often it is relocated to another node when restarts fail. A new resource gets 1."`
	Failback    *bool   `hcl:"failback,optional" doc:"Move back when a preferred node returns. Proxmox VE 9 only; on 8 see placement.nofailback."`
	Group       *string `hcl:"group,optional" doc:"HA group; empty for none. Proxmox VE 8 only; placement works on both."`
	Comment     *string `hcl:"comment,optional" doc:"Comment; empty for none."`
}

func (r *Resource) validate() error {
	if err := pve.CheckServiceID("resource.sid", r.SID); err != nil {
		return err
	}
	for argument, n := range map[string]*int{"resource.max_restart": r.MaxRestart, "resource.max_relocate": r.MaxRelocate} {
		if n != nil && *n < 0 {
			return &modules.ArgumentError{Argument: argument, Problem: "negative", Want: "0 or more"}
		}
	}
	if r.Comment != nil && strings.Trim(*r.Comment, " \t") != *r.Comment {
		return &modules.ArgumentError{Argument: "resource.comment", Problem: fmt.Sprintf("%q begins or ends with a blank, which Proxmox VE strips", *r.Comment), Want: "leave it out"}
	}
	if r.Group != nil && *r.Group != "" {
		return pve.CheckConfigID("resource.group", *r.Group)
	}
	return nil
}

func (r *Resource) plan(ctx context.Context, s *state) (modules.Plan, error) {
	_, id := pve.SplitServiceID(r.SID)
	pve.GuestConfigs.Want(s.host, strconv.Itoa(id))
	pve.Storages.Want(s.host, "")
	guest, err := r.guest(ctx, s)
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case s.major == 9 && r.Group != nil:
		return modules.Plan{}, fmt.Errorf("resource.group: Proxmox VE 9 has no HA groups: use placement")
	case s.major == 8 && r.Failback != nil:
		return modules.Plan{}, fmt.Errorf("resource.failback: Proxmox VE 8 supports it for groups only: use placement with nofailback")
	case r.Group != nil && *r.Group != "":
		if _, ok := s.ha.Groups[*r.Group]; !ok {
			return modules.Plan{}, fmt.Errorf("resource.group: there is no HA group %s", *r.Group)
		}
	}
	have, exists := s.ha.Resources[r.SID]
	if exists && s.ha.Services[r.SID].State == "error" && r.State != "disabled" {
		return modules.Plan{}, r.inError(ctx, s)
	}
	if err := r.warn(ctx, s); err != nil {
		return modules.Plan{}, err
	}
	want := r.wanted(have, exists)
	after := s.ha.With(r.SID, want, guest.Node, s.cluster.Online())
	if exists {
		changes := r.changes(have, want)
		if len(changes) == 0 {
			return r.settled(ctx, s, after)
		}
		return s.plan(r.finish(s, after, modules.Step{
			Risk:    moves(have, want),
			Summary: fmt.Sprintf("change resource %s: %s", r.SID, strings.Join(changes, ", ")),
			Action:  s.manager(append([]string{"set", r.SID}, r.options(have, want)...)...),
		})), nil
	}
	if err := r.obstructed(ctx, s); err != nil {
		return modules.Plan{}, err
	}
	none := pve.Resource{MaxRestart: -1, MaxRelocate: -1, Failback: !want.Failback}
	if s.major == 8 || r.Failback == nil {
		none.Failback = want.Failback
	}
	return s.plan(r.finish(s, after, modules.Step{
		Risk:    moves(pve.Resource{State: "ignored", Failback: want.Failback}, want), // nothing manages it yet
		Summary: fmt.Sprintf("make %s highly available (%s)", r.SID, want.State),
		Action:  s.manager(append([]string{"add", r.SID}, r.options(none, want)...)...),
	})), nil
}

// moves returns the risk of a change of a resource. Changing its state, where it may run, or whether it fails back can
// start, stop or move the guest.
func moves(have, want pve.Resource) modules.Risk {
	if have.State != want.State || have.Group != want.Group || have.Failback != want.Failback {
		return modules.Restarts
	}
	return modules.Harmless
}

// guest returns the guest, or an error if there is none of this ID or its type differs.
func (r *Resource) guest(ctx context.Context, s *state) (pve.Guest, error) {
	guests, err := pve.GuestLists.Observe(ctx, s.host, "")
	if err != nil {
		return pve.Guest{}, err
	}
	kind, id := pve.SplitServiceID(r.SID)
	guest, ok := guests[id]
	if !ok {
		return guest, fmt.Errorf("resource.sid: cluster %s has no guest %d: create it first", s.cluster.Name, id)
	}
	if guest.Type != kind {
		return guest, fmt.Errorf("resource.sid: guest %d is a %s, which does not match %s", id, map[string]string{"qemu": "virtual machine (vm:)", "lxc": "container (ct:)"}[guest.Type], r.SID)
	}
	return guest, nil
}

// wanted returns the resource as it should be. What the task does not set stays.
func (r *Resource) wanted(have pve.Resource, exists bool) pve.Resource {
	want := have
	if !exists {
		want = pve.Resource{MaxRestart: 1, MaxRelocate: 1, Failback: true}
	}
	want.State = r.State
	if r.MaxRestart != nil {
		want.MaxRestart = *r.MaxRestart
	}
	if r.MaxRelocate != nil {
		want.MaxRelocate = *r.MaxRelocate
	}
	if r.Failback != nil {
		want.Failback = *r.Failback
	}
	if r.Group != nil {
		want.Group = *r.Group
	}
	if r.Comment != nil {
		want.Comment = *r.Comment
	}
	return want
}

func (r *Resource) changes(have, want pve.Resource) []string {
	var all []string
	say := func(key string, before, after any) {
		if before != after {
			all = append(all, fmt.Sprintf("%s %v → %v", key, before, after))
		}
	}
	say("state", have.State, want.State)
	say("max_restart", have.MaxRestart, want.MaxRestart)
	say("max_relocate", have.MaxRelocate, want.MaxRelocate)
	say("failback", have.Failback, want.Failback)
	say("group", have.Group, want.Group)
	say("comment", have.Comment, want.Comment)
	return all
}

// options returns the arguments that turn have into want.
func (r *Resource) options(have, want pve.Resource) []string {
	var args, gone []string
	add := func(differs bool, key, value string) {
		switch {
		case differs && value == "":
			gone = append(gone, key)
		case differs:
			args = append(args, "--"+key, value)
		}
	}
	add(have.State != want.State, "state", want.State)
	add(have.MaxRestart != want.MaxRestart, "max_restart", strconv.Itoa(want.MaxRestart))
	add(have.MaxRelocate != want.MaxRelocate, "max_relocate", strconv.Itoa(want.MaxRelocate))
	add(have.Failback != want.Failback, "failback", pve.Flag(want.Failback))
	add(have.Group != want.Group, "group", want.Group)
	add(have.Comment != want.Comment, "comment", want.Comment)
	if len(gone) > 0 {
		args = append(args, "--delete", strings.Join(gone, ","))
	}
	return args
}
