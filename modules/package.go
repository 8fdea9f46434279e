package modules

import (
	"context"

	"hlplay/engine/observe"
)

// Package is what is known about a Debian package before it is installed. It allows check mode to look beyond the
// installation on a bare host, whose index may not even list the package yet. It names what the package is certain to
// bring; anything else that may come with it is unknown until it is installed.
type Package struct {
	Name string
	// Archive is the domain of the product's own package archive, whose suites are named after Debian releases:
	// "example.com". It is empty for a package of Debian.
	Archive string
	// FullUpgrade says why a safe upgrade is not enough for the package's product; empty if it is.
	FullUpgrade string
	// Depends lists packages that come with it, Recommends those that come unless recommended packages are declined,
	// and DependsFrom13 those that come from Debian 13 on.
	Depends, Recommends, DependsFrom13 []string
	// Removes lists packages that it replaces or conflicts with.
	Removes []string
	// Running lists units that it enables and starts, Waiting those that it enables but that start only once they are
	// configured, and Static those that other units start.
	Running, Waiting, Static []string
	// Files lists files whose content is provided by the package.
	Files []string
	// Directories lists directories that belong to root and have mode 0755.
	Directories []string
	// Programs lists commands that it provides.
	Programs []string
	// Inert is set if nothing of the package runs by itself, so that no other host can depend on it.
	Inert bool
	// KernelFlavour is the end of the kernel's release, such as "-amd64", if the package depends on the newest kernel.
	KernelFlavour string
	// Unconfigured is what to do if the package's installation script fails.
	Unconfigured string
	// Protection says that the package must not be removed; nil means that it may be.
	Protection *Protection
	// Installed returns what else will be observed on a host once the package is installed; nil means nothing.
	Installed func(ctx context.Context, h Host) ([]observe.Expectation, error)
	// Reads announces what Installed reads, as Forecaster.MayRead does; nil means nothing.
	Reads func(h Host)
}

// Protection describes the protection of a package that must not be removed.
type Protection struct {
	// By is what protects it on the host: "Proxmox's own apt hook". Mark is part of what that prints when it stops
	// apt.
	By, Mark string
	// Advice is for those who asked for the removal, Cause for those who did not: why apt may want it.
	Advice, Cause string
}
