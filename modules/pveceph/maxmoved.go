package pveceph

import (
	"math"
	"strings"

	"hlplay/modules/internal/ceph"
)

// If a task does not say how much data a pool's change or a new OSD may move, half may move, or any amount below 1 GiB, which
// moves in seconds. A new cluster is thus set up without a limit. Twice the placement groups, an additional copy, or a disk
// like the others need none either.
const (
	usuallyMoved = 0.5
	littleData   = 1 << 30
)

// mostMoved returns the limit of a max_moved, as a share: what the task says, and otherwise the usual limit. bytes is how
// much data would move, or negative if that is not known.
func mostMoved(argument, text string, bytes float64) (float64, error) {
	switch {
	case text != "":
		return percentage(argument, text)
	case bytes >= 0 && bytes < littleData:
		return math.Inf(1), nil
	}
	return usuallyMoved, nil
}

// ownPoolName reports whether a pool is one of Ceph's own, such as .mgr, which hold little.
func ownPoolName(name string) bool { return strings.HasPrefix(name, ".") }

// held returns how many bytes the pools hold with their copies, without Ceph's own pools, or -1 if that is unknown for any
// of them.
func held(pools map[string]ceph.Pool) int64 {
	sum := int64(0)
	for name, pool := range pools {
		switch n := copies(pool); {
		case ownPoolName(name):
		case n < 0:
			return -1
		default:
			sum += n
		}
	}
	return sum
}
