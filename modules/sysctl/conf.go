package sysctl

import (
	"cmp"
	"path"
	"strings"

	"hlplay/engine/observe"
)

// header is the beginning of a file that this module creates.
const header = "# Kernel settings kept by hlplay, in the order of their names. Other lines are left alone.\n"

// assignment parses a line of sysctl.d(5): "name = value", or "-name = value" if failures are ignored. Comments begin
// with # or ;. A name that is a pattern does not count: patterns, in any file, do not affect settings that are also
// named without one.
func assignment(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false
	}
	name, value, ok = strings.Cut(line, "=")
	name = strings.TrimPrefix(strings.TrimSpace(name), "-")
	return name, written(value), ok && name != "" && !strings.ContainsAny(name, "*?[")
}

// same reports whether two names are of the same setting. Names of different lengths never are.
func same(a, b string) bool {
	return a == b || len(a) == len(b) && observe.SysctlPath(a) == observe.SysctlPath(b)
}

// get returns the value that a file gives to a setting, which is that of the last line.
func get(text, name string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		if n, v, is := assignment(line); is && same(n, name) {
			value, ok = v, true
		}
	}
	return value, ok
}

// resetting lists, by the beginnings of their paths, the settings that change others when they are written. Those that
// also reset others in the list come first (ip-sysctl in the kernel's documentation).
var resetting = []string{"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/", "net/ipv6/conf/all/", "net/ipv4/conf/default/", "net/ipv6/conf/default/"}

// rank returns where in a file or command a setting belongs: after those that reset it.
func rank(name string) int {
	p := strings.TrimPrefix(observe.SysctlPath(name), "/proc/sys/")
	for i, prefix := range resetting {
		if strings.HasPrefix(p, prefix) {
			return i
		}
	}
	return len(resetting)
}

// resets reports whether the kernel may change a setting when another one is written: forwarding resets a family's
// settings (ip-sysctl in the kernel's documentation); a secret for stable addresses sets how addresses are generated
// (addrconf_sysctl_stable_secret in net/ipv6/addrconf.c); any other of all or default interfaces resets only its
// namesakes, if anything.
func resets(name, other string) bool {
	if rank(name) >= rank(other) {
		return false
	}
	of, than := observe.SysctlPath(name), observe.SysctlPath(other)
	family, _, _ := strings.Cut(strings.TrimPrefix(of, "/proc/sys/net/"), "/")
	if !strings.HasPrefix(than, "/proc/sys/net/"+family+"/conf/") {
		return false
	}
	what := path.Base(of)
	return what == path.Base(than) || what == "ip_forward" || strings.HasSuffix(of, "/conf/all/forwarding") || what == "stable_secret"
}

// order compares two settings by where they belong.
func order(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) }

func before(a, b string) bool { return order(a, b) < 0 }

// set returns the text with the setting in exactly one line: the first that has it, or a new line before the first
// setting that sorts after it.
func set(text, name, value string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	line := name + " = " + value + "\n"
	var out strings.Builder
	placed := false
	for old := range strings.Lines(text) {
		n, v, is := assignment(old)
		switch {
		case is && same(n, name) && placed:
			continue
		case is && same(n, name):
			placed = true
			if v != value {
				old = line
			}
		}
		out.WriteString(old)
	}
	if placed {
		return out.String()
	}
	out.Reset()
	for old := range strings.Lines(text) {
		if n, _, is := assignment(old); is && !placed && before(name, n) {
			out.WriteString(line)
			placed = true
		}
		out.WriteString(old)
	}
	if !placed {
		out.WriteString(line)
	}
	return out.String()
}

// ordered returns the text with the named settings moved so that none of them comes after one that it resets.
func ordered(text string, names []string, settings map[string]string) string {
	for _, name := range names {
		for line := range strings.Lines(text) {
			n, _, is := assignment(line)
			if is && same(n, name) {
				break
			}
			if is && resets(name, n) {
				text = set(unset(text, name), name, settings[name])
				break
			}
		}
	}
	return text
}

// unset returns the text without the lines of the setting.
func unset(text, name string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if n, _, is := assignment(line); !is || !same(n, name) {
			out.WriteString(line)
		}
	}
	return out.String()
}
