package wireguard

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// pair returns the first of two hosts in a network; own and other are their interfaces.
func pair(own, other tunnel, active bool, conf string) modules.Host {
	unit := observe.Unit{ID: "wg-quick@wg0.service", LoadState: "loaded", ActiveState: "inactive"}
	if active {
		unit.ActiveState = "active"
	}
	file := observe.File{}
	if conf != "" {
		file = observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "root", Content: []byte(conf), Size: int64(len(conf))}
	}
	m := network()
	dropIn := m.renderDropIn()
	first := observe.NewRecorded("pve1",
		observe.Files.Expect(program, observe.File{Type: observe.Regular}),
		observe.Files.Expect(dir, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}),
		observe.Files.Expect(m.conf(), file),
		observe.Files.Expect(m.dropIn(), observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(dropIn), Size: int64(len(dropIn))}),
		observe.Files.Expect("/etc/systemd/system/wg-quick@wg0.service.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Units.Expect(m.unit(), unit),
		tunnels.Expect("wg0", own),
	)
	second := observe.NewRecorded("pve2", tunnels.Expect("wg0", other))
	first.SetPeers(func() []*observe.Host { return []*observe.Host{first, second} }, func(name string) (*observe.Host, error) {
		if name == "pve2" {
			return second, nil
		}
		return nil, errors.New("no host " + name + " in the inventory")
	})
	return first
}

func network() *wireguard {
	return &wireguard{
		Interface: "wg0", Port: 51820, MTU: 1420, Keepalive: 25, Before: []string{"corosync.service"},
		Addresses: map[string]string{"pve1": "10.42.0.1/24", "pve2": "10.42.0.2/24"}, Endpoints: map[string]string{"pve1": "192.0.2.1", "pve2": "2001:db8::2"},
	}
}

const conf = `# Kept by hlplay. The private key is in /etc/wireguard/wg0.key.
[Interface]
Address = 10.42.0.1/24
ListenPort = 51820
MTU = 1420
PostUp = wg set %i private-key /etc/wireguard/%i.key

[Peer]
# pve2
PublicKey = TWO=
AllowedIPs = 10.42.0.2/32
Endpoint = [2001:db8::2]:51820
PersistentKeepalive = 25
`

// up returns the desired interface, modified by change.
func up(change func(*tunnel)) tunnel {
	t := tunnel{Public: "ONE=", Up: true, Key: "ONE=", Port: 51820, MTU: 1420, Addresses: []string{"10.42.0.1/24"}, Allowed: map[string]string{"TWO=": "10.42.0.2/32"}}
	if change != nil {
		change(&t)
	}
	return t
}

func TestPlan(t *testing.T) {
	two := tunnel{Public: "TWO="}
	for name, test := range map[string]struct {
		host modules.Host
		want string
	}{
		"new":                   {pair(tunnel{Public: "ONE="}, two, false, ""), "configure wg0 for 1 peer"},
		"as desired":            {pair(up(nil), two, true, conf), ""},
		"not started":           {pair(tunnel{Public: "ONE="}, two, false, conf), ""},
		"a peer's new key":      {pair(up(func(t *tunnel) { t.Allowed = map[string]string{"OLD=": "10.42.0.2/32"} }), two, true, strings.Replace(conf, "TWO", "OLD", 1)), "configure wg0 for 1 peer\napply the peers of wg0"},
		"a peer is gone":        {pair(up(func(t *tunnel) { t.Allowed = nil }), two, true, conf), "apply the peers of wg0"},
		"a peer too many":       {pair(up(func(t *tunnel) { t.Allowed["SPY="] = "0.0.0.0/0" }), two, true, conf), "apply the peers of wg0"},
		"another keepalive":     {pair(up(nil), two, true, strings.Replace(conf, "= 25", "= 10", 1)), "configure wg0 for 1 peer\napply the peers of wg0"},
		"another MTU":           {pair(up(func(t *tunnel) { t.MTU = 1280 }), two, true, conf), "restart wg0"},
		"its own new key":       {pair(up(func(t *tunnel) { t.Key = "OLD=" }), two, true, conf), "restart wg0"},
		"another address":       {pair(up(func(t *tunnel) { t.Addresses = []string{"10.42.0.9/24"} }), two, true, conf), "restart wg0"},
		"the interface is gone": {pair(tunnel{Public: "ONE="}, two, true, conf), "restart wg0"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, network(), test.host)
			if got := strings.ReplaceAll(strings.TrimSpace(modulestest.Summaries(plan)), "\n  ", "\n"); got != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", got, test.want)
			}
		})
	}
	plan := modulestest.Converges(t, network(), pair(tunnel{Public: "ONE="}, two, false, ""))
	if diff := cmp.Diff(conf, string(plan.Steps[0].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	key := modulestest.Converges(t, &wireguard{Interface: "wg0", Port: 51820, MTU: 1420}, pair(tunnel{}, two, false, ""))
	if got := strings.TrimSpace(modulestest.Summaries(key)); got != "create a key for wg0" {
		t.Errorf("without addresses: %s", got)
	}
}

// Addresses are compared by value, not by notation.
func TestAddressInAnotherForm(t *testing.T) {
	m := network()
	m.Addresses["pve1"] = "FD00:0:0::1/64"
	host := pair(up(func(t *tunnel) { t.Addresses = []string{"fd00::1/64"} }), tunnel{Public: "TWO="}, true, strings.Replace(conf, "10.42.0.1/24", "fd00::1/64", 1))
	if plan := modulestest.Converges(t, m, host); len(plan.Steps) > 0 {
		t.Errorf("steps: %s", modulestest.Summaries(plan))
	}
}

func TestRefused(t *testing.T) {
	two := tunnel{Public: "TWO="}
	third := network()
	third.Addresses = map[string]string{"pve1": "10.42.0.1/24", "pve9": "10.42.0.9/24"}
	elsewhere := network()
	elsewhere.Addresses = map[string]string{"pve2": "10.42.0.2/24"}
	for name, test := range map[string]struct {
		m    *wireguard
		host modules.Host
		want string
	}{
		"no key":            {network(), pair(tunnel{}, two, false, ""), "pve1 has no key for wg0: create the keys in an earlier task"},
		"no key of a peer":  {network(), pair(tunnel{Public: "ONE="}, tunnel{}, false, ""), "pve2 has no key for wg0"},
		"a copied machine":  {network(), pair(tunnel{Public: "TWO="}, two, false, ""), "pve2 has the same key for wg0 as pve1"},
		"loose":             {network(), pair(tunnel{Public: "ONE=", Loose: "644 root regular file"}, two, false, ""), "is 644 root regular file, expected mode 600"},
		"another made it":   {network(), pair(up(nil), two, false, conf), "wg0 is up on pve1, but was not started by wg-quick@wg0.service"},
		"a key in the file": {network(), pair(tunnel{Public: "ONE="}, two, false, "[Interface]\nprivatekey=x\n"), "contains a private key: move it to /etc/wireguard/wg0.key"},
		"unknown host":      {third, pair(tunnel{Public: "ONE="}, two, false, ""), "no host pve9 in the inventory"},
		"not one of them":   {elsewhere, pair(tunnel{Public: "ONE="}, two, false, ""), "addresses has no address for pve1 itself"},
	} {
		plan, err := test.m.Plan(context.Background(), test.host)
		if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
			t.Errorf("%s: %d steps, %v; expected %q", name, len(plan.Steps), err, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*wireguard)
		want   string
	}{
		"right":             {func(*wireguard) {}, ""},
		"interface":         {func(m *wireguard) { m.Interface = "wg/0" }, "interface"},
		"port":              {func(m *wireguard) { m.Port = 0 }, "port"},
		"mtu":               {func(m *wireguard) { m.MTU = 500 }, "mtu"},
		"no prefix":         {func(m *wireguard) { m.Addresses["pve1"] = "10.42.0.1" }, "addresses"},
		"link-local":        {func(m *wireguard) { m.Addresses["pve1"] = "fe80::1/64" }, "addresses"},
		"no host":           {func(m *wireguard) { m.Addresses, m.Endpoints = map[string]string{}, nil }, "addresses"},
		"one address twice": {func(m *wireguard) { m.Addresses["pve1"] = "10.42.0.2/24" }, "addresses"},
		"endpoint":          {func(m *wireguard) { m.Endpoints["pve2"] = "a b" }, "endpoints"},
		"endpoint, a port":  {func(m *wireguard) { m.Endpoints["pve1"] = "192.0.2.1:51820" }, "endpoints"},
		"an option":         {func(m *wireguard) { m.Endpoints["pve1"] = "-x" }, "endpoints"},
		"inside itself":     {func(m *wireguard) { m.Endpoints["pve1"] = "10.42.0.2" }, "endpoints"},
		"a name":            {func(m *wireguard) { m.Endpoints["pve1"] = "gate.example.org" }, ""},
		"endpoint of none":  {func(m *wireguard) { m.Endpoints["pve9"] = "192.0.2.9" }, "endpoints"},
		"before":            {func(m *wireguard) { m.Before = []string{"a b"} }, "before"},
	} {
		m := network()
		test.change(m)
		err := m.Validate()
		var argument *modules.ArgumentError
		if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &argument) || argument.Argument != test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParse parses what the programs print; wg(8) prints "(none)" for a peer without allowed addresses. An interface of
// wireguard-go has a link-local address besides those of its configuration.
func TestParse(t *testing.T) {
	got, err := parse("interface wg0\nstat 600 root regular file\npublic ONE=\nkey ONE=\nport 51820\nmtu 1420\naddresses wg0              UNKNOWN        10.42.0.1/24 fd00::1/64 fe80::4ae2:f99:6d0:6b5a/64 \nTWO=\t10.42.0.2/32 fd00::2/128\nTHREE=\t(none)\ninterface wg1\nstat 640 root regular empty file\ninterface wg2\n")
	want := map[string]tunnel{
		"wg0": {Public: "ONE=", Up: true, Key: "ONE=", Port: 51820, MTU: 1420, Addresses: []string{"10.42.0.1/24", "fd00::1/64"}, Allowed: map[string]string{"TWO=": "10.42.0.2/32 fd00::2/128", "THREE=": "(none)"}},
		"wg1": {Loose: "640 root regular empty file"}, "wg2": {},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := parse("interface wg0\nport many\n"); err == nil {
		t.Error("a port that is no number is accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("interface wg0\nstat 600 root regular file\npublic ONE=\nkey ONE=\nport 1\nmtu 2\naddresses wg0 UP 10.0.0.1/8\nTWO=\t10.0.0.2/32\n"))
	f.Fuzz(func(t *testing.T, text []byte) { modulestest.FuzzAnswer(t, tunnels, []string{"wg0"}, text, 0) })
}
