package observe

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// probed is observed from the controller; its value is the result of connecting.
var probed = &Kind[string]{
	Name: "probed",
	Probe: func(ctx context.Context, dial Dial, name string) (string, error) {
		if name == "broken" {
			panic("out of its depth")
		}
		_, err := dial(ctx, "tcp", name)
		return err.Error(), nil
	},
}

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		dials, hold := 0, make(chan struct{})
		w.host.SetDial(func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			select {
			case <-hold:
				return nil, errors.New(network + " " + address + " refused")
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		var value, word string
		w.host.Go(t.Context(), func(ctx context.Context) { value, _ = probed.Observe(ctx, w.host, "port") })
		synctest.Wait()
		if w.dials != 0 {
			t.Errorf("the host was dialed %d times for what the controller sees", w.dials)
		}
		// A flight does not wait for a probe.
		w.host.Go(t.Context(), func(ctx context.Context) { word, _ = words.Observe(ctx, w.host, "x") })
		synctest.Wait()
		if word == "" {
			t.Error("a probe that hangs holds a flight back")
		}
		close(hold)
		synctest.Wait()
		if value != "tcp port refused" {
			t.Errorf("the probe saw %q", value)
		}
		if _, err := probed.Observe(t.Context(), w.host, "port"); err != nil || dials != 1 {
			t.Errorf("a probe that is remembered was made again: %d times (%v)", dials, err)
		}
		if unfulfilled := w.host.Fulfil(t.Context(), []Expectation{probed.Expect("port", "open")}); len(unfulfilled) != 1 || dials != 2 {
			t.Errorf("an expectation that does not hold: %v after %d probes", unfulfilled, dials)
		}
		w.host.Forget()
		if _, err := probed.Observe(t.Context(), w.host, "port"); err != nil || dials != 3 {
			t.Errorf("a step may have changed what is probed, but it was probed %d times (%v)", dials, err)
		}
		if _, err := probed.Observe(t.Context(), w.host, "broken"); err == nil || !strings.Contains(err.Error(), "out of its depth") {
			t.Errorf("a probe that panics: %v", err)
		}
	})
}

func TestProbesEndWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWire(ctx, "a")
		w.host.SetDial(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		w.host.Go(t.Context(), func(ctx context.Context) { _, _ = probed.Observe(ctx, w.host, "port") })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if _, known := w.host.Known(probed.Key("port")); known {
			t.Error("a probe that was cut off is remembered")
		}
	})
}
