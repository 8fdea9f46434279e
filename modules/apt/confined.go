package apt

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Confined implements modules.Confined. What is installed may come from another host of the play, and what a package starts may
// need one. Plans that install and remove nothing may be confined nevertheless: see Plan.Confined.
func (m *Module) Confined() bool { return false }

// ownKeys reports whether no key is downloaded from a host of the inventory.
func (m *Module) ownKeys(h modules.Host) bool {
	return !slices.ContainsFunc(m.Keys, func(k Key) bool { return k.URL != "" && !outside(h, k.URL) })
}

// ownSources reports whether the package index comes from no host of the inventory: such a host may have to do earlier tasks first.
func ownSources(h modules.Host, sources []observe.TextFile) bool {
	for _, f := range sources {
		for _, s := range parseSources(f) {
			if s.enabled && slices.ContainsFunc(s.uris, func(uri string) bool { return !outside(h, uri) }) {
				return false
			}
		}
	}
	return len(sources) > 0
}

// outside reports whether the server in a URI has a name that is no host's of the inventory, with or without a domain.
func outside(h modules.Host, uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil { // hosts have more addresses than the one in the inventory
		return false
	}
	label := func(name string) string { name, _, _ = strings.Cut(strings.ToLower(name), "."); return name }
	for name, address := range h.Inventory() {
		if label(u.Hostname()) == label(name) || strings.EqualFold(u.Hostname(), address) {
			return false
		}
	}
	return len(h.Inventory()) > 0
}
