package pve

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

var factType = cty.Object(map[string]cty.Type{"version": cty.String, "major": cty.Number})

// Fact is facts.pve.
var Fact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "pve", Type: factType, Doc: "Proxmox VE: the `version` of the package pve-manager and its `major` number; null if it is not installed."},
	Read:    readFact,
}

// KernelFact is facts.kernel.pve.
var KernelFact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "kernel.pve", Type: cty.Bool, Doc: "`pve` says whether it is a Proxmox kernel."},
	Read: func(ctx context.Context, h *observe.Host) (cty.Value, error) {
		k, err := observe.Kernels.Observe(ctx, h, "")
		return cty.BoolVal(strings.HasSuffix(k.Release, kernelFlavour)), err
	},
}

// kernelFlavour is the end of the releases of Proxmox's kernels.
const kernelFlavour = "-pve"

// BootFact supplies facts.boot.loader if proxmox-boot-tool(8) has a list of partitions.
var BootFact = observe.FactSpec{
	FactDoc: observe.FactDoc{Name: "boot.loader", Type: cty.String, Doc: "The loader is `proxmox-boot-tool` if that manages the boot partitions."},
	Read: func(ctx context.Context, h *observe.Host) (cty.Value, error) {
		const partitions = "/etc/kernel/proxmox-boot-uuids"
		exists, err := observe.Exists(ctx, h, partitions)
		if err != nil || !exists {
			return cty.NullVal(cty.String), err
		}
		return cty.StringVal("proxmox-boot-tool"), nil
	},
}

func readFact(ctx context.Context, h *observe.Host) (cty.Value, error) {
	p, err := observe.Packages.Observe(ctx, h, "pve-manager")
	if err != nil {
		return cty.NilVal, err
	}
	if !p.Installed() {
		return cty.NullVal(factType), nil
	}
	major, err := factMajor(ctx, h, p.Version)
	if err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{"version": PackageVersion(p), "major": major}), nil
}

// PackageVersion returns the version of an installed package; it is unknown if check mode predicts the package without
// its version.
func PackageVersion(p observe.Package) cty.Value {
	if p.Version == "" {
		return cty.UnknownVal(cty.String).RefineNotNull()
	}
	return cty.StringVal(p.Version)
}

// factMajor returns the major version. For a predicted installation it is derived from the Debian release.
func factMajor(ctx context.Context, h *observe.Host, version string) (cty.Value, error) {
	if version != "" {
		text, _, _ := strings.Cut(version, ".")
		major, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return cty.NilVal, fmt.Errorf("pve-manager's version %q does not begin with a number", version)
		}
		return cty.NumberIntVal(major), nil
	}
	release, err := observe.OSRelease(ctx, h)
	if err != nil {
		return cty.NilVal, err
	}
	if major, ok := majorOfDebian[release["VERSION_CODENAME"]]; ok {
		return cty.NumberIntVal(int64(major)), nil
	}
	return cty.UnknownVal(cty.Number).RefineNotNull(), nil
}
