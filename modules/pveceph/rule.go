package pveceph

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Rule is a replicated CRUSH rule.
type Rule struct {
	Name          string `hcl:"name" doc:"Name of the rule."`
	Root          string `hcl:"root,optional" default:"default" doc:"The CRUSH root."`
	FailureDomain string `hcl:"failure_domain" doc:"Level at which copies are separated: host, osd, rack, …. With osd, all copies may be on one host."`
	DeviceClass   string `hcl:"device_class,optional" doc:"Use only OSDs of this class; by default all."`
	PerDomain     int    `hcl:"per_domain,optional" default:"1" doc:"How many copies may share a failure domain, each on a different OSD. With 2 and the failure domain host, five copies are on three hosts: 2, 2 and 1."`
}

func (r *Rule) scope() modules.Scope { return modules.OncePerCluster }

func (r *Rule) validate() error {
	// An empty name in this command crashes the leading monitor, and then the next one.
	for argument, name := range map[string]string{"rule.name": r.Name, "rule.root": r.Root, "rule.failure_domain": r.FailureDomain} {
		if err := ceph.CheckName(argument, name); err != nil {
			return err
		}
	}
	if r.PerDomain < 0 || r.PerDomain > 5 {
		return &modules.ArgumentError{Argument: "rule.per_domain", Problem: strconv.Itoa(r.PerDomain), Want: "expected 1 to 5"}
	}
	if r.PerDomain > 1 && r.FailureDomain == "osd" {
		return &modules.ArgumentError{Argument: "rule.per_domain", Problem: "an OSD holds only one copy", Want: "expected 1, or failure_domain host or above"}
	}
	if r.DeviceClass != "" {
		return ceph.CheckDeviceClass("rule.device_class", r.DeviceClass)
	}
	return nil
}

func (r *Rule) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	rules, err := ceph.CrushRules.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	want := ceph.CrushRule{Root: r.Root, FailureDomain: r.FailureDomain, Class: r.DeviceClass}
	if r.PerDomain > 1 {
		want.PerDomain = r.PerDomain
	}
	if have, exists := rules[r.Name]; exists {
		if have != want {
			return modules.Plan{}, fmt.Errorf("CRUSH rule %s exists but is different: it is %s, the task says %s; a rule cannot be changed in place: use another name for the new one and move the pools to it",
				r.Name, describeRule(have), describeRule(want))
		}
		return s.plan(), nil
	}
	if r.DeviceClass != "" {
		if err := r.checkClass(ctx, s); err != nil {
			return modules.Plan{}, err
		}
	}
	if r.FailureDomain != "osd" && r.FailureDomain != "host" {
		found, err := s.domains(ctx, want)
		if err != nil {
			return modules.Plan{}, fmt.Errorf("rule: %w", err)
		}
		if len(found) == 0 {
			return modules.Plan{}, fmt.Errorf("rule.failure_domain: root %s has no bucket of type %s, so the rule would find no place for any copy: add the buckets to the CRUSH map first (crush), or use failure_domain = \"host\"", r.Root, r.FailureDomain)
		}
	}
	if r.FailureDomain == "osd" {
		s.note("rule %s lets all copies of a placement group lie on one host: losing that host can stop a pool", r.Name)
	}
	after := map[string]ceph.CrushRule{r.Name: want}
	for name, rule := range rules {
		after[name] = rule
	}
	if r.PerDomain > 1 {
		osds, err := s.osds(ctx)
		if err != nil {
			return modules.Plan{}, err
		}
		return s.plan(r.insert(h, want, after, places(osds, want))), nil
	}
	args := []string{"osd", "crush", "rule", "create-replicated", r.Name, r.Root, r.FailureDomain}
	if r.DeviceClass != "" {
		args = append(args, r.DeviceClass)
	}
	return s.plan(modules.Step{
		Summary: fmt.Sprintf("create CRUSH rule %s (%s)", r.Name, describeRule(want)),
		Action:  cephCommand(args...),
		Expect:  pve.Everywhere(h, ceph.CrushRules.Expect("", after)),
		Settle:  20 * time.Second,
		Await:   "the new rule",
		Objects: []string{crushObject.Name},
		Wide:    true, Elsewhere: elsewhere,
	}), nil
}

// checkClass rejects a class that no OSD has, as Ceph would.
func (r *Rule) checkClass(ctx context.Context, s *state) error {
	osds, err := s.osds(ctx)
	if err != nil {
		return err
	}
	classes := map[string]bool{}
	for _, list := range osds {
		for _, osd := range list {
			classes[osd.Class] = true
		}
	}
	if classes[r.DeviceClass] {
		return nil
	}
	var names []string
	for class := range classes {
		names = append(names, orNone(class))
	}
	slices.Sort(names)
	return fmt.Errorf("rule.device_class: no OSD has class %s; there are: %s", r.DeviceClass, orNone(strings.Join(names, ", ")))
}

// osds returns the OSDs of all nodes by node name.
func (s *state) osds(ctx context.Context) (map[string][]ceph.OSD, error) {
	members, err := s.members(ctx)
	if err != nil {
		return nil, err
	}
	return ceph.OSDs.ObserveAll(ctx, s.host, members)
}

func describeRule(r ceph.CrushRule) string {
	if r.Custom {
		return "hand-made"
	}
	text := "root " + r.Root + ", failure domain " + r.FailureDomain
	if r.PerDomain > 1 {
		text += fmt.Sprintf(" with up to %d copies each", r.PerDomain)
	}
	if r.Class != "" {
		text += ", class " + r.Class
	}
	return text
}
