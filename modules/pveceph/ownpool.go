package pveceph

import (
	"fmt"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
)

// ownPool returns the pool that Ceph creates for itself: .mgr, once there are a manager and enough OSDs.
func (s *state) ownPool() ceph.Pool {
	return ceph.Pool{
		ID: -1, Size: number(s.conf.Global("osd_pool_default_size"), 3), MinSize: number(s.conf.Global("osd_pool_default_min_size"), 2),
		PGs: 1, PGsMin: 1, Rule: "replicated_rule", Autoscale: "on", Applications: []string{"mgr"},
	}
}

// untilThere waits for a pool for at most two minutes.
const untilThere = `n=0
until ceph -c "$1" --connect-timeout 10 osd pool get "$2" size; do
  n=$((n+1))
  [ "$n" -lt 60 ] || exit 1
  sleep 2
done`

// await returns the step that waits for one of Ceph's own pools, which nobody else should create.
func (p *Pool) await() modules.Step {
	return modules.Step{
		Summary: fmt.Sprintf("wait until Ceph has created its pool %s, for at most 3m", p.Name),
		Action:  modules.Run{Argv: []string{"sh", "-c", untilThere, "sh", linkTarget, p.Name}, Limit: 3 * time.Minute, Explain: explain},
		Exact:   true,
	}
}
