package throughput

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// What follows measures a link outside of a run, for `hlplay verify`. The programs and the checks are those of the module.

// Ready returns the speed in Mbit/s of the host's network card that has the address or, unless own is set, another one in its
// subnet; 0 if the driver reports none. It returns an error if the card cannot, or must not, be measured.
func Ready(ctx context.Context, h modules.Host, address netip.Addr, own bool) (speed int, err error) {
	e, err := endOf(ctx, h, func(p netip.Prefix) bool {
		if own {
			return p.Addr() == address
		}
		return p.Contains(address) && p.Addr() != address
	})
	switch {
	case err != nil:
		return 0, err
	case e.link == "" && own:
		return 0, fmt.Errorf("%s is not an address of %s", address, h.Name())
	case e.link == "":
		return 0, fmt.Errorf("%s has no network card in the subnet of %s: the measurement would cross a router", h.Name(), address)
	}
	return e.speed, e.fit(ctx)
}

// Serve starts a server on the host for one measurement. round tells measurements of the same address apart.
func Serve(ctx context.Context, h modules.Host, address netip.Addr, port, round int) error {
	_, err := servers.Observe(ctx, h, fmt.Sprintf("%s %d %d", address, port, round))
	return err
}

// Measure returns what an address received from the host in Mbit/s. Its server may need a moment before it listens.
func Measure(ctx context.Context, h modules.Host, address netip.Addr, port, streams, seconds, round int) (float64, error) {
	for attempt := 0; ; attempt++ {
		got, err := clients.Observe(ctx, h, fmt.Sprintf("%s %d %d %d %d %d", address, port, streams, seconds, round, attempt))
		if err == nil && got.Refused && attempt < 20 {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		if err == nil && got.Problem != "" {
			err = errors.New(got.Problem)
		}
		return got.Rate, err
	}
}

// serverArgv returns the command that serves one measurement in the background. It ends by itself after a minute.
func serverArgv(address, port string) []string {
	return []string{program, "-s", "-1", "-D", "-B", address, "-p", port, "--idle-timeout", "60"}
}

// clientArgv returns the command that measures. The first second does not count.
func clientArgv(address, port, seconds, streams string) []string {
	return []string{program, "-c", address, "-p", port, "-t", seconds, "-O", "1", "-P", streams, "-f", "m"}
}

// passing are messages of iperf3 while its server does not listen yet, or is still busy with the measurement before.
var passing = []string{"Connection refused", "server is busy"}

// servers starts servers, by address, port and round.
var servers = &observe.Kind[bool]{
	Name: "throughput-server", What: "a measurement on %s",
	Ask: func(names []string) (queries []remote.Query) {
		for _, name := range names {
			fields := strings.Fields(name)
			queries = append(queries, remote.Argv(10*time.Second, serverArgv(fields[0], fields[1])...))
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		for i, name := range names {
			var err error
			if a := answers[i]; a.Exit != 0 {
				err = fmt.Errorf("iperf3 -s: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
			}
			tell(name, err == nil, err)
		}
	},
}

// rate is the result of a measurement.
type rate struct {
	Rate float64
	// Refused says that the server does not listen yet. Problem is empty if there is a result.
	Refused bool
	Problem string
}

// clients measures, by address, port, streams, seconds, round and attempt.
var clients = &observe.Kind[rate]{
	Name: "throughput-client", What: "the throughput to %s",
	Ask: func(names []string) (queries []remote.Query) {
		for _, name := range names {
			fields := strings.Fields(name)
			seconds, _ := strconv.Atoi(fields[3])
			queries = append(queries, remote.Argv(time.Duration(seconds+30)*time.Second, clientArgv(fields[0], fields[1], fields[3], fields[2])...))
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, rate, error)) {
		for i, name := range names {
			tell(name, parseRate(answers[i]), nil)
		}
	},
}

// parseRate parses the output of iperf3 -c.
func parseRate(a remote.Answer) rate {
	said := string(a.Stderr) + string(a.Stdout)
	for _, text := range passing {
		if a.Exit != 0 && strings.Contains(said, text) {
			return rate{Refused: true, Problem: "iperf3: " + text}
		}
	}
	if a.Exit != 0 {
		return rate{Problem: fmt.Sprintf("iperf3: %s: %s; check that no packet filter drops the connection", remote.Ending(a.Exit), observe.LastLine(a.Stderr))}
	}
	got, err := received(a.Stdout)
	if err != nil {
		return rate{Problem: err.Error()}
	}
	return rate{Rate: got}
}
