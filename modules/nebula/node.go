package nebula

import (
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// node is a host's part in a Nebula network. Its private key is never read.
type node struct {
	// Now is the time on the host, in seconds since 1970.
	Now int64
	// Public is the public half of the key in /etc/nebula, in Base64, or "" if there is no key.
	Public string
	// Foreseen is set in check mode if the key does not exist yet; Public is then a placeholder.
	Foreseen bool
	// Loose says who else can read the key, or "" if only root can. Half is set if the key has no public half.
	Loose string
	Half  bool
	// Up reports whether the interface exists. The fields below describe it, and are zero if it does not.
	Up        bool
	MTU       int
	Addresses []string
	// Started is what fixed returned for the configuration with which the service was started.
	Started string
	// Loaded reports whether the service has loaded the key, the certificates and the configuration as they are now.
	Loaded bool
}

// placeholder stands for the public half of a key that does not exist yet. It is well formed.
const placeholder = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// nodes observes hosts' parts in Nebula networks, by interface.
var nodes = &observe.Kind[node]{
	Name: "nebula", What: "the Nebula interface %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Args: names, Script: `for i; do
f=/etc/nebula/$i
r=/run/nebula-$i
printf 'interface %s\n' "$i"
printf 'now '; date +%s || exit 1
if [ -e "$f.key" ] || [ -L "$f.key" ]; then
stat -c 'stat %a %U %F' -- "$f.key" || exit 1
if [ -e "$f.pub" ]; then sed -n '2s/^/public /p' "$f.pub" || exit 1; else printf 'half key\n'; fi
fi
if [ -e "/sys/class/net/$i" ]; then
printf 'mtu '; cat "/sys/class/net/$i/mtu" || exit 1
printf 'addresses '; ip -br addr show dev "$i" || exit 1
if [ -e "$r/started" ]; then sed -n 's/^# A restart applies: /started /p' "$r/started" || exit 1; fi
if [ -e "$r/loaded" ] && [ "$(cat "$f.ca" "$f.crt" "$f.key" "$f.yml" | sha256sum)" = "$(cat "$r/loaded")" ]; then printf 'loaded all\n'; fi
fi
done`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, node, error)) {
		all, err := parse(string(answers[0].Stdout))
		if answers[0].Exit != 0 {
			err = fmt.Errorf("cannot read the Nebula interfaces: %s", strings.TrimSpace(string(answers[0].Stderr)))
		}
		for _, name := range names {
			tell(name, all[name], err)
		}
	},
	// Time passes, and a new key is unknown until it is created.
	Complete: func(expected, found node) node {
		expected.Now = found.Now
		if expected.Foreseen {
			expected.Public, expected.Foreseen = found.Public, false
		}
		return expected
	},
}

// parse parses the output of the query: lines of a word and its value.
func parse(text string) (map[string]node, error) {
	all := map[string]node{}
	name := ""
	for line := range strings.Lines(text) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		f := strings.Fields(value)
		n := all[name]
		ok := len(f) > 0
		switch {
		case !ok:
		case word == "interface":
			name, n = f[0], node{}
		case word == "now":
			seconds, err := strconv.ParseInt(f[0], 10, 64)
			n.Now, ok = seconds, err == nil
		case word == "stat":
			if len(f) < 3 || f[0] != "600" && f[0] != "400" || f[1] != "root" || f[2] != "regular" {
				n.Loose = value
			}
		case word == "half":
			n.Half = true
		case word == "public":
			n.Public = f[0]
		case word == "mtu":
			mtu, err := strconv.Atoi(f[0])
			n.Up, n.MTU, ok = true, mtu, err == nil
		case word == "addresses": // the interface, its state, and its addresses
			if len(f) > 2 {
				n.Addresses = ipv4(f[2:])
			}
		case word == "started":
			n.Started = value
		case word == "loaded":
			n.Loaded = true
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("unexpected line %q in the state of the Nebula interfaces", line)
		}
		all[name] = n
	}
	return all, nil
}

// ipv4 returns the IPv4 addresses of an interface. Nebula's addresses are IPv4; the kernel adds an IPv6 address of its
// own.
func ipv4(all []string) []string {
	var kept []string
	for _, a := range all {
		if !strings.Contains(a, ":") {
			kept = append(kept, a)
		}
	}
	return kept
}
