package boot

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

// placed returns the expectations that follow from placing a file that GRUB's configuration is read from.
var placed = observe.PlacedText(grubDefaults, grubFile, grubDropIns+"*.cfg")

// commandLineFact is facts.kernel.cmdline.
var commandLineFact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "kernel.cmdline", Type: cty.List(cty.String), Doc: "`cmdline` lists the parameters that it was started with, from /proc/cmdline."},
	Read: func(ctx context.Context, h *observe.Host) (cty.Value, error) {
		line, err := observe.CommandLines.Observe(ctx, h, "")
		if err != nil {
			return cty.NilVal, err
		}
		list := cty.ListValEmpty(cty.String)
		var parameters []cty.Value
		for _, p := range split(line) {
			parameters = append(parameters, cty.StringVal(p))
		}
		if len(parameters) > 0 {
			list = cty.ListVal(parameters)
		}
		return list, nil
	},
}
