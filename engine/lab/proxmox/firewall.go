package proxmox

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	firewallUnit = "pve-firewall.service"
	clusterRules = "firewall/cluster.fw"
	// firewallCycle is how often pve-firewall looks at its files (PVE::Service::pve_firewall, pve-firewall 6.0.4).
	firewallCycle = 10 * time.Second
)

// Loaded is what a node's pve-firewall has loaded: cluster.fw and host.fw.
type Loaded struct{ Cluster, Host string }

func hostRules(node string) string { return "nodes/" + node + "/host.fw" }

// firewallCommands are those of pve-firewall. What it filters is simulated for new TCP connections to the node; compile names the
// parts of the rules, without the rules.
func firewallCommands() []perlCommand {
	return []perlCommand{
		{name: "status", run: firewallStatus},
		{name: "compile", run: firewallCompile},
	}
}

// firewallStatus prints whether the firewall is enabled in cluster.fw, whether its daemon runs, and whether that has loaded the files.
func firewallStatus(c *Command, _ arguments) int {
	enabled, pending := c.firewall()
	state, daemon := "disabled", "stopped"
	if enabled {
		state = "enabled"
	}
	if c.Node.UnitActive(firewallUnit) {
		daemon = "running"
	} else {
		pending = false // it is not compared
	}
	c.printf("Status: %s/%s", state, daemon)
	if pending {
		c.printf(" (pending changes)")
	}
	c.printf("\n")
	return 0
}

func firewallCompile(c *Command, _ arguments) int {
	enabled, pending := c.firewall()
	c.printf("ipset cmdlist:\n\niptables cmdlist:\n\nip6tables cmdlist:\n\nebtables cmdlist:\n\niptables table raw cmdlist:\n\nip6tables table raw cmdlist:\n")
	if pending {
		c.printf("detected changes\n")
	} else {
		c.printf("no changes\n")
	}
	if !enabled {
		c.printf("firewall disabled\n")
	}
	return 0
}

// firewall reads the files, complains about them on standard error, and returns whether the firewall is enabled and whether something
// else is loaded.
func (c *Command) firewall() (enabled, pending bool) {
	name := c.Node.Name()
	active := c.Node.UnitActive(firewallUnit)
	var is, loaded Loaded
	c.World.at(func(v *view) { is, loaded = v.firewall(name, active) })
	for _, f := range []struct{ path, text string }{{"/etc/pve/" + clusterRules, is.Cluster}, {"/etc/pve/" + hostRules(name), is.Host}} {
		for i, line := range strings.Split(f.text, "\n") {
			if problem := badRule(line, is.Cluster+"\n"+is.Host); problem != "" {
				fmt.Fprintf(c.Stderr, "%s (line %d) - errors in rule parameters: %s\n  %s\n", f.path, i+1, strings.TrimSpace(line), problem)
			}
		}
	}
	return firewallOption(is.Cluster, "enable") == "1", is != loaded && (firewallOption(is.Cluster, "enable") == "1" || firewallOption(loaded.Cluster, "enable") == "1")
}

// firewall returns the firewall's files of a node, and the version of them that its daemon has loaded by now. A stopped daemon has
// loaded nothing.
func (v *view) firewall(node string, active bool) (is, loaded Loaded) {
	n, db := v.Nodes[node], v.database(node)
	if n == nil || db == nil {
		return Loaded{}, Loaded{}
	}
	is = Loaded{db.Text(clusterRules), db.Text(hostRules(node))}
	var changed time.Time
	for _, path := range []string{clusterRules, hostRules(node)} {
		if e := db.Files[path]; e != nil && e.ModTime.After(changed) {
			changed = e.ModTime
		}
	}
	switch {
	case !active:
		n.Firewall = Loaded{}
	case !v.now.Before(changed.Add(firewallCycle)):
		n.Firewall = is
	}
	return is, n.Firewall
}

// firewallOption returns an option of a file; "" without it.
func firewallOption(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// badRule returns what pve-firewall says of a rule that names an IP set that no file has.
func badRule(line, all string) string {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	for i, word := range words {
		for _, option := range []string{"source", "dest"} {
			if strings.TrimLeft(word, "-") != option || i+1 == len(words) {
				continue
			}
			if set, ok := strings.CutPrefix(words[i+1], "+"); ok {
				set = strings.TrimPrefix(set, "dc/")
				if !strings.Contains(strings.ToLower(all), "[ipset "+strings.ToLower(set)+"]") {
					return option + ": no such ipset '" + set + "'"
				}
			}
		}
	}
	return ""
}

// admits reports whether a node's firewall lets a new TCP connection in, as enable_host_firewall of PVE::Firewall builds the rules: the
// blacklist, those of the node, those of the cluster, the set "management" with the node's own network, and the policy.
func (w *World) admits(n Node, from netip.Addr, port int) bool {
	if !n.UnitActive(firewallUnit) {
		return true
	}
	var loaded Loaded
	w.at(func(v *view) { _, loaded = v.firewall(n.Name(), true) })
	if firewallOption(loaded.Cluster, "enable") != "1" || firewallOption(loaded.Host, "enable") == "0" {
		return true
	}
	sets := fwSections(loaded.Cluster)
	inSet := func(name string) bool {
		return slices.ContainsFunc(sets["ipset "+name], func(line string) bool {
			line, _, _ = strings.Cut(line, "#")
			return fwWithin(strings.TrimSpace(line), from, sets)
		})
	}
	if inSet("blacklist") {
		return false
	}
	rules := append(slices.Clone(fwSections(loaded.Host)["rules"]), sets["rules"]...)
	for at := 0; at < len(rules); at++ {
		line, _, _ := strings.Cut(rules[at], "#")
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(line, "|") {
			continue
		}
		if strings.EqualFold(words[0], "GROUP") {
			rules = slices.Insert(rules, at+1, sets["group "+strings.ToLower(words[1])]...)
			continue
		}
		if !strings.EqualFold(words[0], "IN") {
			continue
		}
		action, matches := words[1], true
		if macro, rest, ok := strings.Cut(action, "("); ok {
			action = strings.TrimSuffix(rest, ")")
			matches = map[string]int{"SSH": 22, "PMG": 8006, "HTTP": 80, "HTTPS": 443}[macro] == port
		}
		for i := 2; i+1 < len(words); i += 2 {
			value := words[i+1]
			switch strings.TrimLeft(words[i], "-") {
			case "source":
				if set, ok := strings.CutPrefix(value, "+"); ok {
					matches = matches && inSet(strings.ToLower(strings.TrimPrefix(set, "dc/")))
				} else {
					matches = matches && slices.ContainsFunc(strings.Split(value, ","), func(part string) bool { return fwWithin(part, from, sets) })
				}
			case "p", "proto":
				matches = matches && value == "tcp"
			case "dport":
				matches = matches && slices.ContainsFunc(strings.Split(value, ","), func(part string) bool {
					first, last, two := strings.Cut(part, ":")
					if !two {
						last = first
					}
					a, err1 := strconv.Atoi(first)
					b, err2 := strconv.Atoi(last)
					return err1 == nil && err2 == nil && a <= port && port <= b
				})
			}
		}
		if matches {
			return action == "ACCEPT"
		}
	}
	if port == 22 || port == WebPort || port == 3128 || port >= 5900 && port <= 5999 || port >= 60000 && port <= 60050 {
		if inSet("management") {
			return true
		}
		if own, err := nodeAddress(n); err == nil {
			for _, p := range n.Addresses() {
				if p.Addr() == own && p.Contains(from) {
					return true
				}
			}
		}
	}
	return firewallOption(loaded.Cluster, "policy_in") == "ACCEPT"
}

// fwSections returns the lines of a file by section, in lower case: "rules", "group web", "ipset management".
func fwSections(text string) map[string][]string {
	sections := map[string][]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if header, ok := strings.CutPrefix(line, "["); ok {
			header, _, _ = strings.Cut(header, "]")
			name = strings.ToLower(strings.Join(strings.Fields(header), " "))
			continue
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			sections[name] = append(sections[name], line)
		}
	}
	return sections
}

// fwWithin reports whether an address is in a network, or in that of an alias.
func fwWithin(network string, a netip.Addr, sections map[string][]string) bool {
	for _, line := range sections["aliases"] {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) == 2 && strings.EqualFold(words[0], strings.TrimPrefix(network, "dc/")) {
			network = words[1]
		}
	}
	if p, err := netip.ParsePrefix(network); err == nil {
		return p.Contains(a)
	}
	b, err := netip.ParseAddr(network)
	return err == nil && a == b
}
