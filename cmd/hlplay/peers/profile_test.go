//go:build linux && peers

package peers

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	engine "hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/registry"
)

// here runs a playbook on a testbed in this process, where it can be profiled. wrap may wrap the connections.
func here(ctx context.Context, s *testbed, playbook string, wrap func(remote.Conn) remote.Conn) (engine.Recap, error) {
	inv, diags := inventory.Load(s.file("hosts.hcl"))
	if diags.HasErrors() {
		return engine.Recap{}, diags
	}
	o := lang.Options{Modules: registry.All(), Facts: map[string]cty.Type{}, Inventory: inv}
	for _, f := range observe.Facts() {
		o.Facts[f.Name] = f.Type
	}
	pb, diags := lang.Load(playbook, o)
	if diags.HasErrors() {
		return engine.Recap{}, diags
	}
	redactor := engine.NewRedactor()
	reporter := engine.Redact(engine.NewPlain(io.Discard, engine.Options{Width: 100}), redactor)
	recap, err := run.Run(ctx, pb, inv, run.Options{
		Reporter: reporter, Redactor: redactor, SendAhead: true, SendAheadFrom: 10 * time.Millisecond,
		Connect: func(ctx context.Context, h *inventory.Host) (remote.Conn, error) {
			c, err := remote.Dial(ctx, remote.Target{
				Name: h.Name, Address: h.SSHAddress, Port: h.Port, User: h.User, Keys: h.Keys, KnownHosts: h.KnownHosts,
			}, remote.Options{SSHConfig: os.DevNull, Secrets: &remote.Secrets{}})
			if err != nil || wrap == nil {
				return c, err
			}
			return wrap(c), nil
		},
	})
	if err != nil {
		return recap, err
	}
	for name, host := range recap.Hosts {
		if host.Failed+host.Unreachable > 0 {
			return recap, fmt.Errorf("%s: %+v", name, host)
		}
	}
	return recap, nil
}

// BenchmarkConverged is a converged run on three hosts in this process, from reading the playbook to the last line of
// the report. With -cpuprofile it shows where the controller spends its time.
func BenchmarkConverged(b *testing.B) {
	s := openHere(b, 0)
	if _, err := here(b.Context(), s, playbook, nil); err != nil {
		b.Fatal(err)
	}
	before, err := s.cpu()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here(b.Context(), s, playbook, nil); err != nil {
			b.Fatal(err)
		}
	}
	after, err := s.cpu()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((after-before).Seconds()*1000/float64(b.N)/float64(len(s.List)), "node-ms/op")
}

// listener records the queries on a connection.
type listener struct {
	remote.Conn
	mu    *sync.Mutex
	asked *[]remote.Query
}

func (l listener) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	l.mu.Lock()
	*l.asked = append(*l.asked, queries...)
	l.mu.Unlock()
	return l.Conn.Ask(ctx, queries)
}

func (l listener) As(user string) remote.Session {
	if user == "" || user == l.User() {
		return l
	}
	return l.Conn.As(user)
}

// TestQueries measures the processor time that each query of a converged run takes on a node, averaged over many
// repetitions on one connection and less that of an empty query.
func TestQueries(t *testing.T) {
	s := openHere(t, 0)
	if _, err := here(t.Context(), s, playbook, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []*[]remote.Query // by connection
	if _, err := here(t.Context(), s, playbook, func(c remote.Conn) remote.Conn {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, &[]remote.Query{})
		return listener{c, &mu, asked[len(asked)-1]}
	}); err != nil {
		t.Fatal(err)
	}
	queries := *asked[0]
	const repetitions = 20
	node := s.List[0]
	c, err := remote.Dial(t.Context(), remote.Target{Name: node.Name, Address: s.host(0), Port: mustPort(t, s.port(0)), User: "root", Keys: []string{s.key()}, KnownHosts: s.file("known_hosts")},
		remote.Options{SSHConfig: os.DevNull, Secrets: &remote.Secrets{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cost := func(q ...remote.Query) (cpu, wall time.Duration, bytes int) {
		before, err := node.CPU()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range repetitions {
			answers, err := c.Ask(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range answers {
				bytes += len(a.Stdout) + len(a.Stderr)
			}
		}
		after, err := node.CPU()
		if err != nil {
			t.Fatal(err)
		}
		return (after - before) / repetitions, time.Since(began) / repetitions, bytes / repetitions
	}
	nothing := remote.Query{Script: ":"}
	cost(nothing)
	flight, wall, _ := cost(nothing)
	t.Logf("a flight that asks nothing: %.2f ms of the node, %.2f ms to the answer", ms(flight), ms(wall))
	type line struct {
		cpu  time.Duration
		text string
	}
	var all []line
	for _, q := range queries {
		cpu, wall, bytes := cost(q)
		script, _, _ := strings.Cut(strings.TrimSpace(q.Script), "\n")
		all = append(all, line{cpu - flight, fmt.Sprintf("%6.2f ms of the node, %6.2f ms to the answer, %6d bytes, %3d arguments: %.90s %.60q", ms(cpu-flight), ms(wall), bytes, len(q.Args), script, q.Args)})
	}
	slices.SortFunc(all, func(a, b line) int { return int(b.cpu - a.cpu) })
	for _, l := range all {
		t.Log(l.text)
	}
	cpu, wall, bytes := cost(queries...)
	t.Logf("all %d queries in one flight: %.2f ms of the node, %.2f ms to the answer, %d bytes", len(queries), ms(cpu), ms(wall), bytes)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mustPort(t *testing.T, text string) int {
	var port int
	if _, err := fmt.Sscan(text, &port); err != nil {
		t.Fatal(err)
	}
	return port
}
