package run

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Ask evaluates expressions as a task on a host would, until next returns none. It connects when a fact is first read,
// and reads facts again for each expression.
func Ask(ctx context.Context, inv *inventory.Inventory, on *inventory.Host, connect func(context.Context, *inventory.Host) (remote.Conn, error),
	next func() *lang.Question, answer func(*lang.Question, lang.Scope, error)) error {
	known := lang.Scope{"host": on.Value(), "hosts": inv.HostsValue(), "groups": inv.GroupsValue()}
	errs := Read(ctx, []*inventory.Host{on}, connect, func(ctx context.Context, _ int, h *observe.Host) error {
		for {
			q := next()
			if q == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			names := q.Facts
			if q.AllFacts {
				names = nil
				for _, f := range observe.Facts() {
					names = append(names, f.Name)
				}
			}
			scope := lang.Scope{"facts": cty.EmptyObjectVal}
			for name, value := range known {
				scope[name] = value
			}
			var err error
			if len(names) > 0 {
				h.Forget()
				scope["facts"], err = readFacts(ctx, h, names)
			}
			answer(q, scope, err)
		}
	})
	return errs[0]
}
