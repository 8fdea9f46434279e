package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"

	"hlplay/engine/pattern"
	"hlplay/engine/secret"
)

// decoder decodes attributes and collects diagnostics. Its methods return nil for an attribute that is null, which
// counts as not set, and for one that is wrong, which they report.
type decoder struct {
	diags   hcl.Diagnostics
	secrets *secret.Keyring
}

func (d *decoder) errorf(at hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at,
	})
}

func (d *decoder) warnf(at hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at,
	})
}

func (d *decoder) wrongType(attr *hclsyntax.Attribute, want string, got cty.Value) {
	d.errorf(attr.Expr.Range(), "Wrong type", "%s must be %s, not %s.", attr.Name, want, typeName(got.Type()))
}

func typeName(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType() || t.IsListType():
		return "a list"
	case t.IsObjectType() || t.IsMapType():
		return "an object"
	}
	return t.FriendlyName()
}

// attributes returns a body's attributes in source order.
func attributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	attrs := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, attr := range body.Attributes {
		attrs = append(attrs, attr)
	}
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int { return cmp.Compare(a.SrcRange.Start.Byte, b.SrcRange.Start.Byte) })
	return attrs
}

func (d *decoder) unknownAttribute(attr *hclsyntax.Attribute, where string, known []string) {
	d.errorf(attr.NameRange, "Unknown attribute", "%s has no attribute %q%s", where, attr.Name, suggestion(attr.Name, known))
}

func (d *decoder) unknownBlock(block *hclsyntax.Block, where string, known []string) {
	if len(known) == 0 {
		d.errorf(block.TypeRange, "Unknown block", "%s cannot contain blocks such as %q.", where, block.Type)
		return
	}
	d.errorf(block.TypeRange, "Unknown block", "%s has no block %q%s", where, block.Type, suggestion(block.Type, known))
}

// label returns the only label of a block, normalized as the strings in lists are. If the number of labels is not one, it reports
// that and returns false.
func (d *decoder) label(block *hclsyntax.Block, what string) (string, bool) {
	if len(block.Labels) != 1 {
		d.errorf(block.DefRange(), "Wrong number of names", "A %s block has one name: %s \"name\" { … }.", what, block.Type)
		return "", false
	}
	return cty.NormalizeString(block.Labels[0]), true
}

// value evaluates an attribute. It returns false if the attribute is null or wrong.
func (d *decoder) value(attr *hclsyntax.Attribute) (cty.Value, bool) {
	value, diags := attr.Expr.Value(nil)
	for _, diag := range diags {
		switch diag.Summary {
		case "Variables not allowed", "Function calls not allowed":
			diag.Detail = "An inventory contains plain values, without references or functions. Strings must be quoted: \"pve1\"."
		}
	}
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() || value.IsNull() || !value.IsWhollyKnown() {
		return cty.NilVal, false
	}
	return value, true
}

func (d *decoder) string(attr *hclsyntax.Attribute) *string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if value.Type() != cty.String {
		d.wrongType(attr, "a string", value)
		return nil
	}
	s := value.AsString()
	return &s
}

func (d *decoder) nonEmpty(attr *hclsyntax.Attribute) *string {
	s := d.string(attr)
	if s != nil && *s == "" {
		d.errorf(attr.Expr.Range(), "Empty value", "%s is empty; omit the attribute if it is not needed.", attr.Name)
		return nil
	}
	return s
}

func (d *decoder) bool(attr *hclsyntax.Attribute) *bool {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if value.Type() != cty.Bool {
		d.wrongType(attr, "true or false, without quotes", value)
		return nil
	}
	b := value.True()
	return &b
}

// strings decodes a list of non-empty strings.
func (d *decoder) strings(attr *hclsyntax.Attribute) *[]string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if !value.Type().IsTupleType() {
		d.wrongType(attr, "a list of strings, such as [\"a\", \"b\"]", value)
		return nil
	}
	list := make([]string, 0, value.LengthInt())
	for i, element := range value.AsValueSlice() {
		if element.IsNull() || element.Type() != cty.String || element.AsString() == "" {
			d.errorf(elementRange(attr.Expr, i), "Wrong type", "%s must be a list of non-empty strings.", attr.Name)
			return nil
		}
		list = append(list, element.AsString())
	}
	return &list
}

// elementRange returns the range of an element of a list, as precisely as the source allows.
func elementRange(expr hclsyntax.Expression, i int) hcl.Range {
	if tuple, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return expr.Range()
}

func (d *decoder) oneOf(attr *hclsyntax.Attribute, choices ...string) *string {
	s := d.string(attr)
	if s == nil {
		return nil
	}
	for _, choice := range choices {
		if *s == choice {
			return s
		}
	}
	d.errorf(attr.Expr.Range(), "Unknown value", "%s cannot be %q%s", attr.Name, *s, suggestion(*s, choices))
	return nil
}

func (d *decoder) port(attr *hclsyntax.Attribute) *int {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	var port int
	if value.Type() != cty.Number {
		d.wrongType(attr, "a number from 1 to 65535", value)
		return nil
	}
	if err := gocty.FromCtyValue(value, &port); err != nil || port < 1 || port > 65535 {
		d.errorf(attr.Expr.Range(), "Invalid port", "port must be a whole number from 1 to 65535.")
		return nil
	}
	return &port
}

// loginName matches user names, including those that other systems and directory services allow but useradd(8) refuses.
var loginName = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$`)

func (d *decoder) login(attr *hclsyntax.Attribute) *string {
	s := d.nonEmpty(attr)
	if s != nil && !loginName.MatchString(*s) {
		d.errorf(attr.Expr.Range(), "Invalid user", "%q is not a user name.", *s)
		return nil
	}
	return s
}

// hostLabel matches a label of a DNS name, with underscores as RFC 2181 permits.
var hostLabel = pattern.New(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func (d *decoder) address(attr *hclsyntax.Attribute) *string {
	s := d.nonEmpty(attr)
	if s == nil {
		return nil
	}
	if problem := addressProblem(*s); problem != "" {
		d.errorf(attr.Expr.Range(), "Invalid address", "%q is neither a host name nor an IP address: %s.", *s, problem)
		return nil
	}
	return s
}

// addressProblem returns what is wrong with an address, or "".
func addressProblem(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return fmt.Sprintf("omit the prefix length: %q", prefix.Addr())
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return "the port belongs in the attribute port"
	}
	if user, host, ok := strings.Cut(s, "@"); ok {
		return fmt.Sprintf("the user belongs in the attribute user: write user = %q, and %q here", user, host)
	}
	if len(s) > 253 {
		return "it is longer than 253 characters"
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if !hostLabel.MatchString(label) {
			return "the labels of a name consist of letters, digits and hyphens"
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "an IPv4 address consists of four numbers from 0 to 255"
	}
	return ""
}
