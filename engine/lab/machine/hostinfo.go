package machine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func hostname(_ context.Context, c *Call) int {
	o, ok := c.options("fsdiIA", "fqdn", "long", "short", "domain", "ip-address", "all-ip-addresses")
	if !ok {
		return 2
	}
	m := c.Machine
	if len(o.rest) > 0 {
		if c.User != "root" {
			return c.Errorf("you must be root to change the host name")
		}
		m.setName(o.rest[0])
		m.Record("hostname", "set host name "+o.rest[0])
		return 0
	}
	fqdn := ""
	for _, line := range m.hosts() {
		for _, name := range line.names {
			if name == m.Name() && fqdn == "" {
				fqdn = line.names[0]
			}
		}
	}
	switch {
	case o.has("I", "all-ip-addresses"):
		var all []string
		for _, p := range m.addresses {
			all = append(all, p.Addr().String())
		}
		c.printf("%s \n", strings.Join(all, " "))
	case o.has("i", "ip-address"):
		var all []string
		for _, a := range m.Resolve(m.Name()) {
			all = append(all, a.String())
		}
		if len(all) == 0 {
			return c.Errorf("Name or service not known")
		}
		c.printf("%s\n", strings.Join(all, " "))
	case o.has("f", "fqdn", "long", "A"):
		if fqdn == "" {
			return c.Errorf("Name or service not known")
		}
		c.printf("%s\n", fqdn)
	case o.has("d", "domain"):
		_, domain, _ := strings.Cut(fqdn, ".")
		c.printf("%s\n", domain)
	default:
		c.printf("%s\n", m.Name())
	}
	return 0
}

func hostnamectl(_ context.Context, c *Call) int {
	o, ok := c.options("", "static", "pretty", "transient", "json=")
	if !ok {
		return 2
	}
	verb := "status"
	if len(o.rest) > 0 {
		verb = o.rest[0]
	}
	switch {
	case verb == "set-hostname" || verb == "hostname" && len(o.rest) > 1:
		if len(o.rest) < 2 {
			return c.Errorf("Too few arguments.")
		}
		if c.User != "root" {
			return c.Errorf("Could not set static hostname: Interactive authentication required.")
		}
		if err := writeFile(c.view(), "/etc/hostname", o.rest[1]+"\n", 0o644); err != nil {
			return c.Errorf("Could not set static hostname: %s", errText(err))
		}
		c.Machine.setName(o.rest[1])
		c.Machine.Record("hostnamectl", "set host name "+o.rest[1])
	case verb == "hostname" || o.has("static") || o.has("transient"):
		c.printf("%s\n", c.Machine.Name())
	case verb == "status":
		r := releases[c.Machine.Debian()]
		c.printf(" Static hostname: %s\n       Icon name: computer-vm\n         Chassis: vm\n  Virtualization: kvm\nOperating System: Debian GNU/Linux %s (%s)\n          Kernel: Linux %s\n    Architecture: x86-64\n", c.Machine.Name(), r.version, r.codename, c.Machine.KernelRelease())
	default:
		return notSimulated(c, verb)
	}
	return 0
}

func nproc(_ context.Context, c *Call) int {
	if _, ok := c.options("", "all"); !ok {
		return 2
	}
	c.printf("%d\n", c.Machine.cpus)
	return 0
}

func uptime(_ context.Context, c *Call) int {
	o, ok := c.options("ps", "pretty", "since")
	if !ok {
		return 2
	}
	up := c.Machine.Uptime()
	now := c.Machine.clock.Now().UTC()
	switch {
	case o.has("s", "since"):
		c.printf("%s\n", now.Add(-up).Format("2006-01-02 15:04:05"))
	case o.has("p", "pretty"):
		c.printf("up %s\n", upText(up))
	default:
		c.printf(" %s up %d:%02d,  1 user,  load average: 0.08, 0.03, 0.01\n", now.Format("15:04:05"), int(up.Hours()), int(up.Minutes())%60)
	}
	return 0
}

// upText formats a duration as uptime -p does.
func upText(up time.Duration) string {
	hours, minutes := int(up.Hours()), int(up.Minutes())%60
	text := fmt.Sprintf("%d minutes", minutes)
	if minutes == 1 {
		text = "1 minute"
	}
	switch {
	case hours == 1:
		return "1 hour, " + text
	case hours > 1:
		return fmt.Sprintf("%d hours, %s", hours, text)
	}
	return text
}
