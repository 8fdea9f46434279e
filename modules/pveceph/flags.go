package pveceph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Flags sets flags of the OSD map.
type Flags struct {
	Set   []string `hcl:"set,optional" doc:"Flags to set, such as noout and norebalance."`
	Unset []string `hcl:"unset,optional" doc:"Flags to unset. Flags in neither list are left alone."`
}

func (f *Flags) scope() modules.Scope { return modules.OncePerCluster }

func (f *Flags) validate() error {
	if len(f.Set)+len(f.Unset) == 0 {
		return &modules.ArgumentError{Argument: "flags", Problem: "neither set nor unset names a flag", Want: `expected a flag, as in set = ["noout"]`}
	}
	if err := checkFlags("flags.set", f.Set); err != nil {
		return err
	}
	for _, flag := range f.Unset {
		if slices.Contains(f.Set, flag) {
			return &modules.ArgumentError{Argument: "flags.unset", Problem: flag + " is also in set", Want: "give it in only one of the two"}
		}
	}
	return checkFlags("flags.unset", f.Unset)
}

func checkFlags(argument string, flags []string) error {
	for _, flag := range flags {
		if !slices.Contains(ceph.OSDFlags, flag) {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not a flag", flag), Want: "expected one of " + strings.Join(ceph.OSDFlags, ", ")}
		}
	}
	return nil
}

func (f *Flags) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	health, err := ceph.Healths.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	flags := slices.Clone(health.Flags)
	var steps []modules.Step
	for _, flag := range ceph.OSDFlags {
		set := slices.Contains(flags, flag)
		switch {
		case slices.Contains(f.Set, flag) && !set:
			flags = append(flags, flag)
			steps = append(steps, s.setFlag("set", flag, health.WithFlags(flags)))
		case slices.Contains(f.Unset, flag) && set:
			flags = slices.DeleteFunc(flags, func(other string) bool { return other == flag })
			steps = append(steps, s.setFlag("unset", flag, health.WithFlags(flags)))
		}
	}
	return s.plan(steps...), nil
}

// setFlag sets or unsets a flag.
func (s *state) setFlag(verb, flag string, after ceph.Health) modules.Step {
	risk := modules.Harmless
	if verb == "unset" { // the data that the flag has held back then moves
		risk = modules.MovesData
	}
	return modules.Step{
		Risk:    risk,
		Summary: fmt.Sprintf("%s flag %s (%s)", verb, flag, flagMeaning[flag]),
		Action:  cephCommand("osd", verb, flag),
		Expect:  pve.Everywhere(s.host, ceph.Healths.Expect("", after)),
		Settle:  30 * time.Second,
		Await:   "the flags of the OSD map",
		Wide:    true,
		Exact:   true,
	}
}
