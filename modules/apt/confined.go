package apt

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Confined implements modules.Confined. What is installed may come from another host of the play, and what a package starts may
// need one. Plans that install and remove nothing may be confined nevertheless: see Plan.Confined.
func (m *Module) Confined() bool { return false }

// downloads returns where the keys come from that the task lets the host download.
func (m *Module) downloads() (uris []string) {
	for _, k := range m.Keys {
		if k.URL != "" {
			uris = append(uris, k.URL)
		}
	}
	return uris
}

// sourcesOf returns where the package index comes from.
func sourcesOf(files []observe.TextFile) (uris []string) {
	for _, f := range files {
		for _, s := range parseSources(f) {
			if s.enabled {
				uris = append(uris, s.uris...)
			}
		}
	}
	return uris
}

// wantAlone announces what alone reads.
func wantAlone(h modules.Host) {
	Configs.Want(h, "")
	observe.Files.Want(h, hostsFile)
}

const hostsFile = "/etc/hosts"

// alone reports whether apt downloads from URIs without help of a host of the inventory, which may have to do earlier tasks first:
// neither a server nor a proxy is one. A server is none whose name is no such host's, and is not listed in the host's own hosts
// file, as another name of a local server would be; nothing tells of other names that only DNS knows. Any proxy may be one.
// What cannot be read may name one.
func alone(ctx context.Context, h modules.Host, uris []string) bool {
	if len(uris) == 0 {
		return true
	}
	if slices.ContainsFunc(uris, func(uri string) bool { return !outside(h, uri) }) {
		return false
	}
	for name := range observe.ActingEnvironment(ctx, nil) {
		if name = strings.ToLower(name); strings.HasSuffix(name, "_proxy") || name == "apt_config" {
			return false
		}
	}
	wantAlone(h)
	configs, err := Configs.Observe(ctx, h, "")
	if err != nil || slices.ContainsFunc(configs, func(f observe.TextFile) bool { return proxyPattern.MatchString(f.Content) }) {
		return false
	}
	hosts, _, err := observe.Text(ctx, h, hostsFile)
	return err == nil && !slices.ContainsFunc(uris, func(uri string) bool { return lists(hosts, server(uri)) })
}

// proxyPattern matches the options with which apt is given a proxy: Acquire::http::Proxy, Acquire::http::Proxy-Auto-Detect and the
// like (apt-transport-http(1)).
var proxyPattern = pattern.New(`(?i)\bproxy\b`)

// lists reports whether a hosts file has a name (hosts(5)).
func lists(hosts, name string) bool {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		if slices.ContainsFunc(strings.Fields(line), func(word string) bool { return strings.EqualFold(word, name) }) {
			return true
		}
	}
	return false
}

// server returns the name of the server in a URI that is fetched by HTTP, without the dot that may end it, or "".
func server(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// outside reports whether the server in a URI has a name that is no host's of the inventory, with or without a domain.
func outside(h modules.Host, uri string) bool {
	name := server(uri)
	if _, err := netip.ParseAddr(name); name == "" || err == nil { // hosts have more addresses than the one in the inventory
		return false
	}
	label := func(name string) string { name, _, _ = strings.Cut(strings.ToLower(name), "."); return name }
	for host, address := range h.Inventory() {
		if label(name) == label(host) || label(name) == label(address) {
			return false
		}
	}
	return len(h.Inventory()) > 0
}
