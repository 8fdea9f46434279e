package observe

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// Resolves observes the addresses that a name resolves to on the host itself, sorted and without duplicates (getent
// ahosts: the hosts file, then DNS, as configured in nsswitch.conf). There are none if the name does not resolve.
var Resolves = &Kind[[]netip.Addr]{
	Name: "resolves", What: "what %s resolves to", Holds: holdsResolves,
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

// holdsResolvesScript compares the addresses of a name with those that follow it. getent(1) exits with 2 if it does not resolve.
const holdsResolvesScript = `_o="$($limited getent ahosts "$1")"
case $? in 0) ;; 2) [ $# = 1 ]; exit ;; *) exit 1 ;; esac
shift
_nl='
'
_o=$_o$_nl _s=' '
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
_r=${_r%% *}
case " $* " in *" $_r "*) _s="$_s$_r " ;; *) exit 1 ;; esac
done
for _r; do
case $_s in *" $_r "*) ;; *) exit 1 ;; esac
done`

// holdsResolves is Resolves.Holds.
func holdsResolves(values map[string][]netip.Addr) (queries []remote.Query, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !hostPattern.MatchString(name) {
			return nil, false
		}
		args := []string{name}
		for _, addr := range values[name] {
			args = append(args, addr.String())
		}
		queries = append(queries, remote.Query{Script: holdsResolvesScript, Args: args, Limit: resolveLimit})
	}
	return queries, true
}

// resolveLimit exceeds the resolver's own timeout for one unresponsive name server (resolv.conf(5): two attempts of
// five seconds).
const resolveLimit = 12 * time.Second

var hostPattern = pattern.New(`^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$`)

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
