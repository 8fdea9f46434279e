package pveceph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Clean waits for clean placement groups.
type Clean struct {
	Timeout time.Duration `hcl:"timeout,optional" default:"10m" doc:"Maximum time to wait."`
}

func (c *Clean) scope() modules.Scope { return modules.OncePerCluster }

func (c *Clean) onlyReads() bool { return true }

func (c *Clean) validate() error { return nil }

func (c *Clean) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	ceph.Healths.Want(h, "")
	pve.HAs.Want(h, "")
	status, err := ceph.Statuses.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if status.Clean == status.PGs {
		err := c.notes(ctx, s, status)
		return s.plan(), err
	}
	var rest []string
	for state, count := range status.Others {
		rest = append(rest, fmt.Sprintf("%d %s", count, state))
	}
	slices.Sort(rest)
	after := ceph.Status{PGs: status.PGs, Clean: status.PGs, Others: map[string]int{}}
	return s.plan(modules.Step{
		Summary: fmt.Sprintf("wait for %d of %d placement groups (%s)", status.PGs-status.Clean, status.PGs, strings.Join(rest, ", ")),
		Action:  modules.Wait{},
		Expect:  []observe.Expectation{ceph.Statuses.Expect("", after).On(h)},
		Settle:  c.Timeout,
		Await:   "all placement groups active and clean",
		Until:   ceph.PGsClean(),
		Refresh: true,
	}), nil
}

// notes adds what may have been forgotten, such as a flag, once all placement groups are clean. In check mode, uncertain
// things are left out.
func (c *Clean) notes(ctx context.Context, s *state, status ceph.Status) error {
	health, err := ceph.Healths.Observe(ctx, s.host, "")
	if err == nil {
		var faults []fault
		if faults, err = s.faults(ctx, health, status); err == nil {
			for _, f := range faults {
				s.note("%s", f.text)
			}
		}
	}
	if observe.IsUnknown(err) {
		return nil
	}
	return err
}
