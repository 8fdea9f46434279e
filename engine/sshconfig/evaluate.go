package sshconfig

import (
	"net/netip"
	"slices"
	"strings"
)

// Query names the host whose settings are wanted, and the users that criteria may test.
type Query struct {
	// Host is the name that the user gave: an alias, a host name or an address.
	Host string
	// User is the login user if it does not come from the configuration; LocalUser is the user on this machine.
	User, LocalUser string
}

// Setting is the value of a keyword and the line that sets it.
type Setting struct {
	Place
	// Args are the words of the value, and Text is the whole value with its quotes.
	Args []string
	Text string
}

// Value returns the first word, or "" if there is none.
func (s Setting) Value() string {
	if len(s.Args) == 0 {
		return ""
	}
	return s.Args[0]
}

// Set reports whether the keyword is set.
func (s Setting) Set() bool { return s.Line > 0 }

// Note is a block with a criterion that is not evaluated. Such a block applies to no host.
type Note struct {
	Place
	Criterion string
}

func (n Note) String() string {
	return n.Place.String() + ": hlplay does not evaluate " + n.Criterion + ": the block is skipped"
}

// Settings are the settings of one host.
type Settings struct {
	first map[string]Setting
	// keys and certificates collect all lines that apply, not only the first.
	keys, certificates []Setting
	// Notes are the blocks that were skipped although they might apply to the host.
	Notes []Note
}

// Get returns the setting of a keyword, whose case does not matter. The first line that applies wins.
func (s *Settings) Get(keyword string) Setting { return s.first[strings.ToLower(keyword)] }

// IdentityFiles returns the keys of all lines that apply.
func (s *Settings) IdentityFiles() []Setting { return s.keys }

// CertificateFiles returns the certificates of all lines that apply.
func (s *Settings) CertificateFiles() []Setting { return s.certificates }

// hostName returns the HostName set so far, or the name in the query.
func (s *Settings) hostName(q Query) (string, error) {
	set := s.first["hostname"]
	if !set.Set() {
		return q.Host, nil
	}
	return set.Expand(set.Value(), map[byte]string{'h': q.Host})
}

// For evaluates the configuration for a host. It also returns the name or address to connect to. A nil Config has no settings.
func (c *Config) For(q Query) (*Settings, string, error) {
	s := &Settings{first: map[string]Setting{}}
	if c == nil {
		return s, q.Host, nil
	}
	e := &evaluation{Query: q, Settings: s}
	if err := e.lines(c.lines, true, false); err != nil {
		return nil, "", err
	}
	name, err := s.hostName(q)
	if err != nil {
		return nil, "", err
	}
	if _, err := netip.ParseAddr(name); err != nil {
		name = strings.ToLower(name)
	}
	// If names are to be canonicalized, ssh reads the whole configuration a second time, even for an address, which has
	// no canonical name.
	canonicalize := strings.ToLower(s.first["canonicalizehostname"].Value())
	if e.again || canonicalize == "yes" || canonicalize == "true" || canonicalize == "always" {
		e.final = name
		if err := e.lines(c.lines, true, false); err != nil {
			return nil, "", err
		}
	}
	return s, name, nil
}

// evaluation is the state of evaluating a configuration for one host.
type evaluation struct {
	Query
	*Settings
	again bool   // a `Match final` requires a second pass
	final string // the host's name in the second pass
}

// lines applies lines to the host. If never is set, every block is skipped.
func (e *evaluation) lines(lines []line, active, never bool) error {
	was := active
	for _, l := range lines {
		switch l.keyword {
		case "": // the end of an included file
			active = was
		case "host":
			active = !never && e.host(l.args)
		case "match":
			holds, err := e.holds(l)
			if err != nil {
				return err
			}
			active = !never && holds
		case "include":
			if err := e.lines(l.included, active, never || !active); err != nil {
				return err
			}
		default:
			if err := e.known(l); err != nil {
				return err
			}
			if err := l.values(); err != nil {
				return err
			}
			if active {
				e.apply(l)
			}
		}
	}
	return nil
}

// host reports whether the patterns of a Host line match the host.
func (e *evaluation) host(patterns []string) bool {
	name := e.Host
	if e.final != "" {
		name = e.final
	}
	found := false
	for _, pattern := range patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !glob(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// apply applies a setting unless its keyword is already set.
func (e *evaluation) apply(l line) {
	s := Setting{l.Place, l.args, l.rest}
	switch l.keyword {
	case "identityfile", "certificatefile":
		all := &e.keys
		if l.keyword == "certificatefile" {
			all = &e.certificates
		}
		if !slices.ContainsFunc(*all, func(k Setting) bool { return k.Value() == s.Value() }) {
			*all = append(*all, s)
		}
		return
	case "proxycommand", "proxyjump":
		// Whichever of the two comes first wins, even if its value is "none".
		if e.first["proxycommand"].Set() || e.first["proxyjump"].Set() {
			return
		}
	}
	if _, known := e.first[l.keyword]; !known {
		e.first[l.keyword] = s
	}
}
