package machine

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// acl is an access control list. If a file has one, the group bits of its mode are the mask.
type acl struct {
	group         uint32 // the permissions of the owning group
	users, groups map[int]uint32
}

// String returns the list as it is stored, or "" if it has no entries.
func (a acl) String() string {
	if len(a.users)+len(a.groups) == 0 {
		return ""
	}
	entries := []string{fmt.Sprintf("group_obj:0:%d", a.group)}
	for _, id := range slices.Sorted(maps.Keys(a.users)) {
		entries = append(entries, fmt.Sprintf("user:%d:%d", id, a.users[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(a.groups)) {
		entries = append(entries, fmt.Sprintf("group:%d:%d", id, a.groups[id]))
	}
	return strings.Join(entries, ",")
}

// widest returns the mask that limits no entry.
func (a acl) widest() uint32 {
	mask := a.group
	for _, rights := range a.users {
		mask |= rights
	}
	for _, rights := range a.groups {
		mask |= rights
	}
	return mask
}

// grants reports whether an account that does not own the file may do what is wanted.
func (a acl) grants(c credentials, mode fs.FileMode, gid int, want fs.FileMode) bool {
	mask := uint32(mode.Perm()>>3) & 7
	if rights, named := a.users[c.uid]; named {
		return fs.FileMode(rights&mask)&want == want
	}
	member := false
	for _, group := range append([]int{c.gid}, c.groups...) {
		rights, named := a.groups[group]
		if group == gid {
			rights, named = rights|a.group, true
		}
		if member = member || named; named && fs.FileMode(rights&mask)&want == want {
			return true
		}
	}
	return !member && mode.Perm()&want == want
}

// parseACL parses a list as it is stored. ok is false if text is empty.
func parseACL(text string) (a acl, ok bool) {
	if text == "" {
		return a, false
	}
	a = acl{users: map[int]uint32{}, groups: map[int]uint32{}}
	for entry := range strings.SplitSeq(text, ",") {
		var kind string
		var id int
		var rights uint32
		if _, err := fmt.Sscanf(strings.ReplaceAll(entry, ":", " "), "%s %d %d", &kind, &id, &rights); err != nil {
			continue // String does not write such entries
		}
		switch kind {
		case "group_obj":
			a.group = rights
		case "user":
			a.users[id] = rights
		case "group":
			a.groups[id] = rights
		}
	}
	return a, true
}

func setfacl(_ context.Context, c *Call) int {
	o, ok := c.options("m:x:b", "modify=", "remove=", "remove-all")
	if !ok {
		return 2
	}
	code := 0
	for _, name := range o.rest {
		info, err := c.view().Stat(c.Path(name))
		attributes, attributeErr := c.view().xattr(c.Path(name))
		if err != nil || attributeErr != nil {
			code = c.Errorf("%s: No such file or directory", name)
			continue
		}
		a, listed := parseACL(attributes[aclName])
		if !listed {
			a = acl{group: uint32(info.Mode().Perm()>>3) & 7, users: map[int]uint32{}, groups: map[int]uint32{}}
		}
		mask, masked := uint32(0), false
		if o.has("b", "remove-all") {
			a.users, a.groups = nil, nil
		}
		for _, spec := range []struct {
			text   string
			remove bool
		}{{o.value("m", "modify"), false}, {o.value("x", "remove"), true}} {
			for entry := range strings.SplitSeq(spec.text, ",") {
				if entry == "" {
					continue
				}
				if strings.HasPrefix(entry, "m:") || strings.HasPrefix(entry, "mask:") {
					mask, masked = rightsOf(entry[strings.LastIndex(entry, ":")+1:]), true
				} else if !c.applyACL(&a, entry, spec.remove) {
					return c.Errorf("Option -%s: Invalid argument near character 1", map[bool]string{false: "m", true: "x"}[spec.remove])
				}
			}
		}
		if !masked {
			mask = a.widest()
		}
		if err := c.view().setACL(c.Path(name), a, mask); err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
		}
	}
	return code
}

func getfacl(_ context.Context, c *Call) int {
	o, ok := c.options("cpn", "omit-header", "absolute-names", "numeric")
	if !ok {
		return 2
	}
	code := 0
	for _, name := range o.rest {
		info, err := c.view().Stat(c.Path(name))
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		d := details(info)
		mode := uint32(info.Mode().Perm())
		if !o.has("c", "omit-header") {
			shown := name
			if !o.has("p", "absolute-names") {
				shown = strings.TrimPrefix(name, "/")
			}
			c.printf("# file: %s\n# owner: %s\n# group: %s\n", shown, c.Machine.userName(d.uid), c.Machine.groupName(d.gid))
		}
		c.printf("user::%s\n", rightsText(mode>>6))
		a, listed := parseACL(d.acl)
		line := func(kind, who string, rights uint32) {
			text := fmt.Sprintf("%s:%s:%s", kind, who, rightsText(rights))
			if effective := rights & (mode >> 3); listed && effective != rights {
				text = fmt.Sprintf("%-24s#effective:%s", text, rightsText(effective))
			}
			c.printf("%s\n", text)
		}
		if !listed {
			line("group", "", mode>>3)
		} else {
			for _, uid := range slices.Sorted(maps.Keys(a.users)) {
				line("user", c.Machine.userName(uid), a.users[uid])
			}
			line("group", "", a.group)
			for _, gid := range slices.Sorted(maps.Keys(a.groups)) {
				line("group", c.Machine.groupName(gid), a.groups[gid])
			}
			c.printf("mask::%s\n", rightsText(mode>>3))
		}
		c.printf("other::%s\n\n", rightsText(mode))
	}
	return code
}

// applyACL adds an entry such as u:www-data:r to a list, or removes it; it reports whether the entry is valid.
func (c *Call) applyACL(a *acl, entry string, remove bool) bool {
	f := strings.Split(entry, ":")
	if len(f) < 2 || f[1] == "" || !remove && len(f) != 3 {
		return false
	}
	of, id := a.users, c.Machine.idOf(f[1], false)
	if f[0] == "g" || f[0] == "group" {
		of, id = a.groups, c.Machine.idOf(f[1], true)
	} else if f[0] != "u" && f[0] != "user" {
		return false
	}
	switch {
	case id < 0:
		return false
	case remove:
		delete(of, id)
	default:
		of[id] = rightsOf(f[2])
	}
	return true
}

func rightsOf(text string) (rights uint32) {
	if n, err := strconv.ParseUint(text, 8, 3); err == nil {
		return uint32(n)
	}
	for i, letter := range "rwx" {
		if strings.ContainsRune(text, letter) {
			rights |= 4 >> i
		}
	}
	return rights
}

func rightsText(rights uint32) string {
	text := []byte("---")
	for i := range text {
		if rights&(4>>i) != 0 {
			text[i] = "rwx"[i]
		}
	}
	return string(text)
}

// aclName is the extended attribute that holds a file's access control list.
const aclName = "system.posix_acl_access"
