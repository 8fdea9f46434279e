// Package wireguard implements the module that connects hosts by WireGuard.
package wireguard

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "wireguard",
	Summary: "A WireGuard network between hosts",
	Doc: `Without ` + "`addresses`" + ` the task creates the host's private key in /etc/wireguard/INTERFACE.key. It is created on the host and never leaves it;
the result has the public key. With ` + "`addresses`" + `, in a later task, every host of the network becomes a peer of every other one: the public
keys are read from all hosts, including those outside the play, and /etc/wireguard/INTERFACE.conf is written for wg-quick(8) without the
private key. Start wg-quick@INTERFACE.service with the module service.

An interface that is up is updated: peers and their keys without an interruption (wg syncconf), an address, port or MTU by
restarting the unit. Changes made with wg(8) alone are reverted.

` + "`before`" + ` starts the interface before units that need it at boot, such as corosync.service.`,
	Example: `task "keys" {
  wireguard {
    interface = "wg0"
  }
}

task "the network" {
  wireguard {
    interface = "wg0"
    addresses = { for name in groups.pve : name => hosts[name].vars.overlay_address }
    endpoints = { for name in groups.pve : name => hosts[name].address }
    before    = ["corosync.service"]
  }
}`,
	Packages: []modules.Package{{Name: "wireguard-tools", Files: []string{program, unitFile}, Installed: func(context.Context, modules.Host) ([]observe.Expectation, error) {
		return []observe.Expectation{observe.Paths.Expect(program, true), observe.Files.Expect(dir, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"})}, nil
	}}},
	Result: Result{},
	New:    func() modules.Module { return &wireguard{} },
}

const (
	program  = "/usr/bin/wg"
	unitFile = "/usr/lib/systemd/system/wg-quick@.service"
	dir      = "/etc/wireguard"
)

// Result is what the module registers.
type Result struct {
	PublicKey string `cty:"public_key" doc:"The host's public key."`
}

type wireguard struct {
	Interface string            `hcl:"interface" doc:"Name of the interface: wg0."`
	Addresses map[string]string `hcl:"addresses,optional" doc:"All hosts of the network by their names in the inventory, each with its address in the network and the prefix length: 10.99.0.1/24. The same on every host."`
	Endpoints map[string]string `hcl:"endpoints,optional" doc:"Addresses by which the hosts reach each other. A host without one, for example behind NAT, connects to the others."`
	Port      int               `hcl:"port,optional" default:"51820" doc:"The UDP port, the same on all hosts."`
	MTU       int               `hcl:"mtu,optional" default:"1420" doc:"MTU in bytes: that of the underlying network less 80, or less 60 if it is IPv4 only."`
	Keepalive int               `hcl:"keepalive,optional" default:"25" doc:"Interval in seconds at which a packet is sent to each peer, so that NAT and firewalls keep the connection open; 0 sends none."`
	Before    []string          `hcl:"before,optional" doc:"Units that start after the interface is up."`
}

var interfaceForm = pattern.New(`^[A-Za-z0-9_=+.-]{1,15}$`) // as wg-quick(8) accepts it

func (m *wireguard) Validate() error {
	switch {
	case !interfaceForm.MatchString(m.Interface):
		return &modules.ArgumentError{Argument: "interface", Problem: fmt.Sprintf("%q is not a valid interface name", m.Interface), Want: "expected at most 15 letters, digits, dots and hyphens, as in wg0"}
	case m.Port < 1 || m.Port > 65535:
		return &modules.ArgumentError{Argument: "port", Problem: fmt.Sprintf("%d is not a port", m.Port), Want: "expected 1 to 65535"}
	case m.MTU < 1280 || m.MTU > 65455:
		return &modules.ArgumentError{Argument: "mtu", Problem: fmt.Sprintf("%d is out of range", m.MTU), Want: "expected 1280 to 65455"}
	case m.Keepalive < 0 || m.Keepalive > 65535:
		return &modules.ArgumentError{Argument: "keepalive", Problem: fmt.Sprintf("%d is out of range", m.Keepalive), Want: "expected 0 to 65535 seconds"}
	}
	if m.Addresses != nil && len(m.Addresses) == 0 {
		return &modules.ArgumentError{Argument: "addresses", Problem: "is empty, so no hosts would be connected", Want: "expected all hosts of the network; or leave it out (null) to create only the key"}
	}
	owner := map[netip.Addr]string{}
	for _, name := range sorted(m.Addresses) {
		p, err := netip.ParsePrefix(m.Addresses[name])
		if err != nil {
			return &modules.ArgumentError{Argument: "addresses", Problem: fmt.Sprintf("%q of %s is not an address with a prefix length", m.Addresses[name], name), Want: "expected one such as 10.99.0.1/24"}
		}
		if linkLocal(m.Addresses[name]) {
			return &modules.ArgumentError{Argument: "addresses", Problem: fmt.Sprintf("%s of %s is a link-local address, which other hosts cannot use without the name of an interface", m.Addresses[name], name), Want: "expected one such as fd00::1/64"}
		}
		if other, taken := owner[p.Addr()]; taken {
			return &modules.ArgumentError{Argument: "addresses", Problem: fmt.Sprintf("%s and %s have the same address, %s", other, name, p.Addr()), Want: "expected a different one for each host"}
		}
		owner[p.Addr()] = name
	}
	for _, name := range sorted(m.Endpoints) {
		if _, ok := m.Addresses[name]; !ok {
			return &modules.ArgumentError{Argument: "endpoints", Problem: name + " is not in addresses", Want: "expected only hosts of the network"}
		}
		if at, err := netip.ParseAddr(m.Endpoints[name]); err == nil && owner[at.Unmap()] != "" {
			return &modules.ArgumentError{Argument: "endpoints", Problem: fmt.Sprintf("%s of %s is an address in the network itself, which cannot be reached until the network is up", at, name), Want: "expected the address at which the host is reached without it"}
		} else if err != nil && !endpointForm.MatchString(m.Endpoints[name]) {
			return &modules.ArgumentError{Argument: "endpoints", Problem: fmt.Sprintf("%q of %s is neither an address nor a name", m.Endpoints[name], name), Want: "expected one such as 192.0.2.1 or host.example.org, without a port"}
		}
	}
	for _, unit := range m.Before {
		if err := observe.CheckUnitName(unit); err != nil {
			return &modules.ArgumentError{Argument: "before", Problem: err.Error()}
		}
	}
	return nil
}

var endpointForm = pattern.New(`^[A-Za-z0-9][A-Za-z0-9.-]*$`) // a host name; addresses have been parsed

func (m *wireguard) conf() string   { return dir + "/" + m.Interface + ".conf" }
func (m *wireguard) key() string    { return dir + "/" + m.Interface + ".key" }
func (m *wireguard) unit() string   { return "wg-quick@" + m.Interface + ".service" }
func (m *wireguard) dropIn() string { return "/etc/systemd/system/" + m.unit() + ".d/hlplay.conf" }

// Want implements modules.Announcer.
func (m *wireguard) Want(h modules.Host) {
	observe.Files.Want(h, program)
	tunnels.Want(h, m.Interface)
	if len(m.Addresses) > 0 {
		observe.Files.Want(h, m.conf(), m.dropIn())
		observe.Units.Want(h, m.unit())
	}
}

// Plan implements modules.Module.
func (m *wireguard) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if there, err := observe.Exists(ctx, h, program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package wireguard-tools first", h.Name(), program)
	}
	own, err := tunnels.Observe(ctx, h, m.Interface)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case own.Loose != "":
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s on %s is %s, expected mode 600 and owner root: others may know the key; remove it, so that a new one is created", m.key(), h.Name(), own.Loose)}
	}
	if len(m.Addresses) == 0 {
		plan := modules.Plan{Data: modules.Data(Result{PublicKey: own.Public})}
		if own.Public == "" {
			plan.Steps = []modules.Step{m.makeKey(h, own)}
		}
		return plan, nil
	}
	if _, ok := m.Addresses[h.Name()]; !ok {
		return modules.Plan{}, fmt.Errorf("addresses has no address for %s itself", h.Name())
	}
	if own.Public == "" {
		return modules.Plan{}, m.noKey(h)
	}
	peers, err := m.peers(ctx, h, own)
	if err != nil {
		return modules.Plan{}, err
	}
	steps, err := m.connect(ctx, h, own, peers)
	return modules.Plan{Steps: steps, Data: modules.Data(Result{PublicKey: own.Public})}, err
}

func (m *wireguard) noKey(h modules.Host) error {
	return fmt.Errorf("%s has no key for %s: create the keys in an earlier task that sets only interface and runs on all hosts of the network", h.Name(), m.Interface)
}

// makeKey creates the private key. It is moved into place with a hard link, which cannot replace an existing key.
func (m *wireguard) makeKey(h modules.Host, own tunnel) modules.Step {
	// Only check mode uses this value: a real run reads the key.
	own.Public = "made-on-" + h.Name()
	return modules.Step{
		Summary: "create a key for " + m.Interface,
		Action: modules.Run{Argv: []string{"sh", "-c", `umask 077; t=$(mktemp -- "$1.XXXXXX") || exit 1
wg genkey >"$t" && ln -T -- "$t" "$1"; rc=$?
rm -f -- "$t"; exit "$rc"`, "sh", m.key()}, Limit: time.Minute},
		Expect: []observe.Expectation{tunnels.Expect(m.Interface, own), observe.Files.Unknown(m.key(), "the key is not known until it is created")},
		Exact:  true,
	}
}

// peers returns the other hosts of the network, sorted by name.
func (m *wireguard) peers(ctx context.Context, h modules.Host, own tunnel) ([]peer, error) {
	hosts := map[string]modules.Host{}
	for _, name := range sorted(m.Addresses) {
		if name == h.Name() {
			continue
		}
		on, err := h.Peer(name)
		if err != nil {
			return nil, fmt.Errorf("addresses: %w", err)
		}
		tunnels.Want(on, m.Interface)
		hosts[name] = on
	}
	owner := map[string]string{own.Public: h.Name()}
	var all []peer
	for _, name := range sorted(hosts) {
		found, err := tunnels.Observe(ctx, hosts[name], m.Interface)
		if err != nil {
			return nil, err
		}
		if found.Public == "" {
			return nil, m.noKey(hosts[name])
		}
		address := netip.MustParsePrefix(m.Addresses[name]).Addr() // Validate has checked it
		p := peer{name: name, public: found.Public, allowed: netip.PrefixFrom(address, address.BitLen()).String()}
		if at := m.Endpoints[name]; at != "" {
			p.endpoint = endpoint(at, m.Port)
		}
		if other, taken := owner[p.public]; taken {
			return nil, fmt.Errorf("%s has the same key for %s as %s, as happens when a machine is cloned: remove %s on one of them, so that it gets a new one", name, m.Interface, other, m.key())
		}
		owner[p.public] = name
		all = append(all, p)
	}
	return all, nil
}
