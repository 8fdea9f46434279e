package wireguard

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// tunnel is a WireGuard interface of a host. Its private key is never read.
type tunnel struct {
	// Public is the public half of the key in /etc/wireguard, or "" if there is none.
	Public string
	// Loose says who else can read the key, or "" if only root can.
	Loose string
	// Up reports whether the interface exists. The fields below describe it in the kernel, and are zero if it does not.
	Up        bool
	Key       string // the public half of the key in use
	Port, MTU int
	// Addresses are in the kernel's notation, without link-local ones.
	Addresses []string
	// Allowed holds the allowed addresses of each peer, by public key.
	Allowed map[string]string
}

// tunnels observes WireGuard interfaces by name.
var tunnels = &observe.Kind[tunnel]{
	Name: "wireguard", What: "the WireGuard interface %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Args: names, Script: `for i; do
k=/etc/wireguard/$i.key
printf 'interface %s\n' "$i"
if [ -e "$k" ] || [ -L "$k" ]; then
stat -c 'stat %a %U %F' -- "$k" || exit 1
printf 'public '; wg pubkey <"$k" || exit 1
fi
if [ -e "/sys/class/net/$i" ]; then
printf 'key '; wg show "$i" public-key || exit 1
printf 'port '; wg show "$i" listen-port || exit 1
printf 'mtu '; cat "/sys/class/net/$i/mtu" || exit 1
printf 'addresses '; ip -br addr show dev "$i" || exit 1
wg show "$i" allowed-ips || exit 1
fi
done`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, tunnel, error)) {
		all, err := parse(string(answers[0].Stdout))
		if answers[0].Exit != 0 {
			err = fmt.Errorf("cannot read the WireGuard interfaces: %s", strings.TrimSpace(string(answers[0].Stderr)))
		}
		for _, name := range names {
			tell(name, all[name], err)
		}
	},
	// The keys of a new interface and of its peers are unknown until they are generated.
	Complete: func(expected, found tunnel) tunnel {
		if strings.HasPrefix(expected.Public, "made-on-") {
			expected.Public = found.Public
		}
		return expected
	},
}

// parse parses the output of the query: lines of a word and its value, and lines of peers with their allowed addresses.
func parse(text string) (map[string]tunnel, error) {
	all := map[string]tunnel{}
	name := ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			return nil, fmt.Errorf("unexpected line %q in the state of the WireGuard interfaces", line)
		}
		t := all[name]
		number := func(to *int) (err error) {
			if *to, err = strconv.Atoi(f[1]); err != nil {
				err = fmt.Errorf("unexpected line %q in the state of the WireGuard interfaces", line)
			}
			return err
		}
		var err error
		switch {
		case f[0] == "interface":
			name, t = f[1], tunnel{}
		case f[0] == "stat":
			if mode := f[1]; len(f) < 4 || mode != "600" && mode != "400" || f[2] != "root" || f[3] != "regular" {
				t.Loose = strings.Join(f[1:], " ")
			}
		case f[0] == "public":
			t.Public = f[1]
		case f[0] == "key":
			t.Up, t.Key = true, f[1]
		case f[0] == "port":
			err = number(&t.Port)
		case f[0] == "mtu":
			err = number(&t.MTU)
		case f[0] == "addresses" && len(f) > 2: // the interface, its state, and its addresses
			t.Addresses = slices.DeleteFunc(f[3:], linkLocal)
		default:
			if t.Allowed == nil {
				t.Allowed = map[string]string{}
			}
			t.Allowed[f[0]] = strings.Join(f[1:], " ")
		}
		if err != nil {
			return nil, err
		}
		all[name] = t
	}
	return all, nil
}

// linkLocal reports whether an address is one that the kernel gives an interface by itself, as it does for one that wireguard-go
// has created (RFC 4291, 2.5.6).
func linkLocal(address string) bool {
	p, err := netip.ParsePrefix(address)
	return err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
}

// peer is another host of the network.
type peer struct {
	name, public, allowed, endpoint string
}

func endpoint(at string, port int) string {
	if a, err := netip.ParseAddr(at); err == nil && a.Is6() {
		return netip.AddrPortFrom(a, uint16(port)).String()
	}
	return at + ":" + strconv.Itoa(port)
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
