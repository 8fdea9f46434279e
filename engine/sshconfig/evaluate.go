package sshconfig

import (
	"net/netip"
	"slices"
	"strings"
)

// Query is what is asked for: the settings of a host.
type Query struct {
	// Host is the name as it was given, an alias or an address.
	Host string
	// User is the login user if something beside the configuration names it, and LocalUser who asks.
	User, LocalUser string
}

// Setting is a value with the line that gives it.
type Setting struct {
	Place
	// Args are the words of the value; Text is all of it, with its quotes.
	Args []string
	Text string
}

// Value is the first word; empty if there is none.
func (s Setting) Value() string {
	if len(s.Args) == 0 {
		return ""
	}
	return s.Args[0]
}

// Set says whether there is such a setting at all.
func (s Setting) Set() bool { return s.Line > 0 }

// Note is a block that could not be judged, and which therefore concerns nobody.
type Note struct {
	Place
	Criterion string
}

func (n Note) String() string {
	return n.Place.String() + ": hlplay does not evaluate " + n.Criterion + ": the block concerns no host"
}

// Settings are those of one host.
type Settings struct {
	first map[string]Setting
	// keys and certificates are of all lines that apply.
	keys, certificates []Setting
	// Notes are the blocks that might concern the host, if they could be judged.
	Notes []Note
}

// Get returns the setting of a keyword, in whatever case; of several lines the first that applies counts.
func (s *Settings) Get(keyword string) Setting { return s.first[strings.ToLower(keyword)] }

// IdentityFiles are the keys of all lines that apply.
func (s *Settings) IdentityFiles() []Setting { return s.keys }

// CertificateFiles are the certificates of all lines that apply.
func (s *Settings) CertificateFiles() []Setting { return s.certificates }

// hostName is what HostName says so far, or the name asked for.
func (s *Settings) hostName(q Query) (string, error) {
	set := s.first["hostname"]
	if !set.Set() {
		return q.Host, nil
	}
	return set.Expand(set.Value(), map[byte]string{'h': q.Host})
}

// For evaluates the configuration for a host; a nil Config has no settings. Beside the settings it returns the name or
// address to connect to.
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
	if e.again {
		e.final = name
		if err := e.lines(c.lines, true, false); err != nil {
			return nil, "", err
		}
	}
	return s, name, nil
}

// evaluation is one under way.
type evaluation struct {
	Query
	*Settings
	again bool   // a `Match final` wants the whole to be read a second time
	final string // the host's name when it is
}

// lines applies lines to the host. With never, no block is entered.
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
			if active {
				e.apply(l)
			}
		}
	}
	return nil
}

// host says whether the patterns of a Host line name the host.
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

// apply takes a setting if there is none of its keyword yet.
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
		// Whichever comes first counts, and be it "none".
		if e.first["proxycommand"].Set() || e.first["proxyjump"].Set() {
			return
		}
	}
	if _, known := e.first[l.keyword]; !known {
		e.first[l.keyword] = s
	}
}
