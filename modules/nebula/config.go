package nebula

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// address returns the address of a host in the network.
func (m *nebula) address(host string) netip.Prefix {
	return netip.MustParsePrefix(m.Addresses[host]) // Validate has checked it
}

// listen returns the address on which Nebula listens, which includes IPv6 if a host has such an endpoint.
func (m *nebula) listen() string {
	for _, at := range m.Endpoints {
		if a, err := netip.ParseAddr(at); err == nil && a.Is6() {
			return "[::]"
		}
	}
	return "0.0.0.0"
}

// fixed returns, on one line, the settings that only a restart of the service changes.
func (m *nebula) fixed(host string) string {
	return fmt.Sprintf("%s on %s with MTU %d, port %s, lighthouse %t", m.address(host), m.Interface, m.MTU, endpoint(m.listen(), m.Port), slices.Contains(m.Lighthouses, host))
}

// render returns the configuration. It contains no secret: the key is in a file of its own.
func (m *nebula) render(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Kept by hlplay. The private key is in %s.\n# A restart applies: %s\npki:\n  ca: %s\n  cert: %s\n  key: %s\n",
		m.file("key"), m.fixed(host), m.file("ca"), m.file("crt"), m.file("key"))
	b.WriteString("  disconnect_invalid: true\n") // close connections whose certificate expires
	list(&b, "  blocklist:", "    ", slices.Sorted(slices.Values(m.Blocklist)))
	b.WriteString("static_host_map:")
	var known []string
	for _, name := range sorted(m.Endpoints) {
		if name != host && m.Endpoints[name] != "" {
			known = append(known, fmt.Sprintf("%q: [%q] # %s", m.address(name).Addr(), endpoint(m.Endpoints[name], m.Port), name))
		}
	}
	if len(known) == 0 {
		b.WriteString(" {}")
	}
	b.WriteString("\n")
	for _, line := range known {
		b.WriteString("  " + line + "\n")
	}
	isLighthouse := slices.Contains(m.Lighthouses, host)
	fmt.Fprintf(&b, "lighthouse:\n  am_lighthouse: %t\n  interval: 60\n", isLighthouse)
	var ask []string
	if !isLighthouse { // a lighthouse asks no others
		for _, name := range slices.Sorted(slices.Values(m.Lighthouses)) {
			ask = append(ask, m.address(name).Addr().String())
		}
	}
	list(&b, "  hosts:", "    ", ask)
	fmt.Fprintf(&b, "listen:\n  host: %q\n  port: %d\npunchy:\n  punch: true\n  respond: true\ntun:\n  dev: %q\n  mtu: %d\n  drop_local_broadcast: true\n  drop_multicast: true\n",
		m.listen(), m.Port, m.Interface, m.MTU)
	b.WriteString("logging:\n  level: info\n  format: text\nfirewall:\n  outbound:\n    - {port: any, proto: any, host: any}\n  inbound:\n")
	rules, _ := m.rules() // Validate has checked them
	if len(rules) == 0 {
		b.WriteString("    - {port: any, proto: any, host: any}\n")
		return b.String()
	}
	b.WriteString("    - {port: any, proto: icmp, host: any}\n")
	for _, r := range rules {
		head := fmt.Sprintf("    - {port: %s, proto: %s, ", r.Port, r.Protocol)
		switch {
		case len(r.Groups) > 0:
			b.WriteString(head + "groups: [" + strings.Join(quoted(r.Groups), ", ") + "]}\n")
		case len(r.Hosts) > 0:
			for _, name := range r.Hosts {
				b.WriteString(head + "host: " + strconv.Quote(name) + "}\n")
			}
		default:
			b.WriteString(head + "host: any}\n")
		}
	}
	return b.String()
}

// list writes a list of strings in YAML, one per line.
func list(b *strings.Builder, name, indent string, all []string) {
	if len(all) == 0 {
		b.WriteString(name + " []\n")
		return
	}
	b.WriteString(name + "\n")
	for _, text := range quoted(all) {
		b.WriteString(indent + "- " + text + "\n")
	}
}

func quoted(all []string) []string {
	out := make([]string, len(all))
	for i, text := range all {
		out[i] = strconv.Quote(text)
	}
	return out
}

// endpoint joins an address or a name with a port.
func endpoint(at string, port int) string {
	if a, err := netip.ParseAddr(at); err == nil && a.Is6() {
		return netip.AddrPortFrom(a, uint16(port)).String()
	}
	return at + ":" + strconv.Itoa(port)
}

// renderDropIn returns the drop-in of the unit. In Debian 12 and 13, the unit starts Nebula in a shell, which a reload
// signal terminates; it counts as started before the interface exists; and it gives up after five failures. Nebula does
// not report what it has loaded, so that is recorded below /run.
func (m *nebula) renderDropIn() string {
	text := "# Kept by hlplay.\n[Unit]\n"
	if len(m.Before) > 0 {
		text += "Before=" + strings.Join(m.Before, " ") + "\n"
	}
	const note = `/bin/sh -c 'cat "/etc/nebula/$$0.ca" "/etc/nebula/$$0.crt" "/etc/nebula/$$0.key" "/etc/nebula/$$0.yml" | sha256sum >"/run/nebula-$$0/loaded"' %i` + "\n"
	return text + `StartLimitIntervalSec=0

[Service]
RestartSec=2
RuntimeDirectory=nebula-%i
ExecStart=
ExecStart=/usr/bin/nebula -config /etc/nebula/%i.yml
ExecStartPre=/bin/cp /etc/nebula/%i.yml /run/nebula-%i/started
ExecStartPre=` + note + `ExecStartPost=/bin/sh -c 'n=0; until ip -br addr show dev "$$0" 2>/dev/null | grep -q "[0-9]/"; do n=$$((n + 1)); [ "$$n" -lt 300 ] || exit 1; sleep 0.1; done' %i
ExecReload=` + note
}
