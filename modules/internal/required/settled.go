package required

import (
	"context"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Settled returns an error if a user other than root could replace what is at a path (see observe.Replaceable). It is for
// programs that get the path as a name and follow whatever is there by then. consequence completes the error, as in "and
// so what mount(8) would find there"; want says what to do.
func Settled(ctx context.Context, h modules.Host, path, consequence, want string) error {
	by, err := observe.Replaceable(ctx, h, path)
	if err != nil || by == "" {
		return err
	}
	return fmt.Errorf("%s can replace %s on %s, %s: %s", by, path, h.Name(), consequence, want)
}
