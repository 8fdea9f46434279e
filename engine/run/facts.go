package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// FactSheet is the result of Facts.
type FactSheet struct {
	// JSON is an indented object by host name.
	JSON []byte
	// Failures are the errors of the hosts that could not be read, in the inventory's order.
	Failures []error
}

// Facts reads facts of the hosts that match a pattern; no names means all facts. The error is about the request. Hosts
// that cannot be reached are among the failures.
func Facts(ctx context.Context, inv *inventory.Inventory, pattern string, names []string,
	connect func(context.Context, *inventory.Host) (remote.Conn, error)) (FactSheet, error) {
	hosts, err := inv.Match(pattern)
	if err != nil {
		return FactSheet{}, err
	}
	known := map[string]bool{}
	var all []string
	for _, f := range observe.Facts() {
		known[f.Name] = true
		all = append(all, f.Name)
	}
	for _, name := range names {
		if !known[name] {
			return FactSheet{}, fmt.Errorf("no fact %q%s", name, lang.Suggestion(name, all, "there are "+strings.Join(all, ", ")))
		}
	}
	if len(names) == 0 {
		names = all
	}
	values := make([]cty.Value, len(hosts))
	errs := Read(ctx, hosts, connect, func(ctx context.Context, i int, h *observe.Host) (err error) {
		values[i], err = readFacts(ctx, h, names)
		return err
	})
	sheet := FactSheet{}
	object := map[string]json.RawMessage{}
	for i, ih := range hosts {
		if errs[i] == nil {
			object[ih.Name], errs[i] = ctyjson.Marshal(values[i], values[i].Type())
		}
		if errs[i] != nil {
			sheet.Failures = append(sheet.Failures, errs[i])
			delete(object, ih.Name)
		}
	}
	sheet.JSON, err = json.MarshalIndent(object, "", "  ")
	return sheet, err
}

// Read observes hosts in parallel, outside of a run. The callback gets the index of its host, and the errors are in the
// order of the hosts.
func Read(ctx context.Context, hosts []*inventory.Host, connect func(context.Context, *inventory.Host) (remote.Conn, error),
	read func(ctx context.Context, index int, h *observe.Host) error) []error {
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, ih := range hosts {
		wg.Add(1)
		reader := ""
		if ih.Become {
			reader = becomeUser(ih.BecomeUser)
		}
		c := newConnection(ih, connect, reader)
		h := observe.NewHost(ctx, ih.Name, ih.Address, c.dial)
		h.Go(ctx, func(ctx context.Context) {
			defer wg.Done()
			defer c.close()
			errs[i] = read(ctx, i, h)
		})
	}
	wg.Wait()
	return errs
}

// readFacts observes facts concurrently and returns an object with one attribute for each.
func readFacts(ctx context.Context, h *observe.Host, names []string) (cty.Value, error) {
	values := make([]cty.Value, len(names))
	errs := make([]error, len(names))
	reads := make([]func(context.Context), len(names))
	for i, name := range names {
		reads[i] = func(ctx context.Context) { values[i], errs[i] = observe.Fact(ctx, h, name) }
	}
	observe.Together(ctx, reads...)
	facts := map[string]cty.Value{}
	for i, name := range names {
		if errs[i] != nil {
			return cty.NilVal, fmt.Errorf("fact %s: %w", name, errs[i])
		}
		facts[name] = values[i]
	}
	return cty.ObjectVal(facts), nil
}
