//go:build linux

package nspawn

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"time"

	"hlplay/engine/lab/rootfs"
)

// packages lists what a node has besides the essential packages: a Debian server with sshd in its default
// configuration.
var packages = []string{
	"apt", "ca-certificates", "cron", "dbus", "debconf", "init", "iproute2", "kmod", "libpam-systemd",
	"locales", "openssh-server", "procps", "sudo", "systemd-sysv", "tzdata",
}

// recipe turns a fresh root file system ($1) into that of a node. It runs once per image.
//
//go:embed recipe.sh
var recipe string

// image returns the directory of the base image, building it if it is not cached.
func image(ctx context.Context, o Options) (string, error) {
	cache, err := rootfs.CacheDir(o.Cache)
	if err != nil {
		return "", err
	}
	all := append(slices.Clone(packages), o.Packages...)
	return rootfs.Cached(cache, "debian-"+o.Suite, []string{o.Suite, strings.Join(all, ","), recipe}, func(path string) error {
		began := time.Now()
		o.Log("building the base image %s (Debian %s); this happens once", path, o.Suite)
		if err := rootfs.Build(ctx, o.Suite, path, all, recipe); err != nil {
			return err
		}
		o.Log("the base image took %s", time.Since(began).Round(time.Second))
		return nil
	})
}
