// Package nebula implements the module that connects hosts by Nebula.
package nebula

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "nebula",
	Summary: "A Nebula network between hosts",
	Doc: `Without ` + "`addresses`" + `, the task creates the host's key pair, /etc/nebula/INTERFACE.key and .pub. The private key is created on the host and
never leaves it. With ` + "`addresses`" + `, in a later task, the certificate authority signs the host's public key, and /etc/nebula/INTERFACE.yml is
written. Start nebula@INTERFACE.service with the module service.

**The authority** is a certificate, ` + "`ca`" + `, and its private key, ` + "`ca_key`" + `. The key is kept encrypted in the
repository. It is decrypted in memory on the controller, which signs with it, and is never sent to a host. ` + "`hlplay secret nebula-ca`" + ` creates both.
To replace an authority: put the certificates of both in ` + "`ca`" + ` and run; change ` + "`ca_key`" + ` to the new key and run; remove the old certificate and run.

**Certificates** are in the format that Debian 12's Nebula 1.6 reads (version 1, Curve25519). A certificate is renewed if less than
` + "`renew_before`" + ` of its lifetime is left, or if the host's key, name, address or groups, or the authority, have changed. It never
outlives the authority; if the authority itself expires soon, the task says so. Times are those of the host's clock. A certificate is
valid from an hour before it was signed, so that hosts whose clocks are slow accept it.

**Changes**: a new configuration is written only if ` + "`nebula -test`" + ` accepts it. Certificates, hosts, lighthouses and rules are then reloaded
without an interruption. A new address, port or MTU, or a host that becomes a lighthouse, needs a restart. A host that is removed from ` + "`addresses`" + `
can connect until its certificate expires, unless the certificate's fingerprint is in ` + "`blocklist`" + `. Connections end with the certificate.
New groups of a host apply to connections that are opened from then on.

**Firewall**: without ` + "`allow`" + ` and ` + "`rules`" + `, all hosts of the network may open connections to this one; with them, only those that they name. Pings are always
answered, and connections that this host opens are not restricted.

` + "`before`" + ` starts the network before units that need it at boot, such as corosync.service: they start once the interface has its address.`,
	Example: `task "keys" {
  nebula {
    interface = "nebula1"
  }
}

task "the network" {
  nebula {
    interface   = "nebula1"
    addresses   = { for name in groups.pve : name => hosts[name].vars.overlay_address }
    endpoints   = { for name in groups.pve : name => hosts[name].address }
    lighthouses = [groups.pve[0]]
    ca          = host.vars.nebula_ca # file("nebula/ca.crt")
    ca_key      = host.vars.nebula_ca_key # secret_file("nebula/ca.key")
    before      = ["corosync.service"]
  }
}`,
	Packages: []modules.Package{{Name: "nebula", Files: []string{program, certProgram, unitFile}, Installed: func(context.Context, modules.Host) ([]observe.Expectation, error) {
		return []observe.Expectation{
			observe.Paths.Expect(program, true), observe.Paths.Expect(certProgram, true),
			observe.Files.Expect(dir, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		}, nil
	}}},
	Result: Result{},
	New:    func() modules.Module { return &nebula{} },
}

const (
	program     = "/usr/bin/nebula"
	certProgram = "/usr/bin/nebula-cert"
	unitFile    = "/usr/lib/systemd/system/nebula@.service"
	dir         = "/etc/nebula"
)

// Result is what the module registers.
type Result struct {
	PublicKey string `cty:"public_key" doc:"The host's public key, in Base64."`
	ValidTo   string `cty:"valid_to" doc:"When the host's certificate expires (RFC 3339); empty without addresses."`
}

type nebula struct {
	Interface   string            `hcl:"interface" doc:"Name of the interface: nebula1."`
	Addresses   map[string]string `hcl:"addresses,optional" doc:"All hosts of the network by their names in the inventory, each with its IPv4 address in the network and the prefix length: 10.99.0.1/24. The same on every host."`
	Endpoints   map[string]string `hcl:"endpoints,optional" doc:"Addresses by which the hosts reach each other. A host without one, for example behind NAT, is found through the lighthouses."`
	Lighthouses []string          `hcl:"lighthouses,optional" doc:"Hosts that tell the others at which address a host can currently be reached. They need an endpoint. Without lighthouses, every host needs one."`
	Port        int               `hcl:"port,optional" default:"4242" doc:"The UDP port, the same on all hosts."`
	MTU         int               `hcl:"mtu,optional" default:"1300" doc:"MTU in bytes: that of the underlying network less 80, or less 60 if it is IPv4 only. 1300 fits nearly every path over the internet."`
	CA          string            `hcl:"ca,optional" doc:"Certificates of the authorities whose hosts are accepted (PEM). Required with addresses."`
	CAKey       string            `hcl:"ca_key,optional" doc:"Private key of the authority that signs (PEM); a secret. Required with addresses."`
	Lifetime    time.Duration     `hcl:"lifetime,optional" default:"8760h" doc:"Lifetime of a new certificate."`
	RenewBefore time.Duration     `hcl:"renew_before,optional" default:"2160h" doc:"A certificate is renewed when less than this is left of its lifetime. Run the playbook at shorter intervals."`
	Groups      []string          `hcl:"groups,optional" doc:"Groups in this host's certificate, for the rules of other hosts."`
	Blocklist   []string          `hcl:"blocklist,optional" doc:"Fingerprints of certificates that are no longer accepted, as nebula-cert print shows them."`
	Allow       []rule            `hcl:"allow,block" doc:"Who may open connections to this host."`
	Rules       cty.Value         `hcl:"rules,optional" doc:"The same as allow blocks, as a list of objects, so that a variable can hold them."`
	Before      []string          `hcl:"before,optional" doc:"Units that start after the interface is up."`
}

var (
	interfaceForm   = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`) // also the name of a unit's instance and of files
	endpointForm    = pattern.New(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)        // a host name; addresses are parsed
	wordForm        = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.:-]*$`)
	fingerprintForm = pattern.New(`^[0-9a-f]{64}$`)
)

// bad returns an error about an argument.
func bad(argument, want, problem string, values ...any) error {
	return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf(problem, values...), Want: want}
}

// Validate implements modules.Validator.
func (m *nebula) Validate() error {
	switch {
	case !interfaceForm.MatchString(m.Interface):
		return bad("interface", "expected at most 15 letters, digits, dots and hyphens, as in nebula1", "%q is not a valid interface name", m.Interface)
	case m.Port < 1 || m.Port > 65535:
		return bad("port", "expected 1 to 65535", "%d is not a port", m.Port)
	case m.MTU < 576 || m.MTU > 65455:
		return bad("mtu", "expected 576 to 65455", "%d is out of range", m.MTU)
	case m.Lifetime < time.Hour:
		return bad("lifetime", "expected at least 1h", "%s is too short", m.Lifetime)
	case m.RenewBefore < 0 || m.RenewBefore >= m.Lifetime:
		return bad("renew_before", fmt.Sprintf("expected less than lifetime, %s, or each run would renew the certificate", m.Lifetime), "%s is out of range", m.RenewBefore)
	case m.Addresses != nil && len(m.Addresses) == 0:
		return bad("addresses", "expected all hosts of the network; or leave it out (null) to create only the key", "is empty, so no hosts would be connected")
	}
	for _, unit := range m.Before {
		if err := observe.CheckUnitName(unit); err != nil {
			return &modules.ArgumentError{Argument: "before", Problem: err.Error()}
		}
	}
	if len(m.Addresses) == 0 {
		return nil
	}
	for _, check := range []func() error{m.checkAddresses, m.checkEndpoints, m.checkRules} {
		if err := check(); err != nil {
			return err
		}
	}
	_, err := m.authority()
	return err
}

func (m *nebula) checkAddresses() error {
	owner := map[netip.Addr]string{}
	network, first := netip.Prefix{}, ""
	for _, name := range sorted(m.Addresses) {
		p, err := netip.ParsePrefix(m.Addresses[name])
		switch {
		case err != nil:
			return bad("addresses", "expected one such as 10.99.0.1/24", "%q of %s is not an address with a prefix length", m.Addresses[name], name)
		case !p.Addr().Is4():
			return bad("addresses", "expected an IPv4 address: certificates of version 1 have no others", "%s of %s is an IPv6 address", p, name)
		case !wordForm.MatchString(name):
			return bad("addresses", "expected letters, digits, dots and hyphens", "%q cannot be the name in a certificate", name)
		case first != "" && p.Masked() != network:
			return bad("addresses", "expected all in one network", "%s of %s is not in the network of %s, %s", p, name, first, network)
		}
		if other, taken := owner[p.Addr()]; taken {
			return bad("addresses", "expected a different one for each host", "%s and %s have the same address, %s", other, name, p.Addr())
		}
		owner[p.Addr()] = name
		network, first = p.Masked(), name
	}
	return nil
}

func (m *nebula) checkEndpoints() error {
	for _, name := range sorted(m.Endpoints) {
		if _, ok := m.Addresses[name]; !ok {
			return bad("endpoints", "expected only hosts of the network", "%s is not in addresses", name)
		}
		at, err := netip.ParseAddr(m.Endpoints[name])
		switch {
		case err != nil && !endpointForm.MatchString(m.Endpoints[name]):
			return bad("endpoints", "expected one such as 192.0.2.1 or host.example.org, without a port", "%q of %s is neither an address nor a name", m.Endpoints[name], name)
		case err == nil && netip.MustParsePrefix(m.Addresses[name]).Masked().Contains(at.Unmap()):
			return bad("endpoints", "expected the address at which the host is reached without it", "%s of %s is an address in the network itself, which cannot be reached until the network is up", at, name)
		}
	}
	for _, name := range m.Lighthouses {
		if _, ok := m.Addresses[name]; !ok {
			return bad("lighthouses", "expected only hosts of the network", "%s is not in addresses", name)
		}
		if m.Endpoints[name] == "" {
			return bad("lighthouses", "expected only hosts that the others can reach", "%s has no endpoint", name)
		}
	}
	if len(m.Lighthouses) > 0 {
		return nil
	}
	for _, name := range sorted(m.Addresses) {
		if m.Endpoints[name] == "" {
			return bad("lighthouses", "expected at least one, or an endpoint for every host", "there is none, and %s, which has no endpoint, could not be found", name)
		}
	}
	return nil
}

func (m *nebula) file(kind string) string { return dir + "/" + m.Interface + "." + kind }
func (m *nebula) unit() string            { return "nebula@" + m.Interface + ".service" }
func (m *nebula) dropIn() string          { return "/etc/systemd/system/" + m.unit() + ".d/hlplay.conf" }

// files lists the files of the network, without the key.
func (m *nebula) files() []string {
	return []string{m.file("ca"), m.file("crt"), m.file("yml"), m.dropIn()}
}

// Want implements modules.Announcer.
func (m *nebula) Want(h modules.Host) {
	observe.Files.Want(h, program)
	nodes.Want(h, m.Interface)
	if len(m.Addresses) > 0 {
		observe.Files.Want(h, m.files()...)
		observe.Units.Want(h, m.unit())
	}
}

// Plan implements modules.Module.
func (m *nebula) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if there, err := observe.Exists(ctx, h, program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package nebula first", h.Name(), program)
	}
	own, err := nodes.Observe(ctx, h, m.Interface)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case own.Loose != "":
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s on %s is %s, expected mode 600 and owner root: others may know the key; remove it, so that a new one is created", m.file("key"), h.Name(), own.Loose)}
	case own.Half:
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s on %s has no public half in %s: put that there, or remove the key, so that a new one is created", m.file("key"), h.Name(), m.file("pub"))}
	}
	if len(m.Addresses) == 0 {
		plan := modules.Plan{Data: modules.Data(Result{PublicKey: own.Public})}
		if own.Public == "" {
			plan.Steps = []modules.Step{m.makeKey(own)}
		}
		return plan, nil
	}
	if _, ok := m.Addresses[h.Name()]; !ok {
		return modules.Plan{}, fmt.Errorf("addresses has no address for %s itself", h.Name())
	}
	if own.Public == "" {
		return modules.Plan{}, fmt.Errorf("%s has no key for %s: create the keys in an earlier task that sets only interface and runs on all hosts of the network", h.Name(), m.Interface)
	}
	return m.connect(ctx, h, own)
}

// makeKey creates the key pair. The public half is put in place first. The private key follows by a hard link, which
// cannot replace an existing key.
func (m *nebula) makeKey(own node) modules.Step {
	// Only check mode uses this value: a real run reads the key.
	own.Public, own.Foreseen = placeholder, true
	return modules.Step{
		Summary: "create a key for " + m.Interface,
		Action: modules.Run{Argv: []string{"sh", "-c", `umask 077; t=$(mktemp -d -- "$1.XXXXXX") || exit 1
nebula-cert keygen -out-key "$t/key" -out-pub "$t/pub" && mv -fT -- "$t/pub" "$1.pub" && ln -T -- "$t/key" "$1.key"; rc=$?
rm -rf -- "$t"; exit "$rc"`, "sh", dir + "/" + m.Interface}, Limit: time.Minute},
		Expect: []observe.Expectation{nodes.Expect(m.Interface, own), observe.Files.Unknown(m.file("key"), "the key is not known until it is created"), observe.Files.Unknown(m.file("pub"), "the key is not known until it is created")},
		Exact:  true,
	}
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
