package boot

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// evidence is what identifies a host's boot loader.
type evidence struct {
	// Line is the running kernel's command line, to which boot loaders add parameters of their own.
	Line string
	// Paths are those of partitionsFile, grubMenu, kernelInstall and loaderInfo that exist, the last one only if it names
	// systemd-boot.
	Paths []string
}

const (
	partitionsFile = "/etc/kernel/proxmox-boot-uuids"
	cmdlineFile    = "/etc/kernel/cmdline"
	// vendorCmdlineFile is what kernel-install reads if cmdlineFile does not exist.
	vendorCmdlineFile = "/usr/lib/kernel/cmdline"
	grubFile          = "/etc/default/grub"
	grubMenu          = "/boot/grub/grub.cfg"
	kernelInstall     = "/usr/bin/kernel-install"
	// loaderInfo is the EFI variable that holds the boot loader's name, in UTF-16.
	loaderInfo = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
)

// loaders observes how the running kernel was started. Its only name is "". It is separate from observe.CommandLines because
// a reboot does not change the boot loader.
var loaders = &observe.Kind[evidence]{
	Name: "boot-loader", What: "the boot loader",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{
			Script: `read -r _l </proc/cmdline && printf '%s\n' "$_l"; for _f; do [ -e "$_f" ] || continue
case $_f in /sys/*) case $(tr -d '\000' <"$_f") in *systemd-boot*) ;; *) continue ;; esac ;; esac
printf '%s\n' "$_f"; done; true`,
			Args: []string{partitionsFile, grubMenu, kernelInstall, loaderInfo}, Inline: true,
		}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, evidence, error)) {
		line, paths, ok := strings.Cut(string(answers[0].Stdout), "\n")
		var err error
		if answers[0].Exit != 0 || !ok || strings.HasPrefix(line, "/") {
			err = fmt.Errorf("cannot read /proc/cmdline: %s: %s", remote.Ending(answers[0].Exit), observe.LastLine(answers[0].Stderr))
		}
		for _, name := range names {
			tell(name, evidence{line, strings.Fields(paths)}, err)
		}
	},
}

// loader is a boot loader: the file that it takes the kernel's command line from, and the command that applies a change. If
// there is no command, kernel-install is run for each kernel.
type loader struct {
	name    string
	file    string
	refresh []string
}

var (
	grub             = loader{"GRUB", grubFile, []string{"update-grub"}}
	proxmoxGRUB      = loader{"GRUB, kept by proxmox-boot-tool", grubFile, []string{"proxmox-boot-tool", "refresh"}}
	systemdBoot      = loader{"systemd-boot, kept by proxmox-boot-tool", cmdlineFile, []string{"proxmox-boot-tool", "refresh"}}
	plainSystemdBoot = loader{"systemd-boot", cmdlineFile, nil}
)

// loader returns the boot loader that started the running kernel. GRUB passes BOOT_IMAGE=; systemd-boot passes the image's
// path in EFI notation.
func (e evidence) loader() (loader, error) {
	parameters := split(e.Line)
	initrd := strings.Join(named(parameters, "initrd"), " ")
	byGRUB := len(named(parameters, "BOOT_IMAGE")) > 0
	proxmox := slices.Contains(e.Paths, partitionsFile)
	switch {
	case proxmox && byGRUB:
		return proxmoxGRUB, nil
	case proxmox && strings.HasPrefix(initrd, `initrd=\EFI\proxmox\`):
		return systemdBoot, nil
	case proxmox:
		return loader{}, fmt.Errorf("proxmox-boot-tool manages the boot partitions of this host (%s), but the running kernel was started neither by its systemd-boot nor by GRUB (/proc/cmdline: %q): reboot through the regular boot menu first", partitionsFile, e.Line)
	case byGRUB && slices.Contains(e.Paths, grubMenu):
		return grub, nil
	case byGRUB:
		return loader{}, fmt.Errorf("the running kernel was started by GRUB, but not by the GRUB of this system, which has no %s: in a container, set the parameters on its host; otherwise install GRUB (grub-install, update-grub)", grubMenu)
	case strings.Contains(initrd, `\`) && slices.Contains(e.Paths, loaderInfo) && slices.Contains(e.Paths, kernelInstall):
		return plainSystemdBoot, nil
	case strings.Contains(initrd, `\`):
		return loader{}, fmt.Errorf("the running kernel was started from the EFI partition (/proc/cmdline: %q), but not by systemd-boot with entries maintained by kernel-install: expected %s, and systemd-boot as the loader's name in %s; set the parameters in that loader's configuration by hand", e.Line, kernelInstall, loaderInfo)
	}
	return loader{}, fmt.Errorf("cannot tell which boot loader started the running kernel: expected BOOT_IMAGE= (GRUB) or initrd=\\EFI\\proxmox\\ (systemd-boot) in /proc/cmdline, found %q; a host booted over the network, or directly by QEMU, gets its parameters from there", e.Line)
}
