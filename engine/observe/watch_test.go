package observe

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// A host waits for a change in the answers on which a plan is based, whatever others have read since.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		enough := w.host.KeepAnswers()
		ctx, saw := Track(t.Context())
		planners(ctx, w.host, func(ctx context.Context) {
			reads(t, w.host, "one")(ctx)
			_, _ = numbers.Observe(ctx, w.host, "two")
		})
		w.host.Forget()
		planners(t.Context(), w.host, reads(t, w.host, "one"))

		again, known, ok := w.host.Watch(saw)
		if !ok {
			t.Fatal("there is nothing that the host could wait for")
		}
		var asked []string
		for _, q := range again.Queries() {
			asked = append(asked, q.Script)
		}
		if diff := cmp.Diff([]string{"number", "more", "word"}, asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]remote.Answer{{Stdout: []byte("2")}, {Stdout: []byte("2")}, {Stdout: []byte("1")}}, known); diff != "" {
			t.Errorf("known (-want +got):\n%s", diff)
		}

		again.Arrive(arrival(again, "after the change"))
		before := len(w.sent())
		planners(t.Context(), w.host, func(ctx context.Context) {
			if got, err := words.Observe(ctx, w.host, "one"); got != "one after the change" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
		if len(w.sent()) != before {
			t.Error("what came with the change was read again")
		}

		enough()
		ctx, saw = Track(t.Context())
		planners(ctx, w.host, reads(t, w.host, "one"))
		if _, _, ok := w.host.Watch(saw); ok {
			t.Error("answers are kept that nobody wants any more")
		}
	})
}

// If the host cannot tell, or not alone, the controller asks.
func TestNothingToWatch(t *testing.T) {
	for name, plan := range map[string]func(ctx context.Context, t *testing.T, on, other *Host){
		"another host": func(ctx context.Context, t *testing.T, on, other *Host) {
			reads(t, on, "one")(ctx)
			reads(t, other, "one")(ctx)
		},
		"what the controller sees": func(ctx context.Context, t *testing.T, on, _ *Host) {
			reads(t, on, "one")(ctx)
			_, _ = probed.Observe(ctx, on, "port")
		},
		"what nothing changes": func(ctx context.Context, t *testing.T, on, _ *Host) { _, _ = steady.Observe(ctx, on, "name") },
		"another question": func(ctx context.Context, t *testing.T, on, _ *Host) {
			words.Want(on, "of somebody else")
			reads(t, on, "one")(ctx)
		},
		"nothing": func(context.Context, *testing.T, *Host, *Host) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
				defer a.host.KeepAnswers()()
				ctx, saw := Track(t.Context())
				planners(ctx, a.host, func(ctx context.Context) { plan(ctx, t, a.host, b.host) })
				if again, _, ok := a.host.Watch(saw); ok {
					t.Errorf("it waits for %v", again.Queries())
				}
			})
		})
	}
}
