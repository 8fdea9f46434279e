// Package accounts contains what the modules that manage users and groups share.
package accounts

import (
	"strconv"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Files returns the expectation that the files that hold accounts, and the backup of each, are about to change.
func Files(because string) (expect []observe.Expectation) {
	for _, file := range []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"} {
		expect = append(expect, observe.Files.Unknown(file, because), observe.Files.Unknown(file+"-", because))
	}
	return expect
}

// AddGroup returns the step that creates a group. If gid is nil, the host chooses the id.
func AddGroup(name string, gid *int, system bool) modules.Step {
	argv, after := []string{"groupadd"}, observe.Group{Name: name, GID: -1}
	if system {
		argv = append(argv, "--system")
	}
	expect := Files("an earlier task creates group " + name)
	if gid != nil {
		argv, after.GID = append(argv, "--gid", strconv.Itoa(*gid)), *gid
		expect = append(expect, Holds(Group, *gid, name))
	}
	return modules.Step{
		Summary: "create group " + name,
		Action:  modules.Run{Argv: append(argv, name), Brief: true},
		Expect:  append(expect, observe.Groups.Expect(name, after)),
		Exact:   true,
	}
}
