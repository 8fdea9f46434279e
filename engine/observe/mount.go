package observe

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// Mount describes what is mounted on a directory.
type Mount struct {
	// Source is the device or remote directory as reported by the kernel; empty if nothing is mounted.
	Source string
	// Type is the file system type: "ext4", "nfs4", "tmpfs".
	Type string
	// ReadOnly reports whether it is mounted read-only. After errors, a file system becomes read-only by itself
	// (errors=remount-ro).
	ReadOnly bool
	// Flags are the flags in MountFlags that the mount point has, in that order and separated by commas:
	// "nosuid,noexec".
	Flags string
}

// MountFlags are the mount options that the kernel reports exactly as they were given, for any file system.
var MountFlags = []string{"nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"}

// Mounts observes what is mounted, by absolute path of the directory. If several mounts are stacked, it is the last
// one.
var Mounts = &Kind[Mount]{
	Name: "mount", What: "what is mounted at %s",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `exec cat /proc/self/mounts`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Mount, error)) {
		var err error
		if a := answers[0]; a.Exit != 0 {
			err = fmt.Errorf("/proc/self/mounts cannot be read: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
		}
		mounted := parseMounts(string(answers[0].Stdout))
		for _, name := range names {
			tell(name, mounted[name], err)
		}
	},
}

// parseMounts parses /proc/self/mounts (proc_pid_mounts(5)).
func parseMounts(text string) map[string]Mount {
	mounted := map[string]Mount{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		m := Mount{Source: UnescapeMount(fields[0]), Type: fields[2]}
		if len(fields) > 3 {
			options := strings.Split(fields[3], ",")
			m.ReadOnly = slices.Contains(options, "ro")
			m.Flags = strings.Join(slices.DeleteFunc(slices.Clone(MountFlags), func(flag string) bool { return !slices.Contains(options, flag) }), ",")
		}
		mounted[UnescapeMount(fields[1])] = m
	}
	return mounted
}

var (
	mountEscapes   = strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`, "#", `\043`)
	mountUnescapes = strings.NewReplacer(`\134`, `\`, `\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#")
)

// EscapeMount escapes a path for use as a field of fstab(5).
func EscapeMount(path string) string { return mountEscapes.Replace(path) }

// UnescapeMount returns the path encoded in a field of fstab(5).
func UnescapeMount(field string) string { return mountUnescapes.Replace(field) }
