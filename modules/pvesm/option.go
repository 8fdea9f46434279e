package pvesm

import (
	"slices"

	"hlplay/modules/internal/pve"
)

// forms lists the options that are not scalars, with their forms (PVE::Storage::Plugin and its subclasses).
var forms = map[string]pve.Form{
	"content": pve.Set, "nodes": pve.Set, "monhost": pve.Set,
	"prune-backups": pve.Properties, "bwlimit": pve.Properties, "content-dirs": pve.Properties,
	"path": pve.Path, "subdir": pve.Path, "export": pve.Path, "mountpoint": pve.Path, "is_mountpoint": pve.Path,
	"fingerprint": pve.Fold,
	"pool":        pve.Text, "data-pool": pve.Text, "fs-name": pve.Text, "username": pve.Text, "namespace": pve.Text, "datastore": pve.Text,
	"vgname": pve.Text, "thinpool": pve.Text, "share": pve.Text, "options": pve.Text,
}

// flags lists the boolean options that are off unless set, and onByDefault those that are on unless set.
var (
	flags = []string{
		"disable", "shared", "krbd", "fuse", "sparse", "saferemove", "nocow", "tagged_only", "nowritecache",
		"skip-cert-verification", "snapshot-as-volume-chain",
	}
	onByDefault = []string{"mkdir", "create-base-path", "create-subdirs"}
)

// written returns a value in the form of storage.cfg: a boolean is 1 or 0, however the task writes it.
func written(key, value string) string {
	if on, ok := pve.Truth(value); ok && (slices.Contains(flags, key) || slices.Contains(onByDefault, key)) {
		return pve.Flag(on)
	}
	return value
}

// same reports whether two values of an option are equivalent. An empty one means that the option is not set.
func same(key, a, b string) bool {
	return forms[key].Same(orDefault(key, a), orDefault(key, b))
}

func orDefault(key, value string) string {
	switch {
	case value != "":
	case slices.Contains(flags, key):
		return "0"
	case slices.Contains(onByDefault, key):
		return "1"
	}
	return value
}
