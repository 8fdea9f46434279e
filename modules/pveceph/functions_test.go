package pveceph

import (
	"testing"

	"hlplay/modules/internal/modulestest"
)

func TestFunctions(t *testing.T) {
	modulestest.Functions(t, Spec, [][2]string{
		// 250 is nearest to 256, 125 to 128, 96 is between 64 and 128.
		{`pg_count(10, 4)`, `256`},
		{`pg_count(10, 4, 2)`, `128`},
		{`pg_count(20, 4, 4)`, `128`},
		{`pg_count(10, 4, 1, 200)`, `512`},
		{`pg_count(10, 4, null, 100)`, `256`},
		{`pg_count(96, 1, 1, 1)`, `128`},
		{`pg_count(95, 1, 1, 1)`, `64`},
		{`pg_count(1, 4, 100)`, `1`},
		{`pg_count(unknown, 4)`, `unknown`},
		{`pg_count(0, 4)`, `error: Invalid value for "osds" parameter: expected a whole number of at least 1.`},
		{`pg_count(1, 2.5)`, `error: Invalid value for "size" parameter: expected a whole number of at least 1.`},
		{`pg_count(1, 1, 1, 1, 1)`, `error: Invalid value for "pools_target" parameter: expected at most four numbers: osds, size, pools, target.`},
		{`usable_capacity([4000, 4000, 2001], 3)`, `3333`},
		{`usable_capacity([], 3)`, `0`},
		{`usable_capacity([1, unknown], 3)`, `unknown`},
		{`usable_capacity("x", 3)`, `error: Invalid value for "osd_sizes" parameter: expected a list of numbers.`},
	})
}
