package observe

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Resolves observes the addresses that a name resolves to on the host itself, sorted and without duplicates (getent
// ahosts: the hosts file, then DNS, as configured in nsswitch.conf). There are none if the name does not resolve.
var Resolves = &Kind[[]netip.Addr]{
	Name: "resolves", What: "what %s resolves to",
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			if hostPattern.MatchString(name) {
				queries = append(queries, remote.Argv(resolveLimit, "getent", "ahosts", name))
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []netip.Addr, error)) {
		for _, name := range names {
			if !hostPattern.MatchString(name) {
				tell(name, nil, fmt.Errorf("%q is not a host name", name))
				continue
			}
			a := answers[0]
			answers = answers[1:]
			switch {
			case a.Exit == 0:
				tell(name, parseAhosts(string(a.Stdout)), nil)
			case a.Exit == 2: // getent(1): the key could not be found
				tell(name, nil, nil)
			case a.TimedOut():
				tell(name, nil, fmt.Errorf("resolving %s took longer than %s: does a name server of /etc/resolv.conf answer?", name, resolveLimit))
			default:
				tell(name, nil, fmt.Errorf("getent ahosts %s: %s: %s", name, remote.Ending(a.Exit), LastLine(a.Stderr)))
			}
		}
	},
}

// resolveLimit exceeds the resolver's own timeout for one unresponsive name server (resolv.conf(5): two attempts of
// five seconds).
const resolveLimit = 12 * time.Second

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$`)

// parseAhosts parses the first column of getent ahosts, which repeats each address for every socket type.
func parseAhosts(out string) []netip.Addr {
	var addrs []netip.Addr
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return sortedAddrs(addrs)
}

func sortedAddrs(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
