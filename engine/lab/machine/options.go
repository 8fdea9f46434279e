package machine

import (
	"slices"
	"strings"
)

// options is the parsed command line of a program.
type options struct {
	given []option // in order
	rest  []string
}

type option struct{ name, value string }

// has reports whether an option with one of the names was given.
func (o options) has(names ...string) bool {
	return slices.ContainsFunc(o.given, func(g option) bool { return slices.Contains(names, g.name) })
}

// value returns the last value given for one of the names, or "".
func (o options) value(names ...string) string {
	v := o.values(names...)
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// values returns all values given for the names, in order.
func (o options) values(names ...string) []string {
	var all []string
	for _, g := range o.given {
		if slices.Contains(names, g.name) {
			all = append(all, g.value)
		}
	}
	return all
}

// options parses the command line as getopt_long does. In short, a letter is followed by ":" if the option takes a
// value, and by "::" if the value is optional. Names in long end with "=" or ":" if the option takes a value, and with
// "?" if the value is optional. If short begins with "+", options end at the first operand. If an option is not listed,
// options prints that it is not simulated and returns false.
func (c *Call) options(short string, long ...string) (options, bool) {
	return c.parse(c.Argv[1:], short, long...)
}

func (c *Call) parse(args []string, short string, long ...string) (o options, ok bool) {
	inOrder := strings.HasPrefix(short, "+")
	short = strings.TrimPrefix(short, "+")
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			o.rest = append(o.rest, args...)
			return o, true
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			kind, known := longKind(long, name)
			switch {
			case !known, has && kind == 0:
				notSimulated(c, "--"+name)
				return o, false
			case kind == ':' && !has && len(args) == 0:
				c.Errorf("option '--%s' requires an argument", name)
				return o, false
			case kind == ':' && !has:
				value, args = args[0], args[1:]
			}
			o.given = append(o.given, option{name, value})
		case len(arg) > 1 && arg[0] == '-':
			for i := 1; i < len(arg); i++ {
				at := strings.IndexByte(short, arg[i])
				if at < 0 || arg[i] == ':' {
					notSimulated(c, "-"+arg[i:i+1])
					return o, false
				}
				name := arg[i : i+1]
				takes := strings.HasPrefix(short[at+1:], ":")
				may := strings.HasPrefix(short[at+1:], "::")
				if !takes {
					o.given = append(o.given, option{name, ""})
					continue
				}
				value := arg[i+1:]
				if value == "" && !may {
					if len(args) == 0 {
						c.Errorf("option requires an argument -- '%s'", name)
						return o, false
					}
					value, args = args[0], args[1:]
				}
				o.given = append(o.given, option{name, value})
				break
			}
		case inOrder:
			o.rest = append([]string{arg}, args...)
			return o, true
		default:
			o.rest = append(o.rest, arg)
		}
	}
	return o, true
}

// longKind looks up a long option: kind is ':' if it takes a value, '?' if the value is optional, and 0 otherwise.
func longKind(long []string, name string) (kind byte, known bool) {
	for _, l := range long {
		bare := strings.TrimRight(l, "=:?")
		if bare != name {
			continue
		}
		if bare == l {
			return 0, true
		}
		if l[len(l)-1] == '?' {
			return '?', true
		}
		return ':', true
	}
	return 0, false
}
