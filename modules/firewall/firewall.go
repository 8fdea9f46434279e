// Package firewall implements the module that declares which ports of a host are open for whom.
package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
	"hlplay/modules/internal/required"
	"hlplay/modules/internal/session"
	"hlplay/modules/service"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "firewall",
	Aliases: []string{"ufw", "firewalld", "iptables", "nftables"},
	Summary: "The open ports of a host and who may reach them, with nftables",
	Doc: `Incoming packets for the host itself are dropped, except those that an ` + "`allow`" + ` block admits, replies to the host's own
connections, connections that the kernel already tracks (none on a host that had no packet filter), loopback traffic, ICMP and
ICMPv6, and DHCPv6 replies. Outgoing packets are not filtered.
The rules are in a table of their own, ` + "`inet hlplay`" + `, loaded in one transaction; rules in it that the task does not contain are
removed. Other tables are left alone, and a packet must pass all of them.

The change is guarded: before it is made, the host is told to put back the old rules after the rollback time. Then hlplay must log in
over a new connection; only after that are the rules written to /etc/nftables.d/hlplay.nft and included at the end of
/etc/nftables.conf, and nftables.service is enabled, which loads them at boot. The rest of that file is kept, but must load. Hosts
are changed one at a time.

Nothing is changed if the rules would not admit a new connection like the one that hlplay is using. The same applies to
a host that serves corosync or a QDevice, if no block admits anybody to its port.

Forwarded packets, such as those to guests on a bridge, are not filtered. Docker forwards the published
ports of containers too, so they stay open whatever the task says; publish them on an address such as 127.0.0.1 instead. Docker's own
rules are in other tables. Do not restart nftables.service on such a host: Debian's /etc/nftables.conf begins
with ` + "`flush ruleset`" + `, which also removes Docker's.

A Proxmox VE node is refused: it has its own firewall, configured for the whole cluster, which ` + "`pve_firewall`" + ` sets up. A node that this
firewall has cut off from the others could not undo the change on its own.`,
	Example: `task "SSH from the LAN, the website for everybody" {
  firewall {
    allow "ssh" {
      ports = ["tcp/22"]
      from  = ["192.168.1.0/24"]
    }
    allow "web" {
      ports = ["tcp/80", "tcp/443"]
    }
    allow "the other hosts" {
      from = [for name in groups.all : hosts[name].address]
    }
  }
}`,
	New: func() modules.Module { return &firewall{} },
}

// firewall holds the module's arguments.
type firewall struct {
	Allow    []allow       `hcl:"allow,block" doc:"Packets to admit."`
	State    string        `hcl:"state,optional" default:"\"present\"" enum:"present,absent" doc:"absent removes the module's table and files, and with them its rules."`
	Rollback time.Duration `hcl:"rollback,optional" default:"\"90s\"" doc:"Time after which the host puts back the old rules unless hlplay has logged in again."`
}

type allow struct {
	Name  string   `hcl:"name,label" doc:"what it is for; the rules carry it as a comment"`
	Ports []string `hcl:"ports,optional" doc:"Protocols and ports: tcp/22, udp/5405-5412. By default all protocols and ports."`
	From  []string `hcl:"from,optional" doc:"Addresses and networks that are admitted, IPv4 or IPv6: 192.168.1.0/24, fd00::7. By default everybody."`
}

const (
	program = "/usr/sbin/nft"
	rules   = "/etc/nftables.d/hlplay.nft"
	conf    = "/etc/nftables.conf" // what nftables.service loads
	unit    = "nftables.service"

	// mostRules is the maximum size of a table in bytes. To restore the table, it is passed to nft as one argument, which
	// Linux limits to 128 KiB.
	mostRules = 127 << 10

	leastRollback = 20 * time.Second
	mostRollback  = 30 * time.Minute
)

// nameForm matches what an nft comment may contain without escapes.
var nameForm = pattern.New(`^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}$`)

// Validate implements modules.Validator.
func (m *firewall) Validate() error {
	present := m.State != "absent"
	switch {
	case present && len(m.Allow) == 0:
		return &modules.ArgumentError{Argument: "allow", Problem: "nobody would be admitted, not even by SSH", Want: "add allow blocks, or set state = \"absent\""}
	case !present && len(m.Allow) > 0:
		return &modules.ArgumentError{Argument: "allow", Problem: "there are no rules with state = \"absent\"", Want: "give only one of them"}
	case m.Rollback != 0 && (m.Rollback < leastRollback || m.Rollback > mostRollback):
		return &modules.ArgumentError{Argument: "rollback", Problem: fmt.Sprintf("%s is not between %s and %s", m.Rollback, leastRollback, mostRollback), Want: "one or two minutes leave time for a new connection"}
	}
	seen := map[string]bool{}
	for _, a := range m.Allow {
		at := "allow." + a.Name
		switch {
		case !nameForm.MatchString(a.Name):
			return &modules.ArgumentError{Argument: "allow", Problem: fmt.Sprintf("%q cannot be the name of a block", a.Name), Want: "at most 64 letters, digits, spaces and . _ / -, beginning with a letter or digit"}
		case seen[a.Name]:
			return &modules.ArgumentError{Argument: "allow", Problem: fmt.Sprintf("there are two blocks %q", a.Name), Want: "give each its own name"}
		case a.Ports == nil && a.From == nil:
			return &modules.ArgumentError{Argument: at, Problem: "it admits everybody to everything", Want: "give ports, from or both"}
		case a.Ports != nil && len(a.Ports) == 0:
			return &modules.ArgumentError{Argument: at + ".ports", Problem: "it is empty, so nothing is admitted", Want: "list ports, or remove it to admit to all ports"}
		case a.From != nil && len(a.From) == 0:
			return &modules.ArgumentError{Argument: at + ".from", Problem: "it is empty, so nobody is admitted", Want: "list addresses, or remove it to admit everybody"}
		}
		seen[a.Name] = true
		for _, text := range a.Ports {
			if _, err := parsePorts(text); err != nil {
				return &modules.ArgumentError{Argument: at + ".ports", Problem: err.Error(), Want: "write it as in tcp/22 or udp/5405-5412"}
			}
		}
		for _, text := range a.From {
			if _, err := parseSource(text); err != nil {
				return &modules.ArgumentError{Argument: at + ".from", Problem: err.Error(), Want: "write it as in 192.168.1.0/24 or fd00::7"}
			}
		}
	}
	if size := len(m.table()); size > mostRules {
		return &modules.ArgumentError{Argument: "allow", Problem: fmt.Sprintf("its rules take %d KiB; every address makes a rule with every port", size>>10), Want: fmt.Sprintf("at most %d KiB: use networks instead of addresses, or port ranges", mostRules>>10)}
	}
	return nil
}

// ports is a range of ports of a protocol.
type ports struct {
	protocol    string // "tcp" or "udp"
	first, last int
}

func parsePorts(text string) (ports, error) {
	protocol, numbers, ok := strings.Cut(text, "/")
	if !ok || protocol != "tcp" && protocol != "udp" {
		return ports{}, fmt.Errorf("%q does not begin with tcp/ or udp/", text)
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	p := ports{protocol: protocol}
	for _, number := range []struct {
		text string
		to   *int
	}{{first, &p.first}, {last, &p.last}} {
		n, err := strconv.ParseUint(number.text, 10, 16)
		if err != nil || n == 0 || number.text[0] == '+' {
			return ports{}, fmt.Errorf("%q in %q is not a port from 1 to 65535", number.text, text)
		}
		*number.to = int(n)
	}
	if p.first > p.last {
		return ports{}, fmt.Errorf("%q ends before it begins", text)
	}
	return p, nil
}

// parseSource returns the network that a text names. An address is a network of one.
func parseSource(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not an address or a network", text)
	case p.Bits() == 0:
		return p, fmt.Errorf("%q means everybody: remove from to admit everybody", text)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 network in IPv6 notation", text)
	}
	return p.Masked(), nil
}

// Scope implements modules.Scoped. A mistake should cut off one host and not all of them.
func (m *firewall) Scope() modules.Scope { return modules.OneByOne }

// Want implements modules.Announcer.
func (m *firewall) Want(h modules.Host) {
	observe.Programs.Want(h, program)
	observe.Files.Want(h, rules, conf)
	if m.State != "absent" {
		observe.Units.Want(h, unit)
		for _, s := range served {
			observe.Units.Want(h, s.unit)
		}
		pve.Nodes.Want(h, "")
		session.Sessions.Want(h, "")
	}
}

// Plan implements modules.Module.
func (m *firewall) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	m.Want(h)
	if m.State == "absent" {
		return m.absent(ctx, h)
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if node.Installed {
		return modules.Plan{}, fmt.Errorf("%s runs Proxmox VE, which has its own firewall for the whole cluster: set up that one, with the module pve_firewall, or take the host out of this task", h.Name())
	}
	if err := required.Program(ctx, h, program, "the firewall"); err != nil {
		return modules.Plan{}, err
	}
	found, err := rulesets.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if found.Unloadable != "" {
		return modules.Plan{}, fmt.Errorf("%s on %s does not load, so the host would boot without a firewall: correct it first; nft -c -f %[1]s says: %[3]s", conf, h.Name(), found.Unloadable)
	}
	if want := m.table(); found.Table != want {
		return m.load(ctx, h, found, want)
	}
	return m.keep(ctx, h)
}

// load replaces the table in the kernel. The files are written only once the change is proven, so that a reboot before
// that brings back the old rules.
func (m *firewall) load(ctx context.Context, h modules.Host, found ruleset, want string) (modules.Plan, error) {
	if err := m.servesOn(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	if err := m.admitsUs(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	if len(found.Table) > mostRules {
		return modules.Plan{}, fmt.Errorf("the rules in table inet hlplay of %s are too long to be restored if the change fails: they take %d KiB, and the limit is %d. Remove them first, with state = \"absent\"", h.Name(), len(found.Table)>>10, mostRules>>10)
	}
	script := []byte(replacing(want))
	after := found
	after.Table = want
	within := m.Rollback
	if within == 0 {
		within = 90 * time.Second
	}
	return modules.Plan{
		Steps: []modules.Step{{
			Summary: "check the rules (nft -c)",
			Action:  modules.Run{Argv: []string{program, "-c", "-f", "-"}, Stdin: script, Limit: time.Minute},
			Exact:   true,
		}, {
			Summary: "load the rules",
			Action:  modules.Run{Argv: []string{program, "-f", "-"}, Stdin: script, Limit: time.Minute},
			Diff:    &modules.Diff{Subject: "nftables", Before: found.Table, After: want},
			Expect:  []observe.Expectation{rulesets.Expect("", after)},
			Unmet:   "nft succeeded, but lists different rules: see nft list table inet hlplay",
			Exact:   true,
		}},
		Guard:   &modules.Guard{Within: within, Undo: [][]string{{program, replacing(found.Table)}}},
		Partial: true,
	}, nil
}

// keep writes the files that load the rules at boot.
func (m *firewall) keep(ctx context.Context, h modules.Host) (modules.Plan, error) {
	steps, err := conffile.Write(ctx, h, rules, "# Kept by hlplay.\n"+replacing(m.table()), "write the rules")
	if err != nil {
		return modules.Plan{}, err
	}
	text, _, err := observe.Text(ctx, h, conf)
	if err != nil {
		return modules.Plan{}, err
	}
	included, err := conffile.Write(ctx, h, conf, including(text), "include "+rules)
	if err != nil {
		return modules.Plan{}, err
	}
	enabled := true
	boot, err := (&service.Service{Name: unit, Enabled: &enabled}).Plan(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: append(append(steps, included...), boot.Steps...)}, nil
}

// absent removes the table and what loads it. nftables.service is left as it is, since other rules may need it.
func (m *firewall) absent(ctx context.Context, h modules.Host) (modules.Plan, error) {
	var steps []modules.Step
	there, err := observe.Programs.Observe(ctx, h, program)
	if err != nil {
		return modules.Plan{}, err
	}
	if there {
		found, err := rulesets.Observe(ctx, h, "")
		if err != nil {
			return modules.Plan{}, err
		}
		if found.Table != "" {
			after := found
			after.Table = ""
			steps = append(steps, modules.Step{
				Summary: "remove the rules",
				Action:  modules.Run{Argv: []string{program, replacing("")}, Limit: time.Minute},
				Diff:    &modules.Diff{Subject: "nftables", Before: found.Table},
				Expect:  []observe.Expectation{rulesets.Expect("", after)},
				Exact:   true,
			})
		}
	}
	text, exists, err := observe.Text(ctx, h, conf)
	if err != nil {
		return modules.Plan{}, err
	}
	if exists {
		without, err := conffile.Write(ctx, h, conf, excluding(text), "no longer include "+rules)
		if err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, without...)
	}
	gone, err := conffile.Remove(ctx, h, rules, "remove "+rules)
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: append(steps, gone...)}, nil
}
