// Package assert implements the module that fails unless conditions hold.
package assert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// Assert holds the conditions. It never changes anything.
type Assert struct {
	That         cty.Value   `hcl:"that,optional" doc:"A list of conditions, all of which must be true."`
	Message      string      `hcl:"message,optional" doc:"The error message if a condition in that is false, and the remedy if same_packages differ."`
	Conditions   []Condition `hcl:"condition,block" doc:"A condition with its own message."`
	SamePackages []string    `hcl:"same_packages,optional" doc:"Packages that must have the same version on all hosts of the play that have them installed."`
}

// Condition is a condition with its own message.
type Condition struct {
	Test    bool   `hcl:"test" doc:"The condition."`
	Message string `hcl:"message" doc:"The error message if the condition is false: what is wrong, and what to do."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "assert",
	Aliases: []string{"fail"},
	Summary: "Fails with a message unless all conditions are true",
	Doc: `All conditions are evaluated, and every false one is reported. Nothing is ever changed. In check mode a condition is
uncertain if it depends on something that cannot be known because of an earlier change.`,
	Example: `task "this is Debian" {
  assert {
    condition {
      test    = facts.distribution.id == "debian"
      message = "Proxmox VE is installed on Debian; this is ${facts.distribution.pretty}"
    }
  }
}

task "all hosts run the same Proxmox VE" {
  assert {
    same_packages = ["pve-manager"]
  }
}
`,
	Local: true,
	New:   func() modules.Module { return &Assert{} },
}

// Validate implements modules.Validator.
func (a *Assert) Validate() error {
	given := a.That != cty.NilVal && !a.That.IsNull()
	if !given && len(a.Conditions) == 0 && len(a.SamePackages) == 0 {
		return &modules.ArgumentError{Argument: "that", Problem: "the task has no condition", Want: "expected that = [conditions], condition blocks, or same_packages"}
	}
	if given {
		_, err := truths(a.That)
		return err
	}
	return nil
}

// OnlyReads implements modules.Reader.
func (a *Assert) OnlyReads() bool { return true }

// Plan implements modules.Module.
func (a *Assert) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	var failed []string
	that, err := truths(a.That)
	if err != nil {
		return modules.Plan{}, err
	}
	unknown := false
	for i, t := range that {
		switch {
		case !t.IsKnown():
			unknown = true
		case t.False() && a.Message != "":
			failed = append(failed, a.Message)
		case t.False():
			failed = append(failed, fmt.Sprintf("condition %d of %d is false", i+1, len(that)))
		}
	}
	for _, c := range a.Conditions {
		if !c.Test {
			failed = append(failed, c.Message)
		}
	}
	different, notes, err := a.different(ctx, h)
	if err != nil && !observe.IsUnknown(err) {
		return modules.Plan{}, err
	}
	failed = append(failed, different...)
	switch {
	case len(failed) > 0:
		slices.Sort(failed)
		return modules.Plan{}, errors.New(strings.Join(slices.Compact(failed), "; "))
	case err != nil:
		return modules.Plan{}, err
	case unknown:
		return modules.Plan{}, &observe.UnknownError{Host: h.Name(), Key: observe.Key{Kind: "assert"}, What: "whether the conditions hold", Because: "a condition depends on an earlier change"}
	}
	if a.That != cty.NilVal && len(that)+len(a.Conditions)+len(a.SamePackages) == 0 {
		notes = append(notes, "that is an empty list: nothing was checked")
	}
	return modules.Plan{Notes: notes}, nil
}

// truths returns the elements of a list of conditions, unmarked. A list that is unknown as a whole counts as one unknown
// condition.
func truths(list cty.Value) ([]cty.Value, error) {
	if list == cty.NilVal {
		return nil, nil
	}
	list, _ = list.UnmarkDeep()
	switch {
	case list.IsNull():
		return nil, nil
	case !list.IsKnown():
		return []cty.Value{cty.UnknownVal(cty.Bool)}, nil
	case list.Type() == cty.Bool:
		return []cty.Value{list}, nil
	case !list.CanIterateElements() || list.Type().IsMapType() || list.Type().IsObjectType():
		return nil, &modules.ArgumentError{Argument: "that", Problem: "it is not a list of conditions", Want: "expected that = [a, b]"}
	}
	var all []cty.Value
	for _, t := range list.AsValueSlice() {
		if t.IsNull() || t.Type() != cty.Bool && t.IsKnown() {
			return nil, &modules.ArgumentError{Argument: "that", Problem: fmt.Sprintf("element %d is not true or false", len(all)+1), Want: "expected a comparison"}
		}
		all = append(all, t)
	}
	return all, nil
}

// different returns the packages that differ between the hosts of the play. If check mode cannot know a version, the
// result is unknown, unless the known versions already differ. An unreachable host is left out, with a note: if it
// takes part in the run, its own task fails.
func (a *Assert) different(ctx context.Context, h modules.Host) (failed, notes []string, err error) {
	if len(a.SamePackages) == 0 {
		return nil, nil, nil
	}
	for _, peer := range h.Peers() {
		observe.Packages.Want(peer, a.SamePackages...)
	}
	var unknown error
	lost := map[string]bool{}
	for _, name := range a.SamePackages {
		hosts := map[string][]string{}
		for _, peer := range h.Peers() {
			p, err := observe.Packages.Observe(ctx, peer, name)
			var unreachable *remote.UnreachableError
			switch {
			case peer != h && errors.As(err, &unreachable):
				if !lost[peer.Name()] {
					notes = append(notes, fmt.Sprintf("%s could not be asked for its versions: %v", peer.Name(), err))
				}
				lost[peer.Name()] = true
			case observe.IsUnknown(err):
				unknown = err
			case err != nil:
				return nil, nil, err
			case p.Installed() && p.Version == "":
				unknown = &observe.UnknownError{Host: peer.Name(), Key: observe.Packages.Key(name), What: "the version of package " + name, Because: "its version is known once it is installed"}
			case p.Installed():
				hosts[p.Version] = append(hosts[p.Version], peer.Name())
			}
		}
		if len(hosts) < 2 {
			continue
		}
		var versions []string
		for version, names := range hosts {
			versions = append(versions, version+" on "+strings.Join(names, ", "))
		}
		slices.Sort(versions)
		remedy := a.Message
		if remedy == "" {
			remedy = "upgrade all hosts to the same version"
		}
		failed = append(failed, fmt.Sprintf("%s differs: %s; %s", name, strings.Join(versions, "; "), remedy))
	}
	return failed, notes, unknown
}
