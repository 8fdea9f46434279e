package modules

import (
	"context"

	"hlplay/engine/observe"
)

// Package is what is known about a Debian package before it is installed, so that check mode can look beyond the installation on a
// bare host, whose index may not even list the package yet. It names what the package is certain to bring; anything else that may come
// with it is unknown until it is installed.
type Package struct {
	Name string
	// Archive is the domain of the product's own package archive, whose suites are named after Debian's releases: "example.com". It is
	// empty for a package of Debian.
	Archive string
	// FullUpgrade says why a safe upgrade is not enough for the package's product; empty if it is.
	FullUpgrade string
	// Depends are packages that come with it, Recommends those that come unless recommended packages are declined, and
	// DependsFrom13 those that come from Debian 13 on.
	Depends, Recommends, DependsFrom13 []string
	// Removes are packages that it replaces or conflicts with.
	Removes []string
	// Running are units that it enables and starts. Waiting are those that it enables and that start only once they are
	// configured. Static are those that other units start.
	Running, Waiting, Static []string
	// Files are those whose content is the package's own.
	Files []string
	// Directories are root's, with mode 0755.
	Directories []string
	// Programs are commands that it brings.
	Programs []string
	// KernelFlavour, of a package that depends on the newest kernel, is the end of that kernel's release: "-amd64".
	KernelFlavour string
	// Unconfigured is what to do if the package's installation script fails.
	Unconfigured string
	// Protection says that the package must not be removed; nil is none.
	Protection *Protection
	// Installed returns what else will be observed on a host once the package is there; nil is nothing.
	Installed func(ctx context.Context, h Host) ([]observe.Expectation, error)
}

// Protection is that of a package which is not removed.
type Protection struct {
	// By is what protects it on the host: "Proxmox's own apt hook". Mark is in what that prints when it stops apt.
	By, Mark string
	// Advice is for those who asked for the removal, Cause for those who did not: why apt may want it.
	Advice, Cause string
}
