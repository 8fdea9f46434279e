package mount

import (
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// sets lists the options that set or clear flags of a mount point, as mount(8) describes them. A hyphen before a flag
// clears it.
var sets = map[string][]string{
	"noexec": {"noexec"}, "nosuid": {"nosuid"}, "nodev": {"nodev"}, "nosymfollow": {"nosymfollow"},
	"noatime": {"noatime"}, "nodiratime": {"nodiratime"},
	"exec": {"-noexec"}, "suid": {"-nosuid"}, "dev": {"-nodev"}, "symfollow": {"-nosymfollow"},
	"atime": {"-noatime"}, "relatime": {"-noatime"}, "strictatime": {"-noatime"}, "diratime": {"-nodiratime"},
	"defaults": {"-noexec", "-nosuid", "-nodev"},
	"user":     {"noexec", "nosuid", "nodev"}, "users": {"noexec", "nosuid", "nodev"},
	"owner": {"nosuid", "nodev"}, "group": {"nosuid", "nodev"},
}

// flags returns the flags of a mount point with the given options, in the order of observe.MountFlags. For each flag, the
// last option that concerns it counts.
func flags(options string) []string {
	on := map[string]bool{}
	for option := range strings.SplitSeq(options, ",") {
		for _, flag := range sets[option] {
			name, clear := strings.CutPrefix(flag, "-")
			on[name] = !clear
		}
	}
	return slices.DeleteFunc(slices.Clone(observe.MountFlags), func(flag string) bool { return !on[flag] })
}

// lacking returns the flags that the options ask for and that the mount point lacks, because it was mounted with other
// options or changed since. Additional flags are left alone, because some file systems set flags themselves.
func lacking(options string, mounted observe.Mount) []string {
	has := strings.Split(mounted.Flags, ",")
	return slices.DeleteFunc(flags(options), func(flag string) bool { return slices.Contains(has, flag) })
}

// remounting returns the options with which mount(8) applies the options of fstab to a mounted file system. Unless an
// option says otherwise, the kernel keeps a mount read-only, and keeps its mode of recording access times.
func remounting(options string, readOnly bool, mounted observe.Mount) string {
	if mounted.ReadOnly && !readOnly {
		options = "rw," + options
	}
	if had := strings.Split(mounted.Flags, ","); !slices.Contains(flags(options), "noatime") && !slices.Contains(strings.Split(options, ","), "strictatime") &&
		(slices.Contains(had, "noatime") || slices.Contains(had, "nodiratime")) {
		options += ",relatime"
	}
	return options
}
