package observe

import (
	"strings"

	"hlplay/engine/remote"
)

// Sysctl is a kernel setting.
type Sysctl struct {
	// Exists is set if the running kernel has the setting. Some settings exist only while a module is loaded.
	Exists bool
	// Value is normalized by NormalSysctl. It is empty for a setting that cannot be read.
	Value string
	// Hidden is set if the account that reads the host cannot read the setting. Nobody can read vm.compact_memory, for
	// example: writing to it triggers an action. Fixed is set if the setting cannot be written here.
	Hidden, Fixed bool
}

// Sysctls observes kernel settings by name, in either form of sysctl(8): "net.ipv4.ip_forward",
// "net/ipv4/conf/eth0.100/rp_filter". A single grep reads all of them.
var Sysctls = &Kind[Sysctl]{
	Name: "sysctl", What: "the kernel setting %s",
	Ask: func(names []string) []remote.Query {
		paths := make([]string, len(names))
		for i, name := range names {
			paths[i] = SysctlPath(name)
		}
		// /dev/null ensures that grep has a file to read even if names is empty.
		return []remote.Query{
			{Script: `grep -sH '' /dev/null "$@"; true`, Args: paths, Inline: true, Hand: "look_sysctls"},
			// Below /proc/sys, a file's mode applies to root as well.
			{Script: `for _f; do if [ -f "$_f" ]; then
_r=r _w=w
if [ ! -r "$_f" ]; then _r=-; fi
if [ ! -w "$_f" ]; then _w=-; fi
printf '%s\n' "$_r$_w$_f"
fi; done`, Args: paths, Inline: true, Hand: "look_access"},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Sysctl, error)) {
		values := parseSysctls(answers[0].Stdout)
		access := map[string]string{}
		for line := range strings.Lines(string(answers[1].Stdout)) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 2 {
				access[line[2:]] = line[:2]
			}
		}
		for _, name := range names {
			p := SysctlPath(name)
			value, read := values[p]
			may, exists := access[p]
			tell(name, Sysctl{
				Exists: exists || read, Value: value,
				Hidden: exists && !read && may[0] != 'r', Fixed: exists && may[1] != 'w',
			}, nil)
		}
	},
	Holds: holdsSysctls,
}

// SysctlPath returns the file of a setting. As in sysctl(8), the first separator decides: after a dot, dots separate
// and slashes stand for dots ("net.ipv4.conf.eth0/100.mtu"); after a slash, slashes separate and dots are literal.
func SysctlPath(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		name = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	return "/proc/sys/" + name
}

// NormalSysctl returns a value in the form in which values are compared: the kernel separates the parts of a value
// with tabs (net.ipv4.tcp_rmem), people with spaces.
func NormalSysctl(value string) string { return strings.Join(strings.Fields(value), " ") }

// parseSysctls parses lines of the form "PATH:VALUE". A value with several lines takes several of them.
func parseSysctls(out []byte) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(out)) {
		// A path below /proc/sys contains a colon only in the name of an interface alias ("eth0:1"), which the kernel
		// rejects for new interfaces.
		path, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = NormalSysctl(value)
		if before, more := values[path]; more {
			value = before + "\n" + value
		}
		values[path] = value
	}
	return values
}
