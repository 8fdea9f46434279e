package proxmox

import (
	"slices"
	"strings"
)

// release is a version of pve-manager and the commit from which it was built.
type release struct{ manager, repoid, release string }

var repoids = map[string]string{"8.4.1": "2a5fa54a8503f96d", "8.4.21": "2606ac850d46da29", "9.2.11": "14a22df35955d97d"}

// release returns the release of Proxmox VE on the command's node.
func (c *Command) release() release {
	manager := c.Node.Version("pve-manager")
	parts := strings.SplitN(manager+"..", ".", 3)
	return release{manager, repoids[manager], parts[0] + "." + parts[1]}
}

func pveversion(c *Command) int {
	r := c.release()
	if !slices.Contains(c.Argv[1:], "-v") && !slices.Contains(c.Argv[1:], "--verbose") {
		c.printf("pve-manager/%s/%s (running kernel: %s)\n", r.manager, r.repoid, c.Node.Kernel())
		return 0
	}
	c.printf("proxmox-ve: %s (running kernel: %s)\n", c.Node.Version("proxmox-ve"), c.Node.Kernel())
	c.printf("pve-manager: %s (running version: %s/%s)\n", c.Node.Version("pve-manager"), r.manager, r.repoid)
	for _, pkg := range []string{"proxmox-default-kernel", "ceph", "ceph-fuse", "corosync", "ifupdown2", "libpve-access-control", "libpve-common-perl", "libpve-storage-perl",
		"proxmox-archive-keyring", "pve-cluster", "pve-container", "pve-firewall", "pve-ha-manager", "qemu-server"} {
		if version := c.Node.Version(pkg); version != "" {
			c.printf("%s: %s\n", pkg, version)
		}
	}
	return 0
}

func outputFormat(value string) string {
	return oneOf("text", "json", "json-pretty", "yaml")(value)
}

// pvesh implements the calls of the API that change what modules manage.
func pvesh(c *Command) int {
	const usage = "pvesh %s <api_path> [OPTIONS] [FORMAT_OPTIONS]"
	if len(c.Argv) < 2 {
		return c.die(exitDie, "ERROR: no command specified\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n\n       pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh ls <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]")
	}
	verb := c.Argv[1]
	if len(c.Argv) < 3 {
		return c.die(exitDie, "400 not enough arguments\n"+usage, verb)
	}
	a := arguments{values: map[string]string{}}
	for i := 3; i < len(c.Argv); i++ {
		name, value, given := strings.Cut(strings.TrimLeft(c.Argv[i], "-"), "=")
		if !strings.HasPrefix(c.Argv[i], "-") {
			return c.die(exitDie, "400 too many arguments\n"+usage, verb)
		}
		switch {
		case given:
		case name == "quiet" || name == "noproxy" || name == "noborder" || name == "noheader":
			value = "1"
			if i+1 < len(c.Argv) && boolean(c.Argv[i+1]) == "" {
				i++
			}
		case i+1 < len(c.Argv):
			i++
			value = c.Argv[i]
		default:
			return c.die(exitDie, "Option %s requires an argument\n400 unable to parse option\n"+usage, name, verb)
		}
		if name == "map" && a.has(name) {
			value = a.get(name) + repeated + value
		}
		a.values[name] = value
	}
	if format := a.get("output-format"); format != "" && outputFormat(format) != "" {
		return c.die(exitENOENT, "400 Parameter verification failed.\noutput-format: %s\n"+usage, outputFormat(format), verb)
	}
	if !c.connected() {
		return exitREFUSED
	}
	path := strings.Split(strings.Trim(c.Argv[2], "/"), "/")
	return c.api(verb, path, a)
}

func endpoints() []endpoint { return slices.Concat(mappingEndpoints(), backupEndpoints()) }

// endpoint is a method of an API path. "{}" in the path matches any element.
type endpoint struct {
	verb, path string
	run        func(c *Command, parts []string, a arguments) error
}

func match(pattern string, path []string) ([]string, bool) {
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	if len(want) != len(path) {
		return nil, false
	}
	var parts []string
	for i, w := range want {
		switch {
		case w == "{}":
			parts = append(parts, path[i])
		case w != path[i]:
			return nil, false
		}
	}
	return parts, true
}

// api calls a method.
func (c *Command) api(verb string, path []string, a arguments) int {
	for _, e := range endpoints() {
		parts, ok := match(e.path, path)
		if !ok || e.verb != verb {
			continue
		}
		if err := e.run(c, parts, a); err != nil {
			return c.report(err)
		}
		return 0
	}
	return c.die(1, "No '%s' handler defined for '/%s'", verb, strings.Join(path, "/"))
}
