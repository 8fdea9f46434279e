package nebula

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"
)

// rule is a rule of the firewall within the network.
type rule struct {
	Protocol string   `hcl:"protocol,optional" cty:"protocol" default:"any" enum:"any,tcp,udp,icmp" doc:"The protocol."`
	Port     string   `hcl:"port,optional" cty:"port" default:"any" doc:"A port, a range such as 6800-7568, or any."`
	Hosts    []string `hcl:"hosts,optional" cty:"hosts" doc:"Only these hosts."`
	Groups   []string `hcl:"groups,optional" cty:"groups" doc:"Only hosts that are in all of these groups."`
}

// rules returns the rules of both arguments: the blocks, and the list of objects.
func (m *nebula) rules() ([]rule, error) {
	all := m.Allow
	if m.Rules == cty.NilVal || m.Rules.IsNull() {
		return all, nil
	}
	const want = "expected a list of objects with protocol, port, hosts and groups, each of which may be left out"
	if !m.Rules.CanIterateElements() || m.Rules.Type().IsMapType() || m.Rules.Type().IsObjectType() {
		return nil, bad("rules", want, "is not a list")
	}
	names := cty.List(cty.String)
	form := cty.ObjectWithOptionalAttrs(map[string]cty.Type{"protocol": cty.String, "port": cty.String, "hosts": names, "groups": names}, []string{"protocol", "port", "hosts", "groups"})
	for _, element := range m.Rules.AsValueSlice() {
		// Conversion ignores unknown attributes, and a rule that loses its condition would admit everybody.
		if t := element.Type(); (t.IsObjectType() || t.IsMapType()) && !element.IsNull() {
			for _, name := range slices.Sorted(maps.Keys(element.AsValueMap())) {
				if !form.HasAttribute(name) {
					return nil, bad("rules", want, "a rule has no %q", name)
				}
			}
		}
		value, err := convert.Convert(element, form)
		if err != nil || value.IsNull() {
			return nil, bad("rules", want, "an element is not such an object")
		}
		set := value.AsValueMap()
		for _, name := range []string{"protocol", "port"} {
			if set[name].IsNull() {
				set[name] = cty.StringVal("any")
			}
		}
		r := rule{}
		if err := gocty.FromCtyValue(cty.ObjectVal(set), &r); err != nil {
			return nil, bad("rules", want, "%v", err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (m *nebula) checkRules() error {
	for _, group := range m.Groups {
		if !wordForm.MatchString(group) {
			return bad("groups", "expected letters, digits, dots and hyphens", "%q is not the name of a group", group)
		}
	}
	for _, print := range m.Blocklist {
		if !fingerprintForm.MatchString(print) {
			return bad("blocklist", "expected 64 hexadecimal digits in lower case, as nebula-cert print shows them", "%q is not a fingerprint", print)
		}
	}
	all, err := m.rules()
	if err != nil {
		return err
	}
	for i, r := range all {
		within := "allow"
		if i >= len(m.Allow) {
			within = "rules"
		}
		if err := m.checkRule(r, within); err != nil {
			return err
		}
	}
	return nil
}

func (m *nebula) checkRule(r rule, within string) error {
	at := func(argument string) string {
		if within == "rules" {
			return within
		}
		return within + "." + argument
	}
	switch r.Protocol {
	case "any", "tcp", "udp", "icmp":
	default:
		return bad(at("protocol"), "expected any, tcp, udp or icmp", "%q is not a protocol", r.Protocol)
	}
	if !isPort(r.Port) {
		return bad(at("port"), "expected a port, a range such as 6800-7568, or any", "%q is none", r.Port)
	}
	if r.Protocol == "icmp" && r.Port != "any" {
		return bad(at("port"), "expected none", "icmp has no ports")
	}
	for argument, names := range map[string][]string{"hosts": r.Hosts, "groups": r.Groups} {
		if names != nil && len(names) == 0 { // an empty list is usually computed by mistake, and would admit everybody
			return bad(at(argument), "expected at least one; leave it out to name all hosts", "is empty")
		}
	}
	if len(r.Hosts) > 0 && len(r.Groups) > 0 {
		return bad(at("groups"), "expected one of them, or two rules", "a rule names both hosts and groups")
	}
	for _, name := range r.Hosts {
		if _, ok := m.Addresses[name]; !ok {
			return bad(at("hosts"), "expected only hosts of the network", "%s is not in addresses", name)
		}
	}
	for _, group := range r.Groups {
		if !wordForm.MatchString(group) {
			return bad(at("groups"), "expected letters, digits, dots and hyphens", "%q is not the name of a group", group)
		}
	}
	return nil
}

// isPort reports whether a text is a port, a range of ports, or any.
func isPort(text string) bool {
	if text == "any" {
		return true
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	return err1 == nil && err2 == nil && 0 < from && from <= to
}
