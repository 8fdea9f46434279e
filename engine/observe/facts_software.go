package observe

import (
	"context"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"mvdan.cc/sh/v3/shell"
)

var (
	bootType         = cty.Object(map[string]cty.Type{"loader": cty.String, "efi": cty.Bool})
	distributionType = cty.Object(map[string]cty.Type{
		"id": cty.String, "codename": cty.String, "version": cty.String, "pretty": cty.String,
	})
	kernelType = cty.Object(map[string]cty.Type{
		"release": cty.String, "version": cty.String, "architecture": cty.String,
	})
)

var softwareFacts = []FactSpec{
	{FactDoc{"boot", bootType, "How the host boots: `efi`, and `loader`, `systemd-boot` or `grub`, or null if neither is found."}, readBoot},
	{FactDoc{"distribution", distributionType, "Distribution: `id` (`debian`), `codename` (`trixie`), `version` (`13`), `pretty` (`Debian GNU/Linux 13 (trixie)`). From /etc/os-release."}, readDistribution},
	{FactDoc{"kernel", kernelType, "Running kernel: `release` (uname -r), `version` (uname -v) and `architecture` (uname -m)."}, readKernel},
}

func readBoot(ctx context.Context, h *Host) (cty.Value, error) {
	const (
		efi       = "/sys/firmware/efi"
		sdBootEFI = "/boot/efi/EFI/systemd"
		sdBootESP = "/efi/EFI/systemd"
		grub      = "/boot/grub/grub.cfg"
	)
	found, err := Files.ObserveAll(ctx, h, []string{efi, sdBootEFI, sdBootESP, grub})
	if err != nil {
		return cty.NilVal, err
	}
	loader := ""
	switch {
	case found[sdBootEFI].Exists(), found[sdBootESP].Exists():
		loader = "systemd-boot"
	case found[grub].Exists():
		loader = "grub"
	}
	return cty.ObjectVal(map[string]cty.Value{
		"loader": optional(loader), "efi": cty.BoolVal(found[efi].Exists()),
	}), nil
}

func readDistribution(ctx context.Context, h *Host) (cty.Value, error) {
	release, err := OSRelease(ctx, h)
	if err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": optional(release["ID"]), "codename": optional(release["VERSION_CODENAME"]),
		"version": optional(release["VERSION_ID"]), "pretty": optional(release["PRETTY_NAME"]),
	}), nil
}

// OSRelease returns the assignments in /etc/os-release (os-release(5)).
func OSRelease(ctx context.Context, h *Host) (map[string]string, error) {
	Files.Want(h, "/usr/lib/os-release") // the target of /etc/os-release on Debian
	text, err := needText(ctx, h, "/etc/os-release")
	if err != nil {
		return nil, err
	}
	return parseOSRelease(text), nil
}

// Codename returns the code name of the release in the text of /etc/os-release, such as trixie; "" if it has none.
func Codename(release string) string { return parseOSRelease(release)["VERSION_CODENAME"] }

// parseOSRelease parses os-release(5): assignments with shell quoting but without any expansion. Other lines are
// ignored, as the manual asks.
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
		"architecture": cty.StringVal(k.Architecture),
	}), nil
}
