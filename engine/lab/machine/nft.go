package machine

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// nftTable is a table of nftables. It is never changed, only replaced.
type nftTable struct {
	family, name, comment string
	chains                []nftChain
}

// nftChain is a chain of a table. hook is empty for a chain that is not attached to one.
type nftChain struct {
	name, kind, hook, priority, policy string
	rules                              []string
}

// nftKey is the key of a machine's tables, in the order of their creation.
type nftKey struct{}

func (m *Machine) nftTables() []nftTable {
	all, _ := m.Value(nftKey{}).([]nftTable)
	return all
}

// controller returns the source address of connections from outside the lab: the router's.
func (m *Machine) controller() netip.Addr {
	a := gateway(m.addresses[0])
	if a == m.addresses[0].Addr() {
		a = a.Next()
	}
	return a
}

// sourceTo returns the source address of the machine's packets to another address.
func (m *Machine) sourceTo(to netip.Addr) netip.Addr {
	var from netip.Addr
	for _, i := range m.interfaces() {
		for _, a := range i.Addrs {
			p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", a.Local, a.Prefix))
			switch {
			case err != nil || p.Addr().IsLoopback() || p.Addr().Is4() != to.Is4():
			case p.Contains(to):
				return p.Addr()
			case !from.IsValid():
				from = p.Addr()
			}
		}
	}
	return from
}

// Filter adds another packet filter than nftables: it reports whether a new TCP connection is let in.
func (m *Machine) Filter(admits func(from netip.Addr, port int) bool) {
	m.filters = append(m.filters, admits)
}

// admits reports whether nftables and the other filters let a new TCP connection in. What the simulated daemons of a cluster say to
// each other does not pass here.
func (m *Machine) admits(from netip.Addr, port int) bool {
	for _, admits := range m.filters {
		if !from.IsLoopback() && !admits(from, port) {
			return false
		}
	}
	for _, t := range m.nftTables() {
		for _, c := range t.chains {
			if c.hook == "input" && (t.family == "inet" || t.family == family(from)) && !c.accepts(from, port) {
				return false
			}
		}
	}
	return true
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

func (c nftChain) accepts(from netip.Addr, port int) bool {
	for _, text := range c.rules {
		if rule, _ := parseNFTRule(text); rule.matches(from, port) {
			return rule.verdict == "accept"
		}
	}
	return c.policy != "drop"
}

// nftRule is a rule as it applies to a new TCP connection.
type nftRule struct {
	states      []string
	loopback    bool
	protocol    string
	from        netip.Prefix
	first, last int
	verdict     string
}

func (r nftRule) matches(from netip.Addr, port int) bool {
	return (r.states == nil || slices.Contains(r.states, "new")) && (!r.loopback || from.IsLoopback()) && (r.protocol == "" || r.protocol == "tcp") &&
		(!r.from.IsValid() || r.from.Contains(from)) && (r.last == 0 || r.first <= port && port <= r.last)
}

// parseNFTRule parses a rule. unknown is the first word that is not simulated, or "".
func parseNFTRule(text string) (r nftRule, unknown string) {
	text, _, _ = strings.Cut(text, ` comment "`)
	words := strings.Fields(text)
	for len(words) > 0 {
		word, value := words[0], ""
		if len(words) > 1 {
			value = words[1]
		}
		taken := 2
		switch {
		case (word == "accept" || word == "drop") && len(words) == 1:
			r.verdict, taken = word, 1
		case word == "ct" && value == "state" && len(words) > 2:
			r.states, taken = strings.Split(words[2], ","), 3
		case (word == "iif" || word == "iifname") && value == `"lo"`:
			r.loopback = true
		case word == "meta" && value == "l4proto" && len(words) > 2:
			r.protocol, taken = words[2], 3
		case (word == "ip" || word == "ip6") && value == "saddr" && len(words) > 2:
			p, err := netip.ParsePrefix(words[2])
			if a, single := netip.ParseAddr(words[2]); single == nil {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				return r, words[2]
			}
			r.from, taken = p, 3
		case (word == "tcp" || word == "udp") && value == "dport" && len(words) > 2:
			first, last, isRange := strings.Cut(words[2], "-")
			if !isRange {
				last = first
			}
			var err, err2 error
			r.first, err = strconv.Atoi(first)
			r.last, err2 = strconv.Atoi(last)
			if err != nil || err2 != nil {
				return r, words[2]
			}
			r.protocol, taken = word, 3
		default:
			return r, word
		}
		words = words[taken:]
	}
	if r.verdict == "" {
		return r, "a rule without a verdict"
	}
	return r, ""
}

// nftProtocols are the protocols of /etc/protocols that a rule may name.
var nftProtocols = map[string]string{"1": "icmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp"}

// protocolsNamed returns a rule with the names of protocols instead of their numbers, protocolsNumbered the reverse.
func protocolsNamed(rule string) string {
	for number, name := range nftProtocols {
		rule = strings.Replace(rule, "meta l4proto "+number+" ", "meta l4proto "+name+" ", 1)
	}
	return rule
}

func protocolsNumbered(rule string) string {
	for number, name := range nftProtocols {
		rule = strings.Replace(rule, "meta l4proto "+name+" ", "meta l4proto "+number+" ", 1)
	}
	return rule
}

// list prints the table as nft does, with numbers or names for protocols.
func (t nftTable) list(numeric bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", t.family, t.name)
	if t.comment != "" {
		fmt.Fprintf(&b, "\tcomment %s\n", t.comment)
	}
	for i, c := range t.chains {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\tchain %s {\n", c.name)
		if c.hook != "" {
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %s; policy %s;\n", c.kind, c.hook, c.priority, c.policy)
		}
		for _, rule := range c.rules {
			if numeric {
				rule = protocolsNumbered(rule)
			}
			fmt.Fprintf(&b, "\t\t%s\n", rule)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// nftError is an error as nft prints it, with its location.
type nftError struct{ at, text string }

func (e *nftError) Error() string { return e.at + ": Error: " + e.text }

// nftUnknown is a word that is not simulated.
type nftUnknown string

func (e nftUnknown) Error() string { return string(e) }

// nft implements nft(8) for tables that filter packets to the machine by source and port. A script takes effect as a
// whole or not at all.
func nft(_ context.Context, c *Call) int {
	o, ok := c.options("cf:snp", "check", "file=", "stateless", "numeric", "numeric-protocol")
	if !ok {
		return 1
	}
	if c.User != "root" {
		fmt.Fprintln(c.Stderr, "Operation not permitted (you must be root)")
		return 1
	}
	text, at := strings.Join(o.rest, " "), "<cmdline>"
	if file := o.value("f", "file"); file != "" {
		at = file
		if file == "-" {
			at = "/dev/stdin"
		}
		from, err := c.input(file)
		if err != nil {
			fmt.Fprintf(c.Stderr, "internal:0:0-0: Error: Could not open file \"%s\": %s\n\n", file, errText(err))
			return 1
		}
		defer from.Close()
		content, err := io.ReadAll(from)
		if err != nil {
			fmt.Fprintf(c.Stderr, "internal:0:0-0: Error: Could not open file \"%s\": %s\n\n", file, errText(err))
			return 1
		}
		text = string(content)
	} else if len(o.rest) == 0 {
		return notSimulated(c, "a call without a command")
	} else if words := strings.Fields(text); len(words) > 1 && words[0] == "list" {
		return c.nftList(words[1:], o.has("p", "numeric-protocol"))
	}
	s := nftScript{c: c, tables: slices.Clone(c.Machine.nftTables())}
	err := s.run(text, at)
	switch unknown, ok := err.(nftUnknown); {
	case ok:
		return notSimulated(c, string(unknown))
	case err != nil:
		fmt.Fprintln(c.Stderr, err)
		return 1
	case !o.has("c", "check"):
		c.Machine.SetValue(nftKey{}, s.tables)
	}
	return 0
}

func (c *Call) nftList(words []string, numeric bool) int {
	all := c.Machine.nftTables()
	switch {
	case len(words) == 1 && words[0] == "ruleset":
		for _, t := range all {
			c.printf("%s", t.list(numeric))
		}
	case words[0] == "tables" && len(words) <= 2:
		for _, t := range all {
			if len(words) == 1 || words[1] == t.family {
				c.printf("table %s %s\n", t.family, t.name)
			}
		}
	case words[0] == "table" && len(words) == 3:
		at := slices.IndexFunc(all, func(t nftTable) bool { return t.family == words[1] && t.name == words[2] })
		if at < 0 {
			fmt.Fprintf(c.Stderr, "Error: No such file or directory\nlist table %s %s\n", words[1], words[2])
			return 1
		}
		c.printf("%s", all[at].list(numeric))
	default:
		return notSimulated(c, "list "+strings.Join(words, " "))
	}
	return 0
}

// nftScript is the state of the tables while a script is being read.
type nftScript struct {
	c      *Call
	tables []nftTable
	depth  int // depth of nested includes
}

// run executes statements, which end with a line or a semicolon.
func (s *nftScript) run(text, at string) error {
	var table *nftTable
	var chain *nftChain
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		here := fmt.Sprintf("%s:%d", at, i+1)
		for _, statement := range nftStatements(line) {
			words := strings.Fields(statement)
			opens := words[len(words)-1] == "{"
			switch {
			case statement == "}" && chain != nil:
				s.add(table, *chain)
				chain = nil
			case statement == "}" && table != nil:
				table = nil
			case chain != nil && words[0] == "type" && len(words) == 6 && words[2] == "hook" && words[4] == "priority":
				chain.kind, chain.hook, chain.priority, chain.policy = words[1], words[3], words[5], "accept"
				if chain.priority == "0" {
					chain.priority = "filter"
				}
			case chain != nil && words[0] == "policy" && len(words) == 2:
				chain.policy = words[1]
			case chain != nil:
				if _, unknown := parseNFTRule(statement); unknown != "" {
					return nftUnknown("the rule " + statement)
				}
				chain.rules = append(chain.rules, protocolsNamed(strings.Join(words, " ")))
			case table != nil && words[0] == "comment":
				table.comment = strings.TrimSpace(strings.TrimPrefix(statement, "comment"))
			case table != nil && words[0] == "chain" && len(words) == 3 && opens:
				chain = &nftChain{name: words[1]}
			case table != nil:
				return nftUnknown(statement)
			case statement == "flush ruleset":
				s.tables = nil
			case words[0] == "include" && len(words) == 2:
				if err := s.include(strings.Trim(words[1], `"'`), here); err != nil {
					return err
				}
			case words[0] == "delete" && len(words) == 4 && words[1] == "table":
				found := s.find(words[2], words[3])
				if found < 0 {
					return &nftError{here, "Could not process rule: No such file or directory"}
				}
				s.tables = slices.Delete(s.tables, found, found+1)
			case words[0] == "table" && (len(words) == 3 || len(words) == 4 && opens), words[0] == "add" && len(words) == 4 && words[1] == "table":
				family, name := words[1], words[2]
				if words[0] == "add" {
					family, name = words[2], words[3]
				}
				found := s.find(family, name)
				if found < 0 {
					found = len(s.tables)
					s.tables = append(s.tables, nftTable{family: family, name: name})
				}
				if opens {
					table = &s.tables[found]
				}
			default:
				return &nftError{here, "syntax error, unexpected " + words[0]}
			}
		}
	}
	if table != nil {
		return &nftError{at, "syntax error, unexpected end of file"}
	}
	return nil
}

// nftStatements splits a line at semicolons and braces outside of quotes. An opening brace ends its statement.
func nftStatements(line string) []string {
	var all []string
	quoted, begin := false, 0
	cut := func(end int) {
		if part := strings.TrimSpace(line[begin:end]); part != "" {
			all = append(all, part)
		}
	}
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == ';':
			cut(i)
			begin = i + 1
		case r == '{':
			cut(i + 1)
			begin = i + 1
		case r == '}':
			cut(i)
			all = append(all, "}")
			begin = i + 1
		}
	}
	cut(len(line))
	return all
}

func (s *nftScript) find(family, name string) int {
	return slices.IndexFunc(s.tables, func(t nftTable) bool { return t.family == family && t.name == name })
}

// add adds a chain to a table, or the chain's rules to an existing chain of that name.
func (s *nftScript) add(table *nftTable, chain nftChain) {
	table.chains = slices.Clone(table.chains)
	for i := range table.chains {
		if table.chains[i].name == chain.name {
			table.chains[i].rules = append(slices.Clone(table.chains[i].rules), chain.rules...)
			return
		}
	}
	table.chains = append(table.chains, chain)
}

func (s *nftScript) include(pattern, here string) error {
	if !path.IsAbs(pattern) {
		pattern = path.Join("/etc", pattern)
	}
	files, err := afero.Glob(s.c.view(), pattern)
	if err != nil || len(files) == 0 && !strings.ContainsAny(pattern, "*?[") {
		return &nftError{here, fmt.Sprintf("File not found: %s", pattern)}
	}
	if s.depth++; s.depth > 16 {
		return &nftError{here, "Include nested too deeply, max 16 levels"}
	}
	defer func() { s.depth-- }()
	for _, file := range files {
		content, err := afero.ReadFile(s.c.view(), file)
		if err != nil {
			return &nftError{here, fmt.Sprintf("Could not open file \"%s\": %s", file, errText(err))}
		}
		if err := s.run(string(content), file); err != nil {
			return err
		}
	}
	return nil
}

// nftables returns the package of nft(8), which is part of a default Debian installation.
func nftables(version string) Package {
	load := func(m *Machine) error {
		var said strings.Builder
		if code := m.Console(context.Background(), &said, &said, "nft", "-f", "/etc/nftables.conf"); code != 0 {
			return saying("%s", strings.TrimSpace(said.String()))
		}
		return nil
	}
	return Package{Name: "nftables", Version: version, Programs: map[string]Program{"/usr/sbin/nft": nft, "nft": nft},
		Conffiles: map[string]string{"/etc/nftables.conf": `#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
	chain forward {
		type filter hook forward priority filter;
	}
	chain output {
		type filter hook output priority filter;
	}
}
`},
		Units: []Unit{{Name: "nftables", Exits: true, Start: load, Reload: func(m *Machine) { _ = load(m) }, // a script that fails changes nothing
			Stop: func(m *Machine) { m.SetValue(nftKey{}, nil) }}}}
}
