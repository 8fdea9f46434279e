package machine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

func aptCache(_ context.Context, c *Call) int {
	o, ok := c.options("qo:n", "quiet", "option=", "names-only", "no-all-versions")
	if !ok {
		return 100
	}
	if len(o.rest) == 0 {
		fmt.Fprintln(c.Stderr, "E: apt-cache: an operation is required")
		return 100
	}
	verb, names := o.rest[0], o.rest[1:]
	p := c.Machine.packages
	switch verb {
	case "policy":
		for _, name := range names {
			versions := p.visible(name)
			installed, have := p.Installed(name)
			if len(versions) == 0 && !have {
				if len(p.providers(name)) > 0 {
					c.printf("%s:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n", name)
				} else {
					fmt.Fprint(c.Stderr, c.Machine.archive.lacks(name))
				}
				continue
			}
			candidate := installed
			if len(versions) > 0 && CompareVersions(versions[0].Version, installed) > 0 {
				candidate = versions[0].Version
			}
			c.printf("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", name, cmp.Or(installed, "(none)"), candidate)
			for _, v := range p.visibleOrInstalled(name) {
				mark, priority := "    ", 500
				listed := slices.ContainsFunc(versions, func(other Package) bool { return other.Version == v.Version })
				if v.Version == installed {
					mark = "*** "
				}
				if !listed {
					priority = 100
				}
				c.printf(" %s%s %d\n", mark, v.Version, priority)
				if listed {
					c.printf("        500 http://deb.example.org/debian %s/%s amd64 Packages\n", c.Machine.Debian(), v.Component)
				}
				if v.Version == installed {
					c.printf("        100 /var/lib/dpkg/status\n")
				}
			}
		}
		return 0
	case "showpkg":
		for _, name := range names {
			providers := p.providers(name)
			if len(providers)+len(p.visible(name)) == 0 {
				continue
			}
			c.printf("Package: %s\nVersions: \n", name)
			for _, v := range p.visible(name) {
				c.printf("%s\n", v.Version)
			}
			c.printf("\nReverse Depends: \nDependencies: \nProvides: \nReverse Provides: \n")
			for _, provider := range providers {
				c.printf("%s %s (= )\n", provider, p.visible(provider)[0].Version)
			}
		}
		return 0
	case "madison":
		for _, name := range names {
			for _, v := range p.visible(name) {
				c.printf("%10s | %10s | http://deb.example.org/debian %s/%s amd64 Packages\n", name, v.Version, c.Machine.Debian(), v.Component)
			}
		}
		return 0
	case "show":
		code := 0
		for _, name := range names {
			versions := p.visible(name)
			if len(versions) == 0 {
				fmt.Fprintf(c.Stderr, "N: Unable to locate package %s\nE: No packages found\n", name)
				code = 100
			}
			for _, v := range versions {
				c.printf("%s\n", installation{pkg: v, status: statusInstalled}.stanza())
			}
		}
		return code
	}
	return notSimulated(c, verb)
}

func aptMark(_ context.Context, c *Call) int {
	o, ok := c.options("q", "quiet")
	if !ok {
		return 100
	}
	if len(o.rest) == 0 {
		fmt.Fprintln(c.Stderr, "E: No packages found")
		return 100
	}
	verb, names := o.rest[0], o.rest[1:]
	p := c.Machine.packages
	switch verb {
	case "showhold", "showmanual", "showauto":
		for _, i := range p.all() {
			wanted := map[string]bool{"showhold": i.hold, "showmanual": !i.automatic, "showauto": i.automatic}[verb]
			if wanted && i.status == statusInstalled && (len(names) == 0 || slices.Contains(names, i.pkg.Name)) {
				c.printf("%s\n", i.pkg.Name)
			}
		}
		return 0
	case "hold", "unhold", "auto", "manual":
	default:
		return notSimulated(c, verb)
	}
	if c.User != "root" {
		fmt.Fprintf(c.Stderr, "E: Could not create temporary file for /var/lib/apt/extended_states - mkstemp (13: Permission denied)\n")
		return 100
	}
	for _, name := range names {
		i, have := p.get(name)
		if !have {
			fmt.Fprintf(c.Stderr, "E: Unable to locate package %s\n", name)
			return 100
		}
		switch verb {
		case "hold", "unhold":
			if i.hold == (verb == "hold") {
				c.printf("%s was already %s.\n", name, map[string]string{"hold": "set on hold", "unhold": "not on hold"}[verb])
				continue
			}
			p.hold(name, verb == "hold")
			c.printf("%s\n", map[string]string{"hold": name + " set on hold.", "unhold": "Canceled hold on " + name + "."}[verb])
		default:
			if i.automatic == (verb == "auto") {
				c.printf("%s was already set to %s installed.\n", name, map[string]string{"auto": "automatically", "manual": "manually"}[verb])
				continue
			}
			p.mark(name, verb == "auto")
			c.printf("%s set to %s installed.\n", name, map[string]string{"auto": "automatically", "manual": "manually"}[verb])
		}
		c.Machine.Record("apt-mark", verb+" "+name)
	}
	return 0
}

// aptHelper implements download-file URI FILE [SHA256:sum|SHA512:sum] and cat-file.
func aptHelper(_ context.Context, c *Call) int {
	o, ok := c.options("qo:", "quiet", "option=")
	if !ok {
		return 100
	}
	if len(o.rest) < 3 || o.rest[0] != "download-file" {
		return notSimulated(c, strings.Join(o.rest, " "))
	}
	url, file := o.rest[1], o.rest[2]
	content, found := c.Machine.archive.Published(url)
	if !found {
		fmt.Fprintf(c.Stderr, "E: Failed to fetch %s  404  Not Found [IP: 192.0.2.80 443]\nE: Download Failed\n", url)
		return 100
	}
	if len(o.rest) > 3 {
		kind, want, _ := strings.Cut(o.rest[3], ":")
		var got string
		switch strings.ToUpper(kind) {
		case "SHA256":
			got = digestOf(sha256.New(), content)
		case "SHA512":
			got = digestOf(sha512.New(), content)
		default:
			return notSimulated(c, o.rest[3])
		}
		if got != strings.ToLower(want) {
			fmt.Fprintf(c.Stderr, "E: Failed to fetch %s  Hash Sum mismatch\n   Hashes of expected file:\n    - %s:%s\n   Hashes of received file:\n    - %s:%s\nE: Download Failed\n", url, strings.ToUpper(kind), want, strings.ToUpper(kind), got)
			return 100
		}
	}
	if err := afero.WriteFile(c.view(), c.Path(file), content, 0o644); err != nil {
		fmt.Fprintf(c.Stderr, "E: Could not open file %s - open (%s)\nE: Download Failed\n", file, errText(err))
		return 100
	}
	c.printf("Get:1 %s [%d B]\nFetched %d B in 0s (0 B/s)\n", url, len(content), len(content))
	return 0
}
