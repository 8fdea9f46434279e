package boot

import (
	"context"
	"path"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// placed returns the expectations that follow from placing a file that GRUB's configuration is read from.
func placed(h modules.Host, name string, f observe.File) []observe.Expectation {
	if name != grubFile && (path.Dir(name)+"/" != grubDropIns || path.Ext(name) != ".cfg") {
		return nil
	}
	return []observe.Expectation{observe.ExpectTextFile(h, grubDefaults, name, f)}
}

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
