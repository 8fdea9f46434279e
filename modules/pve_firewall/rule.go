package pve_firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// rule is a line of a .fw file, as parse_fw_rule of PVE::Firewall (pve-firewall 6.0.4) reads it:
// [|]IN|OUT|FORWARD|GROUP ACTION|MACRO(ACTION)|GROUPNAME [-i IFACE] [-source S] [-dest D] [-p PROTO] [-dport P] [-sport P] [-log L]
// [-icmp-type T] [# COMMENT]
type rule struct {
	// disabled is set if the line begins with |.
	disabled bool
	// direction is IN, OUT, FORWARD or GROUP.
	direction string
	// macro is "" without one. action is ACCEPT, DROP or REJECT, or the name of a security group.
	macro, action                            string
	iface, source, dest, proto, dport, sport string
	log, icmp, comment                       string
}

var (
	nameForm  = pattern.New(`^[A-Za-z][A-Za-z0-9_-]+$`)
	macroForm = pattern.New(`^([A-Za-z0-9]+)\((ACCEPT|DROP|REJECT)\)$`)
	ifaceForm = pattern.New(`^[A-Za-z][A-Za-z0-9_]{1,20}([:.][0-9]+)?$`)
	rangeForm = pattern.New(`^[0-9]+(:[0-9]+)?$`)
	protoForm = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"}

// parseRule parses a line. pve-firewall accepts every line that it accepts, apart from names that only a host can resolve:
// services, protocols, and what the file itself defines.
func parseRule(line string) (rule, error) {
	var r rule
	text, comment, _ := strings.Cut(line, "#")
	r.comment = strings.TrimSpace(comment)
	text = strings.TrimSpace(text)
	if rest, off := strings.CutPrefix(text, "|"); off {
		r.disabled, text = true, rest
	}
	words := strings.Fields(text)
	if len(words) < 2 {
		return r, fmt.Errorf("%q is not a rule", line)
	}
	r.direction, r.action = strings.ToUpper(words[0]), words[1]
	switch r.direction {
	case "IN", "OUT", "FORWARD":
		if m := macroForm.FindStringSubmatch(r.action); m != nil {
			r.macro, r.action = m[1], m[2]
		}
		if !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, r.action) {
			return r, fmt.Errorf("%q is not an action: ACCEPT, DROP, REJECT, or a macro with one of them, as in SSH(ACCEPT)", r.action)
		}
		if r.direction == "FORWARD" && r.action == "REJECT" {
			return r, fmt.Errorf("%q: forwarded packets cannot be rejected, only dropped", line)
		}
	case "GROUP":
		if !nameForm.MatchString(r.action) {
			return r, fmt.Errorf("%q is not the name of a security group", r.action)
		}
	default:
		return r, fmt.Errorf("%q begins with %s", line, words[0])
	}
	for rest := words[2:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) == 1 {
			return r, fmt.Errorf("%s has no value", rest[0])
		}
		option := rest[0]
		to := r.option("-" + strings.TrimLeft(option, "-"))
		if to == nil || r.direction == "GROUP" && to != &r.iface {
			return r, fmt.Errorf("%s is not an option of such a rule", option)
		}
		if *to != "" {
			return r, fmt.Errorf("%s is given twice", option)
		}
		*to = rest[1]
	}
	return r, r.check()
}

func (r *rule) option(name string) *string {
	switch name {
	case "-i":
		return &r.iface
	case "-source":
		return &r.source
	case "-dest":
		return &r.dest
	case "-p", "-proto":
		return &r.proto
	case "-dport":
		return &r.dport
	case "-sport":
		return &r.sport
	case "-log":
		return &r.log
	case "-icmp-type":
		return &r.icmp
	}
	return nil
}

// check checks the values of a rule, as verify_rule does.
func (r *rule) check() error {
	if r.macro != "" && !slices.Contains(macros(), r.macro) {
		return fmt.Errorf("%q is not a macro of Proxmox VE's firewall", r.macro)
	}
	if r.iface != "" && !ifaceForm.MatchString(r.iface) {
		return fmt.Errorf("%q is not the name of an interface", r.iface)
	}
	if r.proto != "" && !protoForm.MatchString(r.proto) {
		return fmt.Errorf("%q is not a protocol", r.proto)
	}
	if r.log != "" && !slices.Contains(logLevels, r.log) {
		return fmt.Errorf("%q is not a log level: one of %s", r.log, strings.Join(logLevels, ", "))
	}
	for _, address := range []string{r.source, r.dest} {
		if err := checkAddresses(address); err != nil {
			return err
		}
	}
	for _, ports := range []string{r.dport, r.sport} {
		switch {
		case ports == "":
			continue
		case r.macro != "":
			return fmt.Errorf("macro %s has ports of its own: %s", r.macro, ports)
		case r.proto == "":
			return fmt.Errorf("ports %s need a protocol, as in -p tcp", ports)
		}
		if err := checkPorts(ports); err != nil {
			return err
		}
	}
	if r.icmp != "" && !strings.Contains(r.proto, "icmp") {
		return fmt.Errorf("-icmp-type %s needs -p icmp or -p icmpv6", r.icmp)
	}
	return nil
}

// checkAddresses accepts an IP set (+name), an alias, a range, or addresses and networks of one family.
func checkAddresses(text string) error {
	if text == "" {
		return nil
	}
	if name, set := strings.CutPrefix(text, "+"); set {
		for _, scope := range []string{"dc/", "guest/", "sdn/"} {
			name = strings.TrimPrefix(name, scope)
		}
		if !nameForm.MatchString(name) {
			return fmt.Errorf("%q is not the name of an IP set", text)
		}
		return nil
	}
	if nameForm.MatchString(withoutScope(text)) {
		return nil
	}
	if first, last, ok := strings.Cut(text, "-"); ok {
		a, err1 := netip.ParseAddr(first)
		b, err2 := netip.ParseAddr(last)
		if err1 != nil || err2 != nil || a.Is4() != b.Is4() || b.Less(a) {
			return fmt.Errorf("%q is not a range of addresses", text)
		}
		return nil
	}
	var six, four bool
	for _, part := range strings.Split(text, ",") {
		p, err := parseNetwork(part)
		if err != nil {
			return err
		}
		if p.Addr().Is4() {
			four = true
		} else {
			six = true
		}
	}
	if four && six {
		return fmt.Errorf("%q mixes IPv4 and IPv6: make two rules", text)
	}
	return nil
}

// withoutScope removes the prefix that says where an alias is defined.
func withoutScope(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "dc/"), "guest/")
}

// parseNetwork parses an address or a network.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is not an address or a network, nor the name of an alias or, with a +, of an IP set", text)
	}
	return p, nil
}

func checkPorts(text string) error {
	for _, part := range strings.Split(text, ",") {
		if !rangeForm.MatchString(part) {
			if part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '-' {
				return fmt.Errorf("%q is not a port, a range as in 5900:5999, or a list of them", text)
			}
			continue // the name of a service, or of an ICMP type, which the host knows
		}
		first, last, two := strings.Cut(part, ":")
		a, err := strconv.Atoi(first)
		b := a
		if two && err == nil {
			b, err = strconv.Atoi(last)
		}
		if err != nil || a > 65535 || b > 65535 || a > b {
			return fmt.Errorf("%q is not a port, a range as in 5900:5999, or a list of them", part)
		}
	}
	return nil
}

// String returns the line as Proxmox VE writes it (format_rules).
func (r rule) String() string {
	var b strings.Builder
	if r.disabled {
		b.WriteString("|")
	}
	b.WriteString(r.direction + " ")
	if r.macro != "" {
		b.WriteString(r.macro + "(" + r.action + ")")
	} else {
		b.WriteString(r.action)
	}
	for _, o := range []struct{ name, value string }{{"-i", r.iface}, {"-source", r.source}, {"-dest", r.dest}, {"-p", r.proto}, {"-dport", r.dport},
		{"-sport", r.sport}, {"-log", r.log}, {"-icmp-type", r.icmp}} {
		if o.value != "" {
			b.WriteString(" " + o.name + " " + o.value)
		}
	}
	if r.comment != "" {
		b.WriteString(" # " + r.comment)
	}
	return b.String()
}

// macros returns the names of the macros (PVE::Firewall, pve-firewall 6.0.4).
func macros() []string {
	return strings.Fields(`Amanda Auth BGP BitTorrent BitTorrent32 CVS Ceph Citrix DAAP DCC DHCPfwd DHCPv6 DNS Distcc FTP Finger GNUnet GRE Git HKP
		HTTP HTTPS ICPV2 ICQ IMAP IMAPS IPIP IPsec IPsecah IPsecnat IRC Jetdirect L2TP LDAP LDAPS MDNS MSNP MSSQL Mail Munin MySQL NNTP NNTPS NTP
		NeighborDiscovery OSPF OpenVPN PCA PMG POP3 POP3S PPtP Ping PostgreSQL Printer RDP RIP RNDC Razor Rdate Rsync SANE SMB SMBswat SMTP SMTPS
		SNMP SPAMD SPICEproxy SSH SVN SixXS Squid Submission Syslog TFTP Telnet Telnets Time Trcrt VNC VNCL Web Webcache Webmin Whois`)
}
