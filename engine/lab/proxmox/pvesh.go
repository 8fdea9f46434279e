package proxmox

import (
	"fmt"
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

// print prints a value in the requested format. text returns its text form.
func (c *Command) print(value any, a arguments, text func() string) {
	switch a.get("output-format") {
	case "json":
		c.printf("%s", canonical(value))
	case "json-pretty":
		c.printf("%s", pretty(value))
	case "yaml":
		c.printf("%s", yaml(value))
	default:
		c.printf("%s", text())
	}
}

// show prints a list of objects, as a table if text is requested.
func (c *Command) show(list []any, a arguments, columns []column, row func(map[string]any) []string) {
	c.print(list, a, func() string {
		var rows [][]string
		for _, e := range list {
			rows = append(rows, row(e.(map[string]any)))
		}
		return table(columns, rows)
	})
}

// pvesh implements pvesh: the API from the command line.
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
	if verb == "ls" {
		return apiLs(c, path)
	}
	return c.api(verb, path, a)
}

func apiLs(c *Command, path []string) int {
	if len(path) == 1 && path[0] == "" {
		c.printf("Dr---        access\nDr---        cluster\nDr---        nodes\nDrwcd        pools\nDr-c-        storage\n-r---        version\n")
		return 0
	}
	if len(path) == 1 && path[0] == "nodes" {
		return c.read(func(_ *view, db *Database) error {
			for _, name := range db.List("nodes") {
				c.printf("Dr---        %s\n", name)
			}
			return nil
		})
	}
	return c.die(1, "No 'get' handler defined for '/%s'", strings.Join(path, "/"))
}

// endpoint is a method of an API path. "{}" in the path matches any element.
type endpoint struct {
	verb, path string
	run        func(c *Command, parts []string, a arguments) (any, error)
	// silent is set if the result may be omitted from the output.
	silent bool
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

// api calls a method on the node that the path names.
func (c *Command) api(verb string, path []string, a arguments) int {
	if len(path) > 1 && path[0] == "nodes" {
		name := path[1]
		if name == "localhost" {
			path[1] = c.Node.Name()
		} else if name != c.Node.Name() {
			if code, done := c.proxy(name); done {
				return code
			}
		}
	}
	for _, e := range endpoints() {
		parts, ok := match(e.path, path)
		if !ok || e.verb != verb {
			continue
		}
		value, err := e.run(c, parts, a)
		if err != nil {
			return c.report(err)
		}
		if e.silent {
			return 0
		}
		c.print(value, a, func() string { return apiText(value) })
		return 0
	}
	return c.die(1, "No '%s' handler defined for '/%s'", verb, strings.Join(path, "/"))
}

// proxy runs the call on another node, as pvesh does over SSH.
func (c *Command) proxy(name string) (code int, done bool) {
	n := c.World.node(name)
	var ip string
	c.World.at(func(v *view) {
		if conf := clusterOf(v.database(c.Node.Name())); conf != nil && conf.node(name) != nil {
			ip = v.nodeState(name).IP
		}
	})
	switch {
	case ip == "":
		return c.die(exitDie, "no such cluster node '%s'", name), true
	case n == nil || !n.Up():
		return c.die(exitDie, "proxy handler failed: ssh: connect to host %s port 22: No route to host", ip), true
	}
	c.Node = n
	return 0, false
}

// apiText formats a value as pvesh does for text output.
func apiText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case map[string]any:
		var rows [][]string
		for _, key := range sortedKeys(value) {
			rows = append(rows, []string{key, textOf(value[key])})
		}
		return table([]column{{title: "key"}, {title: "value"}}, rows)
	case []any:
		if len(value) == 0 {
			return ""
		}
		if _, ok := value[0].(map[string]any); !ok {
			return textOf(value) + "\n"
		}
		names := map[string]bool{}
		for _, e := range value {
			for key := range e.(map[string]any) {
				names[key] = true
			}
		}
		var columns []column
		for _, name := range sortedKeys(names) {
			columns = append(columns, column{title: name})
		}
		var rows [][]string
		for _, e := range value {
			var row []string
			for _, col := range columns {
				row = append(row, textOf(e.(map[string]any)[col.title]))
			}
			rows = append(rows, row)
		}
		return table(columns, rows)
	}
	return textOf(value) + "\n"
}

func textOf(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case map[string]any, []any:
		return strings.TrimSpace(canonical(value))
	}
	return fmt.Sprint(value)
}
