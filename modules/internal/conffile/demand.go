package conffile

import (
	"context"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

const (
	demandFile = "/run/reboot-required"
	demandList = demandFile + ".pkgs"
)

// DemandReboot plans to register that a reboot is required, as Debian's packages do; none if that is done already. by
// is listed among those that require the reboot, where packages are listed. /run is empty after a boot.
func DemandReboot(ctx context.Context, h modules.Host, by string) ([]modules.Step, error) {
	demand, unknown := observe.RebootDemands.Observe(ctx, h, "")
	if unknown != nil && !observe.IsUnknown(unknown) || slices.Contains(demand.Packages, by) {
		return nil, unknown
	}
	observe.Files.Want(h, demandFile, demandList)
	text, _, err := observe.Text(ctx, h, demandList)
	if err != nil {
		return nil, err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	steps, err := Write(ctx, h, demandList, text+by+"\n", "register that a reboot is required")
	if err != nil {
		return nil, err
	}
	_, exists, err := observe.Text(ctx, h, demandFile)
	if err != nil {
		return nil, err
	}
	if !exists {
		announced, err := Write(ctx, h, demandFile, "*** System restart required ***\n", "announce it in "+demandFile)
		if err != nil {
			return nil, err
		}
		steps = append(announced, steps...)
	}
	with := func(d observe.RebootDemand) observe.RebootDemand {
		return observe.RebootDemand{Required: true, Packages: append(slices.Clone(d.Packages), by)}
	}
	expect := observe.RebootDemands.ExpectUpdate("", demand, with)
	if unknown != nil { // whatever else will be listed, this will be
		expect = observe.RebootDemands.Expect("", with(demand))
	}
	if len(steps) > 0 {
		last := &steps[len(steps)-1]
		last.Expect = append(last.Expect, expect)
	}
	return steps, nil
}
