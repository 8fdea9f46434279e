package pvecm

import (
	"testing"

	"hlplay/modules/internal/modulestest"
)

func TestFunctions(t *testing.T) {
	modulestest.Functions(t, Spec, [][2]string{
		{`[for n in [1, 2, 3, 4, 5]: vote_threshold(n)]`, `[1,2,2,3,3]`},
		{`vote_threshold(0)`, `error: Invalid value for "nodes" parameter: expected a whole number of at least 1.`},
	})
}
