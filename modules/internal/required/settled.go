package required

import (
	"context"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Settled returns an error if somebody besides root could put something else at a path (see observe.Replaceable). It is for
// programs that are given the path by name, and follow whatever lies there by then. The error says what would come of it, as
// in "and so what mount(8) would find there", and what to do.
func Settled(ctx context.Context, h modules.Host, path, consequence, want string) error {
	by, err := observe.Replaceable(ctx, h, path)
	if err != nil || by == "" {
		return err
	}
	return fmt.Errorf("%s can replace %s on %s, %s: %s", by, path, h.Name(), consequence, want)
}
