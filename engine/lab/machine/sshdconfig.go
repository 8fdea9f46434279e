package machine

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// sshdConfig is the part of sshd_config(5) that decides who may log in, and connect to other hosts from there. sshd reads
// it when it is started or reloaded.
type sshdConfig struct {
	permitRoot  string
	allow, deny []string // patterns of users, without hosts
	forwarding  string   // AllowTcpForwarding
}

// readSSHD makes sshd read its configuration.
func (m *Machine) readSSHD() {
	root := view{m: m}
	lines := m.lines("/etc/ssh/sshd_config")
	files, _ := afero.Glob(root, "/etc/ssh/sshd_config.d/*.conf")
	slices.Sort(files)
	var included []string
	for _, file := range files {
		included = append(included, m.lines(file)...)
	}
	var c sshdConfig
	for _, line := range append(included, lines...) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		if strings.EqualFold(keyword, "Match") {
			break
		}
		switch strings.ToLower(keyword) {
		case "permitrootlogin":
			c.permitRoot = cmp.Or(c.permitRoot, value) // the first value counts
		case "allowtcpforwarding":
			c.forwarding = cmp.Or(c.forwarding, value)
		case "allowusers":
			c.allow = append(c.allow, strings.Fields(value)...)
		case "denyusers":
			c.deny = append(c.deny, strings.Fields(value)...)
		}
	}
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	m.server.config = c
}

// admits reports whether a user may log in at all.
func (c sshdConfig) admits(user string) bool {
	is := func(pattern string) bool {
		ok, _ := path.Match(pattern, user)
		return ok
	}
	switch {
	case user == "root" && strings.EqualFold(c.permitRoot, "no"), slices.ContainsFunc(c.deny, is):
		return false
	}
	return len(c.allow) == 0 || slices.ContainsFunc(c.allow, is)
}

// forwards reports whether clients may connect to other hosts through this one.
func (c sshdConfig) forwards() bool {
	return c.forwarding == "" || slices.ContainsFunc([]string{"yes", "all", "local"}, func(v string) bool { return strings.EqualFold(c.forwarding, v) })
}
