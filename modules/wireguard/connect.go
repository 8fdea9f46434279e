package wireguard

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// connect writes the files of the interface, and updates the interface if it is up.
func (m *wireguard) connect(ctx context.Context, h modules.Host, own tunnel, peers []peer) ([]modules.Step, error) {
	before, _, err := observe.Text(ctx, h, m.conf())
	if err != nil {
		return nil, err
	}
	if strings.Contains(strings.ToLower(before), "privatekey") {
		return nil, fmt.Errorf("%s on %s contains a private key: move it to %s (mode 600, one line), because files whose content is compared must not contain keys", m.conf(), h.Name(), m.key())
	}
	steps, err := conffile.WriteMode(ctx, h, m.conf(), m.render(h.Name(), peers), fmt.Sprintf("configure %s for %s", m.Interface, plural.Of(len(peers), "peer")), 0o600)
	if err != nil {
		return nil, err
	}
	ordered, err := conffile.Write(ctx, h, m.dropIn(), m.renderDropIn(), "order "+m.unit()+", and keep its key on reload")
	if err != nil {
		return nil, err
	}
	if len(ordered) > 0 {
		ordered = append(ordered, conffile.ReloadUnits(m.dropIn()))
	}
	steps = append(steps, ordered...)
	unit, err := observe.Units.Observe(ctx, h, m.unit())
	switch {
	case observe.IsUnknown(err) && !own.Up && len(ordered) > 0: // its package is about to be installed
		last := &steps[len(steps)-1]
		last.Expect = append(last.Expect, observe.Units.Expect(m.unit(), observe.Unit{ID: m.unit(), LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: "disabled"}))
		return steps, nil
	case err != nil:
		return nil, err
	case own.Up && !unit.Active():
		return nil, fmt.Errorf("%s is up on %s, but was not started by %s: take it down first (ip link delete %s)", m.Interface, h.Name(), m.unit(), m.Interface)
	case !unit.Active(): // a task with the module service starts it
		return steps, nil
	}
	want := m.wanted(h.Name(), own, peers)
	follow := func(verb, how string, risk modules.Risk) []modules.Step {
		return append(steps, modules.Step{
			Summary: how,
			Action:  modules.Run{Argv: []string{"systemctl", verb, m.unit()}, Limit: time.Minute},
			Expect:  []observe.Expectation{tunnels.Expect(m.Interface, want)},
			Settle:  10 * time.Second,
			Risk:    risk,
			Exact:   true,
		})
	}
	switch {
	case !own.Up || own.MTU != want.MTU || own.Port != want.Port || own.Key != want.Key || !slices.Equal(own.Addresses, want.Addresses):
		return follow("restart", "restart "+m.Interface, modules.Restarts), nil
	case len(steps) > 0 || !maps.Equal(own.Allowed, want.Allowed):
		return follow("reload", "apply the peers of "+m.Interface, modules.Harmless), nil
	}
	return steps, nil
}

// wanted returns the interface as it should be once it is up.
func (m *wireguard) wanted(host string, own tunnel, peers []peer) tunnel {
	own.Up, own.Key, own.Port, own.MTU, own.Addresses = true, own.Public, m.Port, m.MTU, []string{m.address(host).String()}
	own.Allowed = map[string]string{}
	for _, p := range peers {
		own.Allowed[p.public] = p.allowed
	}
	return own
}

// address returns the address of a host in the network in the kernel's notation: IPv6 in lower case and with zeros omitted.
func (m *wireguard) address(host string) netip.Prefix {
	return netip.MustParsePrefix(m.Addresses[host])
}

// render returns the configuration for wg-quick(8). It contains no secret: the key is in a file of its own.
func (m *wireguard) render(host string, peers []peer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Kept by hlplay. The private key is in %s.\n[Interface]\nAddress = %s\nListenPort = %d\nMTU = %d\nPostUp = wg set %%i private-key %s/%%i.key\n",
		m.key(), m.address(host), m.Port, m.MTU, dir)
	for _, p := range peers {
		fmt.Fprintf(&b, "\n[Peer]\n# %s\nPublicKey = %s\nAllowedIPs = %s\n", p.name, p.public, p.allowed)
		if p.endpoint != "" {
			fmt.Fprintf(&b, "Endpoint = %s\n", p.endpoint)
		}
		if m.Keepalive > 0 {
			fmt.Fprintf(&b, "PersistentKeepalive = %d\n", m.Keepalive)
		}
	}
	return b.String()
}

// renderDropIn returns the drop-in of the unit. Debian's unit reloads with the configuration alone, which would remove the
// interface's key.
func (m *wireguard) renderDropIn() string {
	text := "# Kept by hlplay.\n"
	if len(m.Before) > 0 {
		text += "[Unit]\nBefore=" + strings.Join(m.Before, " ") + "\n\n"
	}
	return text + `[Service]
ExecReload=
ExecReload=/bin/sh -c '{ wg-quick strip "$$0" && printf "[Interface]\\nPrivateKey = " && cat "/etc/wireguard/$$0.key"; } | wg syncconf "$$0" /dev/stdin' %i
`
}
