package observe

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"mvdan.cc/sh/v3/shell"
)

var (
	bootType         = cty.Object(map[string]cty.Type{"loader": cty.String, "efi": cty.Bool})
	cephType         = cty.Object(map[string]cty.Type{"version": cty.String})
	distributionType = cty.Object(map[string]cty.Type{
		"id": cty.String, "codename": cty.String, "version": cty.String, "pretty": cty.String,
	})
	kernelType = cty.Object(map[string]cty.Type{
		"release": cty.String, "version": cty.String, "architecture": cty.String, "pve": cty.Bool,
	})
	pveType = cty.Object(map[string]cty.Type{"version": cty.String, "major": cty.Number})
)

var softwareFacts = []fact{
	{FactDoc{"boot", bootType, "How the host boots: `efi`, and `loader`, one of `proxmox-boot-tool`, `systemd-boot` and `grub`, or null if none of them is found."}, readBoot},
	{FactDoc{"ceph", cephType, "Ceph: the `version` of the package ceph, such as `19.2.3-pve2`; null if it is not installed."}, readCeph},
	{FactDoc{"distribution", distributionType, "Distribution: `id` (`debian`), `codename` (`trixie`), `version` (`13`), `pretty` (`Debian GNU/Linux 13 (trixie)`). From /etc/os-release."}, readDistribution},
	{FactDoc{"kernel", kernelType, "Running kernel: `release` (uname -r), `version` (uname -v), `architecture` (uname -m), and whether it is a Proxmox kernel (`pve`)."}, readKernel},
	{FactDoc{"pve", pveType, "Proxmox VE: the `version` of the package pve-manager and its `major` number; null if it is not installed."}, readPVE},
}

func readBoot(ctx context.Context, h *Host) (cty.Value, error) {
	const (
		efi       = "/sys/firmware/efi"
		pveUUIDs  = "/etc/kernel/proxmox-boot-uuids" // proxmox-boot-tool(8) keeps its partitions here
		sdBootEFI = "/boot/efi/EFI/systemd"
		sdBootESP = "/efi/EFI/systemd"
		grub      = "/boot/grub/grub.cfg"
	)
	found, err := Files.ObserveAll(ctx, h, []string{efi, pveUUIDs, sdBootEFI, sdBootESP, grub})
	if err != nil {
		return cty.NilVal, err
	}
	loader := ""
	switch {
	case found[pveUUIDs].Exists():
		loader = "proxmox-boot-tool"
	case found[sdBootEFI].Exists(), found[sdBootESP].Exists():
		loader = "systemd-boot"
	case found[grub].Exists():
		loader = "grub"
	}
	return cty.ObjectVal(map[string]cty.Value{
		"loader": optional(loader), "efi": cty.BoolVal(found[efi].Exists()),
	}), nil
}

// version is a package's version; check mode may know that it will be there and not yet which.
func version(p Package) cty.Value {
	if p.Version == "" {
		return cty.UnknownVal(cty.String).RefineNotNull()
	}
	return cty.StringVal(p.Version)
}

func readCeph(ctx context.Context, h *Host) (cty.Value, error) {
	p, err := Packages.Observe(ctx, h, "ceph")
	if err != nil {
		return cty.NilVal, err
	}
	if !p.Installed() {
		return cty.NullVal(cephType), nil
	}
	return cty.ObjectVal(map[string]cty.Value{"version": version(p)}), nil
}

func readPVE(ctx context.Context, h *Host) (cty.Value, error) {
	p, err := Packages.Observe(ctx, h, "pve-manager")
	if err != nil {
		return cty.NilVal, err
	}
	if !p.Installed() {
		return cty.NullVal(pveType), nil
	}
	major, err := pveMajor(ctx, h, p.Version)
	if err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{"version": version(p), "major": major}), nil
}

// debianOfPVE is the Debian release that each major version of Proxmox VE is built for.
var debianOfPVE = map[string]int64{"bullseye": 7, "bookworm": 8, "trixie": 9}

// pveMajor is the major version; of an installation that is only predicted, that of the release.
func pveMajor(ctx context.Context, h *Host, version string) (cty.Value, error) {
	if version != "" {
		text, _, _ := strings.Cut(version, ".")
		major, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return cty.NilVal, fmt.Errorf("pve-manager's version %q does not begin with a number", version)
		}
		return cty.NumberIntVal(major), nil
	}
	release, err := osRelease(ctx, h)
	if err != nil {
		return cty.NilVal, err
	}
	if major, ok := debianOfPVE[release["VERSION_CODENAME"]]; ok {
		return cty.NumberIntVal(major), nil
	}
	return cty.UnknownVal(cty.Number).RefineNotNull(), nil
}

func readDistribution(ctx context.Context, h *Host) (cty.Value, error) {
	release, err := osRelease(ctx, h)
	if err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": optional(release["ID"]), "codename": optional(release["VERSION_CODENAME"]),
		"version": optional(release["VERSION_ID"]), "pretty": optional(release["PRETTY_NAME"]),
	}), nil
}

func osRelease(ctx context.Context, h *Host) (map[string]string, error) {
	Files.Want(h, "/usr/lib/os-release") // where the other leads on Debian
	text, err := needText(ctx, h, "/etc/os-release")
	if err != nil {
		return nil, err
	}
	return parseOSRelease(text), nil
}

// parseOSRelease reads os-release(5): assignments in the shell's quoting, without any expansion.
// Lines that are none are passed over, as the manual asks.
func parseOSRelease(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, quoted, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		words, err := shell.Fields(quoted, func(string) string { return "" })
		if err == nil && len(words) == 1 {
			values[name] = words[0]
		}
	}
	return values
}

func readKernel(ctx context.Context, h *Host) (cty.Value, error) {
	k, err := Kernels.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	version := cty.UnknownVal(cty.String).RefineNotNull()
	if k.Version != "" {
		version = cty.StringVal(k.Version)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"release": cty.StringVal(k.Release), "version": version,
		"architecture": cty.StringVal(k.Architecture), "pve": cty.BoolVal(strings.HasSuffix(k.Release, "-pve")),
	}), nil
}
