package inventory

import (
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// settings are the settings of a host block, a group block, or `defaults`. A nil field is not set.
type settings struct {
	address, sshAddress *string
	port                *int
	user                *string
	keys                *[]string
	knownHosts          *string
	forwards            map[int]string
	connection          *string
	become              *bool
	becomeUser          *string
	vars                map[string]cty.Value
	varsAt              map[string]hcl.Range // the position of each
	rehearsal           rehearsalSettings
}

// settingNames are the names of the settings, in the order in which messages list them.
var settingNames = []string{
	"address", "ssh_address", "port", "user", "keys", "known_hosts", "forwards", "connection", "become", "become_user", "vars",
}

// groupNames are the attributes of a group.
var groupNames = append([]string{"hosts", "children"}, settingNames...)

// Allowed returns the names of the attributes and blocks that a block of an inventory may contain, given its type and
// those of the blocks around it, outermost first. Without any, it is about the file itself.
func Allowed(within ...string) (attributes, blocks []string) {
	if len(within) == 0 {
		return nil, blockNames
	}
	switch within[len(within)-1] {
	case "defaults", "host":
		return settingNames, []string{"rehearsal"}
	case "group":
		return groupNames, []string{"host", "host_variable", "rehearsal"}
	}
	return nil, nil
}

// set decodes one attribute. It returns false if no setting has that name.
func (s *settings) set(d *decoder, attr *hclsyntax.Attribute) bool {
	switch attr.Name {
	case "address":
		s.address = d.address(attr)
	case "ssh_address":
		s.sshAddress = d.address(attr)
	case "port":
		s.port = d.port(attr)
	case "user":
		s.user = d.login(attr)
	case "keys":
		if keys := d.strings(attr); keys != nil {
			for i, key := range *keys {
				(*keys)[i] = expandPath(key, attr.SrcRange.Filename)
			}
			s.keys = keys
		}
	case "known_hosts":
		if path := d.nonEmpty(attr); path != nil {
			expanded := expandPath(*path, attr.SrcRange.Filename)
			s.knownHosts = &expanded
		}
	case "forwards":
		s.forwards = d.forwards(attr)
	case "connection":
		s.connection = d.oneOf(attr, "ssh", "local")
	case "become":
		s.become = d.bool(attr)
	case "become_user":
		s.becomeUser = d.login(attr)
	case "vars":
		s.vars = d.vars(attr)
		s.varsAt = varRanges(attr)
	default:
		return false
	}
	return true
}

// apply overrides the settings of a host.
func (s *settings) apply(h *Host) {
	set(&h.Address, s.address)
	set(&h.SSHAddress, s.sshAddress)
	set(&h.Port, s.port)
	set(&h.User, s.user)
	if s.keys != nil {
		h.Keys = append([]string(nil), *s.keys...)
	}
	set(&h.KnownHosts, s.knownHosts)
	if s.forwards != nil {
		h.Forwards = maps.Clone(s.forwards)
	}
	set(&h.Connection, s.connection)
	if s.become != nil {
		h.Become, h.BecomeGiven = *s.become, true
	}
	set(&h.BecomeUser, s.becomeUser)
	for name, value := range s.vars {
		h.Vars[name] = value
		h.varsAt[name] = s.varsAt[name]
	}
	s.rehearsal.apply(&h.Rehearsal)
}

func set[T any](target *T, value *T) {
	if value != nil {
		*target = *value
	}
}

// expandPath returns an absolute path. It replaces "~/" with the home directory, and resolves a relative path against
// the directory of the inventory file, so that the working directory does not matter.
func expandPath(path, inventoryFile string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return path
		}
		return filepath.Join(home, path[1:])
	}
	if filepath.IsAbs(path) {
		return path
	}
	joined := filepath.Join(filepath.Dir(inventoryFile), path)
	if absolute, err := filepath.Abs(joined); err == nil {
		return absolute
	}
	return joined
}

// vars decodes an object of variables.
func (d *decoder) vars(attr *hclsyntax.Attribute) map[string]cty.Value {
	value, ok := d.withSecrets(attr)
	if !ok {
		return nil
	}
	if !value.Type().IsObjectType() {
		d.wrongType(attr, "an object of variables, such as { name = \"value\" }", value)
		return nil
	}
	value, marks := value.Unmark()
	vars := value.AsValueMap()
	for name, v := range vars {
		vars[name] = v.WithMarks(marks)
	}
	for name, v := range vars {
		if problem := unprintable(v); problem != "" {
			d.errorf(attr.Expr.Range(), "Unusable variable", "The variable %q contains %s.", name, problem)
			delete(vars, name)
		}
	}
	return vars
}

// varRanges returns the positions of the variables in an object.
func varRanges(attr *hclsyntax.Attribute) map[string]hcl.Range {
	ranges := map[string]hcl.Range{}
	object, ok := attr.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return ranges
	}
	for _, item := range object.Items {
		if key, diags := item.KeyExpr.Value(nil); !diags.HasErrors() && key.Type() == cty.String && !key.IsNull() {
			ranges[key.AsString()] = item.ValueExpr.Range()
		}
	}
	return ranges
}

// unprintable describes a number in a value that has too many digits to be written out.
func unprintable(value cty.Value) string {
	var problem string
	_ = cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) {
		if v, _ = v.Unmark(); v.Type() != cty.Number || v.IsNull() || !v.IsKnown() {
			return true, nil
		}
		if f := v.AsBigFloat(); f.IsInf() || f.MantExp(nil) > 1024 || f.MantExp(nil) < -1074 {
			// The number is not shown: formatting it could take minutes.
			problem = "a number that is out of range; the largest is about 1.8e308"
		}
		return true, nil
	})
	return problem
}
