package machine

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions compares Debian versions as dpkg does (Debian Policy 5.6.12).
func CompareVersions(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	return cmp.Or(cmp.Compare(ea, eb), compareParts(ua, ub), compareParts(ra, rb))
}

func splitVersion(v string) (epoch int, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		if n, err := strconv.Atoi(e); err == nil {
			epoch, v = n, rest
		}
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

func compareParts(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			ca, cb := order(a), order(b)
			if ca != cb {
				return cmp.Compare(ca, cb)
			}
			a, b = a[1:], b[1:]
		}
		na, restA := leadingNumber(a)
		nb, restB := leadingNumber(b)
		if c := cmp.Or(cmp.Compare(len(na), len(nb)), cmp.Compare(na, nb)); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// order returns the weight of the first character of a string: "~" sorts before the end, and letters before other
// characters.
func order(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

func leadingNumber(s string) (number, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

// relation is one alternative of a dependency: a package and a condition on its version.
type relation struct{ name, op, version string }

// parseDepends parses the alternatives of a dependency such as "a (>= 1) | b".
func parseDepends(text string) []relation {
	var all []relation
	for alternative := range strings.SplitSeq(text, "|") {
		name, constraint, _ := strings.Cut(strings.TrimSpace(alternative), "(")
		r := relation{name: strings.TrimSpace(name)}
		r.name, _, _ = strings.Cut(r.name, ":")
		if op, version, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(constraint), ")"), " "); ok {
			r.op, r.version = op, strings.TrimSpace(version)
		}
		all = append(all, r)
	}
	return all
}

func (r relation) allows(version string) bool { return compareBy(version, r.op, r.version) }

func compareBy(a, op, b string) bool {
	c := CompareVersions(a, b)
	switch op {
	case "":
		return true
	case ">=", "ge":
		return c >= 0
	case "<=", "le":
		return c <= 0
	case ">>", ">", "gt":
		return c > 0
	case "<<", "<", "lt":
		return c < 0
	case "=", "eq":
		return c == 0
	case "ne":
		return c != 0
	}
	return false
}
