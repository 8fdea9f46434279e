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

// Confined implements modules.Confined. What is installed may come from another host of the play, and what a package starts, or a removal
// stops, may need one or serve one. Plans that do not may be confined nevertheless: see Plan.Confined.
func (m *Module) Confined() bool { return false }

// inert reports whether a removal stops nothing: it removes only packages that are known to have nothing running, and kernels, of which the
// running one is kept (see keepsRunningKernel).
func inert(targets []string, changes []PackageChange) bool {
	harmless := func(name string) bool {
		return known[name].Inert || kernelRelease(name) != "" || newestKernel.MatchString(name)
	}
	for _, c := range changes {
		if !c.Removed() || !harmless(c.Name) {
			return false
		}
	}
	return len(changes) > 0 && !slices.ContainsFunc(targets, func(name string) bool { return !harmless(name) })
}

// newestKernel matches Debian's packages that depend on the newest kernel: linux-image-amd64, linux-image-cloud-arm64.
var newestKernel = pattern.New(`^linux-image-(?:cloud-|rt-)?[a-z][a-z0-9]*$`)

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
// neither a server nor a proxy is one. A server is none whose name is no such host's, and whose addresses in the host's own hosts
// file, if it is listed there, are none that a host of the inventory has; nothing tells of other names that only DNS knows. Any proxy
// may be one. What cannot be read may name one.
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
	return err == nil && !slices.ContainsFunc(uris, func(uri string) bool { return leadsInside(h, hosts, server(uri)) })
}

// proxyPattern matches the options with which apt is given a proxy: Acquire::http::Proxy, Acquire::http::Proxy-Auto-Detect and the
// like (apt-transport-http(1)).
var proxyPattern = pattern.New(`(?i)\bproxy\b`)

// leadsInside reports whether a hosts file may give a name an address of a host of the inventory (hosts(5)).
func leadsInside(h modules.Host, hosts, name string) bool {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.ContainsFunc(words[1:], func(word string) bool { return strings.EqualFold(strings.TrimSuffix(word, "."), name) }) {
			continue
		}
		if addr, err := netip.ParseAddr(words[0]); err != nil || addr.Zone() != "" || !h.Foreign(addr) {
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

// outside reports whether the server in a URI has a name that is no host's of the inventory, with or without a domain, or an address
// that none of them has.
func outside(h modules.Host, uri string) bool {
	name := server(uri)
	if name == "" {
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Zone() == "" && h.Foreign(addr)
	}
	label := func(name string) string { name, _, _ = strings.Cut(strings.ToLower(name), "."); return name }
	for host, address := range h.Inventory() {
		if label(name) == label(host) || label(name) == label(address) {
			return false
		}
	}
	return len(h.Inventory()) > 0
}
