package preflight

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// ping is the result of sending packets to an address.
type ping struct {
	Answered bool
	// Mean is the mean round-trip time in milliseconds.
	Mean float64
	// Missing says that nothing was sent, because the host has no ping.
	Missing bool
}

// smallest is the size of a packet that only shows whether anything answers.
const smallest = 84

// pingName returns the name for packets of a size, including headers, to an address.
func pingName(address string, size int) string { return address + " " + strconv.Itoa(size) }

// pings observes the results by pingName.
var pings = &observe.Kind[ping]{
	Name: "preflight-ping", What: "whether packets to %s are answered",
	Shared: observe.Always,
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			if argv, err := pingCommand(name); err == nil {
				queries = append(queries, remote.Argv(10*time.Second, argv...))
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, ping, error)) {
		for _, name := range names {
			if _, err := pingCommand(name); err != nil {
				tell(name, ping{}, err)
				continue
			}
			p, err := parsePing(answers[0])
			tell(name, p, err)
			answers = answers[1:]
		}
	},
}

func pingCommand(name string) ([]string, error) {
	address, size, _ := strings.Cut(name, " ")
	to, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	headers := 20 + 8
	if to.Is6() {
		headers = 40 + 8
	}
	bytes, err := strconv.Atoi(size)
	if err != nil || bytes < headers {
		return nil, fmt.Errorf("%q is not the size of a packet", size)
	}
	return []string{"ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "1", "-M", "do", "-s", strconv.Itoa(bytes - headers), to.String()}, nil
}

var pingTimes = regexp.MustCompile(`(?m)^(?:rtt|round-trip) \S+ = [0-9.]+/([0-9.]+)/`)

// parsePing parses the output of iputils' ping, which exits with 1 if nothing answered, and with 2 if it could not send.
func parsePing(a remote.Answer) (ping, error) {
	switch {
	case a.Exit == 126 || a.Exit == 127:
		return ping{Missing: true}, nil
	case a.Exit == 1 || a.TimedOut(), a.Exit == 2 && bytes.Contains(a.Stderr, []byte("unreachable")):
		return ping{}, nil
	case a.Exit != 0:
		return ping{}, fmt.Errorf("ping: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	found := pingTimes.FindSubmatch(a.Stdout)
	if found == nil {
		return ping{}, fmt.Errorf("ping reports no times: %q", observe.LastLine(a.Stdout))
	}
	mean, err := strconv.ParseFloat(string(found[1]), 64)
	return ping{Answered: true, Mean: mean}, err
}

// clock is a host's clock, compared with that of the run.
type clock struct {
	// Ahead is the number of seconds by which it is ahead, give or take Within seconds.
	Ahead, Within float64
}

// clocks observes a host's clock, under the empty name.
var clocks = &observe.Kind[clock]{
	Name: "preflight-clock", What: "the clock",
	Ask: func([]string) []remote.Query { return []remote.Query{{Script: `date +%s%N`, Inline: true}} },
	Timed: func(names []string, answers []remote.Answer, asked, answered time.Time, tell func(string, clock, error)) {
		there, err := parseClock(answers[0])
		half := answered.Sub(asked) / 2
		for _, name := range names {
			tell(name, clock{there.Sub(asked.Add(half)).Seconds(), half.Seconds()}, err)
		}
	},
}

func parseClock(a remote.Answer) (time.Time, error) {
	if a.Exit != 0 {
		return time.Time{}, fmt.Errorf("date: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(a.Stdout)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("date +%%s%%N prints %q", a.Stdout)
	}
	return time.Unix(0, ns), nil
}

// listening observes the sockets that programs listen on, under the empty name.
var listening = &observe.Kind[[]Socket]{
	Name: "preflight-listening", What: "the ports that programs listen on",
	Ask: func([]string) []remote.Query { return []remote.Query{remote.Argv(10*time.Second, "ss", "-Hlntup")} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, []Socket, error)) {
		all, err := parseSockets(answers[0])
		for _, name := range names {
			tell(name, all, err)
		}
	},
}

var socketProgram = pattern.New(`users:\(\("([^"]+)"`)

// parseSockets parses ss -Hlntup: protocol, state, two queues, the local and the peer's address, and for root the programs.
func parseSockets(a remote.Answer) ([]Socket, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("ss (apt install iproute2): %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	var all []Socket
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			return nil, fmt.Errorf("ss prints %q, expected six columns", strings.TrimSpace(line))
		}
		port, err := strconv.Atoi(fields[4][strings.LastIndexByte(fields[4], ':')+1:])
		if err != nil {
			return nil, fmt.Errorf("ss prints %q, expected an address and a port", fields[4])
		}
		s := Socket{Protocol: fields[0], Port: port}
		if found := socketProgram.FindStringSubmatch(line); found != nil {
			s.Program = found[1]
		}
		if !slices.Contains(all, s) { // once for IPv4, once for IPv6
			all = append(all, s)
		}
	}
	return all, nil
}

// needed are the ports that a cluster needs, and the names of its programs that use them.
var needed = []struct {
	protocol    string
	first, last int
	what        string
	programs    []string
}{
	{"udp", 5405, 5412, "corosync", []string{"corosync"}},
	{"tcp", 3300, 3300, "Ceph", []string{"ceph-mon"}},
	{"tcp", 6789, 6789, "Ceph", []string{"ceph-mon"}},
	{"tcp", 6800, 7300, "Ceph", []string{"ceph-osd", "ceph-mgr", "ceph-mds"}},
	{"tcp", 8006, 8006, "Proxmox VE", []string{"pveproxy", "pveproxy worker"}},
	{"tcp", 3128, 3128, "Proxmox VE", []string{"spiceproxy", "spiceproxy work"}},
	{"tcp", 85, 85, "Proxmox VE", []string{"pvedaemon", "pvedaemon worke"}},
}

// foreign reports whether another program uses a port of the cluster.
func (s Socket) foreign() bool {
	for _, n := range needed {
		if s.Protocol == n.protocol && s.Port >= n.first && s.Port <= n.last {
			return !slices.Contains(n.programs, s.Program)
		}
	}
	return false
}

// ownerOf returns the product that needs the port of a socket.
func ownerOf(s Socket) string {
	for _, n := range needed {
		if s.Protocol == n.protocol && s.Port >= n.first && s.Port <= n.last {
			return n.what
		}
	}
	return ""
}
