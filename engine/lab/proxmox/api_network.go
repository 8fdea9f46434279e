package proxmox

import (
	"net/netip"
	"slices"
	"strings"
)

// networkInterface is an interface in /etc/network/interfaces.
type networkInterface struct {
	name, method string
	auto         bool
	keys         map[string]string
}

// parseInterfaces returns the part of /etc/network/interfaces that the simulation shows: the iface stanzas for IPv4,
// in order.
func parseInterfaces(text string) []networkInterface {
	var all []networkInterface
	auto := map[string]bool{}
	open := false // the index of the current stanza
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case f[0] == "auto" || f[0] == "allow-hotplug":
			for _, name := range f[1:] {
				auto[name] = auto[name] || f[0] == "auto"
			}
			open = false
		case f[0] == "iface" && len(f) >= 4:
			if open = f[2] == "inet" && f[1] != "lo"; open {
				all = append(all, networkInterface{name: f[1], method: f[3], keys: map[string]string{}})
			}
		case f[0] == "source" || f[0] == "source-directory":
			open = false
		case open && len(f) > 1:
			all[len(all)-1].keys[f[0]] = strings.Join(f[1:], " ")
		}
	}
	for i := range all {
		all[i].auto = auto[all[i].name]
	}
	return all
}

// kind returns the type that the API derives from an interface's name.
func (i networkInterface) kind() string {
	for prefix, kind := range map[string]string{"en": "eth", "eth": "eth", "vmbr": "bridge", "bond": "bond"} {
		if strings.HasPrefix(i.name, prefix) {
			return kind
		}
	}
	return "unknown"
}

func apiNetwork(c *Command, _ []string, _ arguments) (any, error) {
	text, err := c.Node.ReadFile("/etc/network/interfaces")
	if err != nil {
		return []any{}, nil
	}
	all := []any{}
	for n, i := range parseInterfaces(string(text)) {
		value := map[string]any{"iface": i.name, "type": i.kind(), "method": i.method, "method6": "manual", "families": []any{"inet"}, "priority": n + 3}
		if i.auto {
			value["autostart"] = 1
		}
		if i.kind() == "eth" {
			value["exists"] = 1
		}
		if address := i.keys["address"]; address != "" {
			value["cidr"] = address
			if prefix, err := netip.ParsePrefix(address); err == nil {
				_, value["netmask"], _ = strings.Cut(address, "/")
				value["address"] = prefix.Addr().String()
				if slices.Contains(c.Node.Addresses(), prefix) {
					value["active"] = 1
				}
			}
		}
		for key, name := range map[string]string{"gateway": "gateway", "bridge-ports": "bridge_ports", "bridge_ports": "bridge_ports", "mtu": "mtu"} {
			if i.keys[key] != "" {
				value[name] = i.keys[key]
			}
		}
		all = append(all, value)
	}
	return all, nil
}
