package pveceph

import (
	"errors"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/modules"
)

// functions contains calculations for Ceph that people would otherwise do by hand: placement groups and usable capacity.
var functions = []modules.Function{
	{Name: "pg_count", Doc: "The placement groups for each pool: the power of two that is nearest to (osds × target) / (pools × size); pools is 1 and target 100 PGs for each OSD if not given.", Arguments: "osds, size, pools, target", Func: pgCountFunc},
	{Name: "usable_capacity", Doc: "What a replicated pool can hold, in the unit of osd_sizes: their sum divided by the size of the pool, rounded down.", Func: usableCapacityFunc},
}

// defaultTarget is the number of placement groups that an OSD should hold.
const defaultTarget = 100

var pgCountFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "osds", Type: cty.Number}, {Name: "size", Type: cty.Number}},
	VarParam: &function.Parameter{
		Name: "pools_target", Type: cty.Number, AllowNull: true,
	},
	Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) > 4 {
			return cty.NilVal, function.NewArgError(4, errors.New("expected at most four numbers: osds, size, pools, target"))
		}
		n := [4]*big.Int{2: big.NewInt(1), 3: big.NewInt(defaultTarget)}
		for i, arg := range args {
			if arg.IsNull() {
				continue
			}
			whole, err := modules.PositiveNumber(arg, i)
			if err != nil {
				return cty.NilVal, err
			}
			n[i] = whole
		}
		osds, size, pools, target := n[0], n[1], n[2], n[3]
		want := new(big.Rat).SetFrac(osds.Mul(osds, target), pools.Mul(pools, size))
		return cty.NumberVal(new(big.Float).SetInt(nearestPower(want))), nil
	},
})

// nearestPower returns the power of two, at least 1, that is nearest to a positive number. Of two equally near ones it
// returns the greater.
func nearestPower(want *big.Rat) *big.Int {
	lower := big.NewInt(1)
	for {
		upper := new(big.Int).Lsh(lower, 1)
		middle := new(big.Rat).SetFrac(new(big.Int).Add(lower, upper), big.NewInt(2))
		if want.Cmp(middle) < 0 {
			return lower
		}
		lower = upper
	}
}

var usableCapacityFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "osd_sizes", Type: cty.DynamicPseudoType}, {Name: "size", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		sizes, err := modules.Numbers(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		size, err := modules.PositiveNumber(args[1], 1)
		if err != nil {
			return cty.NilVal, err
		}
		total := new(big.Int)
		for _, s := range sizes {
			if !s.IsKnown() {
				return cty.UnknownVal(cty.Number), nil
			}
			n, err := modules.WholeNumber(s, 0)
			if err != nil || n.Sign() < 0 {
				return cty.NilVal, function.NewArgError(0, errors.New("expected sizes that are whole numbers and not negative"))
			}
			total.Add(total, n)
		}
		return cty.NumberVal(new(big.Float).SetInt(total.Quo(total, size))), nil
	},
})
