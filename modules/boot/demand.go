package boot

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

const (
	demandFile = "/run/reboot-required"
	// demander stands in the list of those who require the reboot, where packages stand.
	demander = "kernel-command-line"
)

// planDemand plans to register that a reboot is required, unless that is done. /run is empty after a boot.
func planDemand(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	demand, unknown := observe.RebootDemands.Observe(ctx, h, "")
	if unknown != nil && !observe.IsUnknown(unknown) || slices.Contains(demand.Packages, demander) {
		return nil, unknown
	}
	const list = demandFile + ".pkgs"
	observe.Files.Want(h, demandFile, list)
	text, _, err := observe.Text(ctx, h, list)
	if err != nil {
		return nil, err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	steps, err := conffile.Write(ctx, h, list, text+demander+"\n", "register that a reboot is required")
	if err != nil {
		return nil, err
	}
	_, exists, err := observe.Text(ctx, h, demandFile)
	if err != nil {
		return nil, err
	}
	if !exists {
		more, err := conffile.Write(ctx, h, demandFile, "*** System restart required ***\n", "announce it in "+demandFile)
		if err != nil {
			return nil, err
		}
		steps = append(more, steps...)
	}
	with := func(d observe.RebootDemand) observe.RebootDemand {
		return observe.RebootDemand{Required: true, Packages: append(slices.Clone(d.Packages), demander)}
	}
	expect := observe.RebootDemands.ExpectUpdate("", demand, with)
	if unknown != nil { // whatever else there will be, this is among it
		expect = observe.RebootDemands.Expect("", with(demand))
	}
	last := &steps[len(steps)-1]
	last.Expect = append(last.Expect, expect)
	return steps, nil
}

// placed returns what a file means to GRUB.
func placed(h modules.Host, name string, f observe.File) []observe.Expectation {
	if name != grubFile && (path.Dir(name)+"/" != grubDropIns || path.Ext(name) != ".cfg") {
		return nil
	}
	return []observe.Expectation{observe.ExpectTextFile(h, grubDefaults, name, f)}
}

// commandLineFact is facts.kernel.cmdline.
var commandLineFact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "kernel.cmdline", Type: cty.List(cty.String), Doc: "`cmdline` is the parameters that it was started with, from /proc/cmdline."},
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
