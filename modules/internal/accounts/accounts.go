// Package accounts has what modules share that manage users and groups.
package accounts

import (
	"strconv"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Files says of the files that hold accounts that they are about to change; each has its copy of before.
func Files(because string) (expect []observe.Expectation) {
	for _, file := range []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"} {
		expect = append(expect, observe.Files.Unknown(file, because), observe.Files.Unknown(file+"-", because))
	}
	return expect
}

// AddGroup is the step that makes a group, with an id of the host's choice if gid is nil.
func AddGroup(name string, gid *int, system bool) modules.Step {
	argv, after := []string{"groupadd"}, observe.Group{Name: name, GID: -1}
	if system {
		argv = append(argv, "--system")
	}
	if gid != nil {
		argv, after.GID = append(argv, "--gid", strconv.Itoa(*gid)), *gid
	}
	return modules.Step{
		Summary: "create group " + name,
		Action:  modules.Run{Argv: append(argv, name), Brief: true},
		Expect:  append(Files("the group "+name+" is about to be made"), observe.Groups.Expect(name, after)),
		Exact:   true,
	}
}
