package required

import (
	"context"
	"fmt"
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Program returns an error if the host lacks a program. use says what needs it. If an earlier task installs packages,
// the program is known to come only with pkg, the package that provides it, which may be empty.
func Program(ctx context.Context, h modules.Host, program, pkg, use string) error {
	there, err := observe.Programs.Observe(ctx, h, program)
	if err != nil || there {
		return err
	}
	switch packages := Coming(h); {
	case slices.Contains(packages, pkg):
		return nil
	case len(packages) > 0:
		return unknown(h, observe.Programs.Key(program), "the program "+program)
	}
	from := "the package that brings it"
	if pkg != "" {
		from = "the package " + pkg
	}
	return fmt.Errorf("%s needs %s, which the host does not have: install %s in a task before this one", use, program, from)
}
