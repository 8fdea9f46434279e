package wrongform

import (
	"context"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// upgrade matches an upgrade that neither installs nor removes other packages.
var upgrade = pattern.New(`\b(apt|apt-get)\s+([^\n;|&]*\s)?upgrade\b|\baptitude\s+([^\n;|&]*\s)?safe-upgrade\b`)

// wholes are the packages whose upgrades come with other packages.
var wholes = []string{"proxmox-ve", "pve-manager", "proxmox-backup-server"}

// Upgrade returns advice on a command that upgrades a host without installing or removing other packages, if the host has
// packages of Proxmox. A host whose packages are unknown gets none.
func Upgrade(ctx context.Context, h modules.Host, argument, text string) []modules.Advice {
	if !upgrade.MatchString(effective(text)) {
		return nil
	}
	found, err := observe.Packages.ObserveAll(ctx, h, wholes)
	if err != nil {
		return nil
	}
	for _, name := range wholes {
		if found[name].Installed() {
			return []modules.Advice{{
				Name: modules.AdviceUpgrade, Argument: argument, Problem: "this upgrade keeps back packages that need others installed or removed, as upgrades of " + name + " do",
				Want: `Use apt { upgrade = "full" }`,
			}}
		}
	}
	return nil
}
