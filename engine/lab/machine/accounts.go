package machine

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// account is a line of /etc/passwd.
type account struct {
	name               string
	uid, gid           int
	gecos, home, shell string
}

// group is a line of /etc/group.
type group struct {
	name    string
	gid     int
	members []string
}

func (m *Machine) lines(file string) []string {
	content, err := afero.ReadFile(m.FS(), file)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(string(content), "\n"), func(line string) bool { return line == "" })
}

func (m *Machine) accounts() []account {
	var all []account
	for _, line := range m.lines("/etc/passwd") {
		f := strings.Split(line, ":")
		if len(f) < 7 {
			continue
		}
		uid, errU := strconv.Atoi(f[2])
		gid, errG := strconv.Atoi(f[3])
		if errU == nil && errG == nil {
			all = append(all, account{f[0], uid, gid, f[4], f[5], f[6]})
		}
	}
	return all
}

// account returns the account with a name or number.
func (m *Machine) account(name string) (account, bool) {
	for _, a := range m.accounts() {
		if a.name == name || strconv.Itoa(a.uid) == name {
			return a, true
		}
	}
	return account{}, false
}

func (m *Machine) groups() []group {
	var all []group
	for _, line := range m.lines("/etc/group") {
		f := strings.Split(line, ":")
		if len(f) < 4 {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil {
			members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
			all = append(all, group{f[0], gid, members})
		}
	}
	return all
}

// group returns the group with a name or number.
func (m *Machine) group(name string) (group, bool) {
	for _, g := range m.groups() {
		if g.name == name || strconv.Itoa(g.gid) == name {
			return g, true
		}
	}
	return group{}, false
}

// memberships returns the groups of a user, the primary group first.
func (m *Machine) memberships(a account) []group {
	var all []group
	for _, g := range m.groups() {
		if g.gid == a.gid {
			all = append([]group{g}, all...)
		} else if slices.Contains(g.members, a.name) {
			all = append(all, g)
		}
	}
	return all
}

func (m *Machine) credentials(user string) credentials {
	if user == "root" || user == "" {
		return credentials{}
	}
	a, ok := m.account(user)
	if !ok {
		return credentials{uid: 65534, gid: 65534}
	}
	c := credentials{uid: a.uid, gid: a.gid}
	for _, g := range m.memberships(a) {
		c.groups = append(c.groups, g.gid)
	}
	return c
}

func (m *Machine) userName(uid int) string {
	for _, a := range m.accounts() {
		if a.uid == uid {
			return a.name
		}
	}
	return "UNKNOWN"
}

func (m *Machine) groupName(gid int) string {
	for _, g := range m.groups() {
		if g.gid == gid {
			return g.name
		}
	}
	return "UNKNOWN"
}

// unixPerm returns the permission bits as the kernel numbers them.
func unixPerm(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// fileMode is the inverse of unixPerm.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// rawMode returns st_mode: the type and the permission bits.
func rawMode(mode fs.FileMode) uint32 {
	bits := unixPerm(mode)
	switch {
	case mode.IsDir():
		return bits | 0o040000
	case mode&fs.ModeSymlink != 0:
		return bits | 0o120000
	case mode&fs.ModeNamedPipe != 0:
		return bits | 0o010000
	case mode&fs.ModeSocket != 0:
		return bits | 0o140000
	case mode&fs.ModeCharDevice != 0:
		return bits | 0o020000
	case mode&fs.ModeDevice != 0:
		return bits | 0o060000
	}
	return bits | 0o100000
}

// idOf returns the number of an account or a group, given its name or its number, or -1.
func (m *Machine) idOf(name string, group bool) int {
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	if group {
		for _, g := range m.groups() {
			if g.name == name {
				return g.gid
			}
		}
		return -1
	}
	for _, a := range m.accounts() {
		if a.name == name {
			return a.uid
		}
	}
	return -1
}

// primaryUser returns the first user whose primary group this is, or "" if there is none.
func (m *Machine) primaryUser(name string) string {
	g, ok := m.group(name)
	for _, a := range m.accounts() {
		if ok && a.gid == g.gid {
			return a.name
		}
	}
	return ""
}
