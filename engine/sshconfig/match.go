package sshconfig

import (
	"slices"
	"strings"
)

// criterion is one criterion of a Match line.
type criterion struct {
	name, arg string
	negated   bool
}

// The criteria without an argument, those that are evaluated, and the others that ssh supports.
var (
	bare      = []string{"all", "canonical", "final"}
	evaluated = []string{"host", "originalhost", "user", "localuser", "tagged"}
	foreign   = []string{"exec", "localnetwork", "version", "sessiontype", "command"}
)

// criteria parses a Match line.
func criteria(l line) ([]criterion, error) {
	var all []criterion
	args := l.args
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var c criterion
		word, c.negated = strings.CutPrefix(word, "!")
		name, arg, given := strings.Cut(word, "=")
		c.name = strings.ToLower(name)
		if slices.Contains(bare, c.name) {
			all = append(all, c)
			continue
		}
		if !slices.Contains(evaluated, c.name) && !slices.Contains(foreign, c.name) {
			// A criterion of a newer ssh, whose arguments are not known.
			return append(all, c), nil
		}
		if !given || arg == "" {
			if len(args) > 0 && args[0] == "=" {
				args = args[1:]
			}
			if len(args) == 0 {
				return nil, l.Errorf("Match %s needs an argument: write Match %s PATTERN", name, name)
			}
			arg, args = strings.TrimPrefix(args[0], "="), args[1:]
		}
		c.arg = arg
		if c.arg == "" && c.name != "tagged" && c.name != "command" {
			return nil, l.Errorf("Match %s: the pattern is empty", name)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, l.Errorf("Match needs a criterion: write Match host PATTERN, or Match all")
	}
	if at := slices.IndexFunc(all, func(c criterion) bool { return c.name == "all" }); at >= 0 {
		if at != len(all)-1 || at > 1 { // ssh accepts one criterion before it, such as "final"
			return nil, l.Errorf("Match all cannot be combined with other criteria")
		}
	}
	return all, nil
}

// holds reports whether all criteria of a Match line hold. If one of them does not, the result is false, even if others
// cannot be evaluated.
func (e *evaluation) holds(l line) (bool, error) {
	host := e.final
	if host == "" {
		var err error
		if host, err = e.hostName(e.Query); err != nil {
			return false, err
		}
	}
	user := e.User
	if user == "" {
		if user = e.first["user"].Value(); user == "" {
			user = e.LocalUser
		}
	}
	holds, unknown := true, ""
	for _, c := range l.match {
		var is bool
		switch c.name {
		case "all":
			is = true
		case "canonical", "final":
			// Names are never canonicalized, so the only second pass is the final one.
			e.again = e.again || c.name == "final" && !c.negated
			is = e.final != ""
		case "host":
			is = list(strings.ToLower(c.arg), strings.ToLower(host))
		case "originalhost":
			is = list(strings.ToLower(c.arg), strings.ToLower(e.Host))
		case "user":
			is = list(c.arg, user)
		case "localuser":
			is = list(c.arg, e.LocalUser)
		case "tagged":
			tag := e.first["tag"].Value()
			is = tag == "" && c.arg == "" || tag != "" && list(c.arg, tag)
		default:
			if unknown == "" {
				unknown = "Match " + c.name
			}
			continue
		}
		if is == c.negated {
			holds = false
		}
	}
	if !holds || unknown == "" {
		return holds, nil
	}
	note := Note{l.Place, unknown}
	if !slices.Contains(e.Notes, note) {
		e.Notes = append(e.Notes, note)
	}
	return false, nil
}

// list reports whether a comma-separated list of patterns matches a text: at least one pattern matches, and none that
// is negated with "!".
func list(patterns, text string) bool {
	found := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !glob(pattern, text) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// glob reports whether a pattern matches the whole text: * matches any text, and ? any character.
func glob(pattern, text string) bool {
	star, from := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Matches reports whether a comma-separated list of patterns matches a host, ignoring case, as in Match host and in known_hosts.
func Matches(patterns, host string) bool {
	return list(strings.ToLower(patterns), strings.ToLower(host))
}
