package required

import (
	"context"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Program returns an error if the host lacks a program. use says what needs it.
func Program(ctx context.Context, h modules.Host, program, use string) error {
	there, err := observe.Programs.Observe(ctx, h, program)
	if err != nil || there {
		return err
	}
	if len(Coming(h)) > 0 {
		return unknown(h, observe.Programs.Key(program), "the program "+program)
	}
	return fmt.Errorf("%s needs %s, which the host does not have: install the package that provides it in an earlier task", use, program)
}
