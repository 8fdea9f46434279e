package lang

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/modules"
)

func prefix(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgError(0, errors.New(`expected a network such as "10.1.0.0/24" or "fd00::/64"`))
	}
	return p.Masked(), nil
}

// offset returns the address n addresses after the first one of a network.
func offset(p netip.Prefix, n *big.Int) netip.Addr {
	raw := p.Addr().AsSlice()
	sum := new(big.Int).Add(new(big.Int).SetBytes(raw), n)
	addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, len(raw))))
	return addr
}

func space(bits int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(bits)) }

var cidrContainsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}, {Name: "address", Type: cty.String}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		addr, err := netip.ParseAddr(args[1].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(1, errors.New(`expected an address such as "10.1.0.5"`))
		}
		return cty.BoolVal(p.Contains(addr)), nil
	},
})

var cidrHostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		n, err := modules.WholeNumber(args[1], 1)
		if err != nil {
			return cty.NilVal, err
		}
		size := space(p.Addr().BitLen() - p.Bits())
		if n.Sign() < 0 {
			n.Add(n, size)
		}
		if n.Sign() < 0 || n.Cmp(size) >= 0 {
			return cty.NilVal, function.NewArgError(1, fmt.Errorf("the network %s has only %s addresses", p, size))
		}
		return cty.StringVal(offset(p, n).String()), nil
	},
})

var cidrNetmaskFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if !p.Addr().Is4() {
			return cty.NilVal, function.NewArgError(0, errors.New("only an IPv4 network has a netmask"))
		}
		all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
		mask, err := all.Prefix(p.Bits())
		if err != nil {
			return cty.NilVal, err
		}
		return cty.StringVal(mask.Addr().String()), nil
	},
})

var cidrSubnetFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "network", Type: cty.String}, {Name: "bits", Type: cty.Number}, {Name: "number", Type: cty.Number},
	},
	Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		more, err := modules.WholeNumber(args[1], 1)
		if err != nil {
			return cty.NilVal, err
		}
		n, err := modules.WholeNumber(args[2], 2)
		if err != nil {
			return cty.NilVal, err
		}
		free := p.Addr().BitLen() - p.Bits()
		if more.Sign() < 0 || more.Cmp(big.NewInt(int64(free))) > 0 {
			return cty.NilVal, function.NewArgError(1, fmt.Errorf("the network %s can be extended by at most %d bits", p, free))
		}
		bits := int(more.Int64())
		if n.Sign() < 0 || n.Cmp(space(bits)) >= 0 {
			return cty.NilVal, function.NewArgError(2, fmt.Errorf("with %d more bits, the networks are numbered from 0 to %s", bits, new(big.Int).Sub(space(bits), big.NewInt(1))))
		}
		addr := offset(p, n.Lsh(n, uint(free-bits)))
		return cty.StringVal(netip.PrefixFrom(addr, p.Bits()+bits).String()), nil
	},
})
