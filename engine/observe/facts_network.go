package observe

import (
	"context"
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

var (
	interfaceType = cty.Object(map[string]cty.Type{
		"mac": cty.String, "mtu": cty.Number, "state": cty.String,
		"addresses": cty.List(cty.String), "speed": cty.Number,
	})
	routeType = cty.Object(map[string]cty.Type{"gateway": cty.String, "interface": cty.String})
)

var networkFacts = []FactSpec{
	{FactDoc{"addresses", cty.List(cty.String), "IP addresses of all interfaces in their order, without loopback and link-local ones. From ip addr."}, readAddresses},
	{FactDoc{"default_route", routeType, "Default route: `gateway` (null on a point-to-point link) and `interface`; null if there is none. From ip route."}, readDefaultRoute},
	{FactDoc{"fqdn", cty.String, "Fully qualified domain name: the first name of the host's own line in /etc/hosts, otherwise what hostname --fqdn prints; null if the host's name does not resolve."}, readFQDN},
	{FactDoc{"hostname", cty.String, "Name of the host as the kernel reports it (uname -n)."}, readHostname},
	{FactDoc{"interfaces", cty.Map(interfaceType), "Network interfaces by name: `mac` (null if none), `mtu`, `state` (`up`, `down`, `unknown`), `addresses` with prefix lengths, and `speed` in Mbit/s (null if the driver reports none). From ip addr and /sys/class/net."}, readInterfaces},
	{FactDoc{"name_addresses", cty.List(cty.String), "What the host's own name resolves to on the host itself, sorted; empty if it does not resolve. From getent ahosts."}, readNameAddresses},
}

func readNameAddresses(ctx context.Context, h *Host) (cty.Value, error) {
	name, err := needText(ctx, h, hostnameFile)
	if err != nil {
		return cty.NilVal, err
	}
	addrs, err := Resolves.Observe(ctx, h, strings.TrimSpace(name))
	if err != nil {
		return cty.NilVal, err
	}
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return stringList(all), nil
}

func readAddresses(ctx context.Context, h *Host) (cty.Value, error) {
	n, err := Networks.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	var all []string
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			if a := p.Addr(); !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				all = append(all, a.String())
			}
		}
	}
	return stringList(all), nil
}

func readDefaultRoute(ctx context.Context, h *Host) (cty.Value, error) {
	n, err := Networks.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	if n.GatewayInterface == "" {
		return cty.NullVal(routeType), nil
	}
	gateway := ""
	if n.Gateway.IsValid() {
		gateway = n.Gateway.String()
	}
	return cty.ObjectVal(map[string]cty.Value{
		"gateway": optional(gateway), "interface": cty.StringVal(n.GatewayInterface),
	}), nil
}

func readInterfaces(ctx context.Context, h *Host) (cty.Value, error) {
	n, err := Networks.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	all := map[string]cty.Value{}
	for _, i := range n.Interfaces {
		addresses := make([]string, len(i.Addresses))
		for j, p := range i.Addresses {
			addresses[j] = p.String()
		}
		speed := cty.NullVal(cty.Number)
		if i.Speed > 0 {
			speed = cty.NumberIntVal(int64(i.Speed))
		}
		all[i.Name] = cty.ObjectVal(map[string]cty.Value{
			"mac": optional(i.MAC), "mtu": cty.NumberIntVal(int64(i.MTU)), "state": cty.StringVal(i.State),
			"addresses": stringList(addresses), "speed": speed,
		})
	}
	if len(all) == 0 {
		return cty.MapValEmpty(interfaceType), nil
	}
	return cty.MapVal(all), nil
}

// hostnameFile holds what uname -n prints.
const hostnameFile = "/proc/sys/kernel/hostname"

func readHostname(ctx context.Context, h *Host) (cty.Value, error) {
	text, err := needText(ctx, h, hostnameFile)
	return cty.StringVal(strings.TrimSpace(text)), err
}

func readFQDN(ctx context.Context, h *Host) (cty.Value, error) {
	Files.Want(h, hostnameFile, "/etc/hosts")
	name, err := needText(ctx, h, hostnameFile)
	if err != nil {
		return cty.NilVal, err
	}
	hosts, _, err := Text(ctx, h, "/etc/hosts")
	if err != nil {
		return cty.NilVal, err
	}
	if canonical := canonicalName(hosts, strings.TrimSpace(name)); canonical != "" {
		return cty.StringVal(canonical), nil
	}
	a, err := Output(ctx, h, "hostname", "--fqdn")
	switch {
	case err != nil:
		return cty.NilVal, err
	case a.Exit == 127:
		return cty.NilVal, fmt.Errorf("the program hostname is missing: %s", LastLine(a.Stderr))
	case a.Exit != 0: // the name does not resolve
		return cty.NullVal(cty.String), nil
	}
	return optional(strings.TrimSpace(string(a.Stdout))), nil
}

// canonicalName returns the first name on the first line of a hosts file that contains name.
func canonicalName(hosts, name string) string {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		for i, f := range fields {
			if i > 0 && strings.EqualFold(f, name) {
				return fields[1]
			}
		}
	}
	return ""
}
