package pvecm

import (
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/modules"
)

// functions contains calculations for corosync's quorum, which also apply to Ceph's monitors.
var functions = []modules.Function{
	{Name: "vote_threshold", Doc: "The number of votes that a cluster of that many nodes needs for quorum: more than half.", Func: voteThresholdFunc},
}

var voteThresholdFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "nodes", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		nodes, err := modules.PositiveNumber(args[0], 0)
		if err != nil {
			return cty.NilVal, err
		}
		half := new(big.Int).Quo(nodes, big.NewInt(2))
		return cty.NumberVal(new(big.Float).SetInt(half.Add(half, big.NewInt(1)))), nil
	},
})
