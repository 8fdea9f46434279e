package ceph

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules/internal/pve"
)

var factType = cty.Object(map[string]cty.Type{"version": cty.String})

// Fact is facts.ceph.
var Fact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "ceph", Type: factType, Doc: "Ceph: the `version` of the package ceph, such as `19.2.3-pve2`; null if it is not installed."},
	Read: func(ctx context.Context, h *observe.Host) (cty.Value, error) {
		p, err := observe.Packages.Observe(ctx, h, "ceph")
		switch {
		case err != nil:
			return cty.NilVal, err
		case !p.Installed():
			return cty.NullVal(factType), nil
		}
		return cty.ObjectVal(map[string]cty.Value{"version": pve.PackageVersion(p)}), nil
	},
}
