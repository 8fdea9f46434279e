package inventory

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/engine/secret"
)

// withSecrets evaluates an attribute whose values may be encrypted. It returns false if the attribute is null or wrong.
func (d *decoder) withSecrets(attr *hclsyntax.Attribute) (cty.Value, bool) {
	dir := filepath.Dir(attr.SrcRange.Filename)
	read := func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return hclfile.Read(path)
	}
	value, diags := attr.Expr.Value(&hcl.EvalContext{Functions: d.secrets.Functions(read)})
	for _, diag := range diags {
		switch diag.Summary {
		case "Variables not allowed", "Call to unknown function":
			diag.Detail = "An inventory contains plain values, without references. The only functions are secret and secret_file, in vars. Strings must be quoted: \"pve1\"."
		}
		diag.Expression, diag.EvalContext = nil, nil // the source may contain a secret
	}
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() || value.IsNull() {
		return cty.NilVal, false
	}
	d.diags = append(d.diags, d.secrets.Unopened(attr.Expr, dir, read)...)
	return value, true
}

// masked returns the value to show, with marked parts replaced.
func masked(value cty.Value) cty.Value {
	switch {
	case !value.ContainsMarked():
		return value
	case value.IsMarked() || !value.CanIterateElements():
		return cty.StringVal("(sensitive)")
	}
	if ty := value.Type(); ty.IsObjectType() || ty.IsMapType() {
		all := map[string]cty.Value{}
		for name, element := range value.AsValueMap() {
			all[name] = masked(element)
		}
		return cty.ObjectVal(all)
	}
	var all []cty.Value
	for it := value.ElementIterator(); it.Next(); {
		_, element := it.Element()
		all = append(all, masked(element))
	}
	return cty.TupleVal(all)
}

// anchored returns the source of an expression with the paths of encrypted files made absolute, so that it can be written to a file in
// another directory. Relative paths are relative to dir.
func anchored(src []byte, dir string) []byte {
	expr, diags := hclsyntax.ParseExpression(src, "", hcl.InitialPos)
	dir, err := filepath.Abs(dir)
	if diags.HasErrors() || err != nil {
		return src
	}
	var out []byte
	done := 0
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != secret.FileFunction || len(call.Args) != 1 {
			return nil
		}
		path, diags := call.Args[0].Value(nil)
		if at := call.Args[0].Range(); !diags.HasErrors() && path.Type() == cty.String && !filepath.IsAbs(path.AsString()) {
			out = append(append(out, src[done:at.Start.Byte]...), hclwrite.TokensForValue(cty.StringVal(filepath.Join(dir, path.AsString()))).Bytes()...)
			done = at.End.Byte
		}
		return nil
	})
	return append(out, src[done:]...)
}

// setVars writes variables. One with a secret is copied from the source, in encrypted form.
func (inv *Inventory) setVars(body *hclwrite.Body, vars map[string]cty.Value, at map[string]hcl.Range) error {
	if !slices.ContainsFunc(slices.Collect(maps.Values(vars)), cty.Value.ContainsMarked) {
		body.SetAttributeValue("vars", cty.ObjectVal(vars))
		return nil
	}
	var all []hclwrite.ObjectAttrTokens
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		tokens := hclwrite.TokensForValue(masked(vars[name]))
		if vars[name].ContainsMarked() {
			place := at[name]
			file := inv.Files[place.Filename]
			if file == nil || place.Empty() {
				return fmt.Errorf("writing the inventory: the source of the secret variable %q is not known", name)
			}
			tokens = hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: anchored(place.SliceBytes(file.Bytes), filepath.Dir(place.Filename))}}
		}
		key := hclwrite.TokensForValue(cty.StringVal(name))
		if hclsyntax.ValidIdentifier(name) {
			key = hclwrite.TokensForIdentifier(name)
		}
		all = append(all, hclwrite.ObjectAttrTokens{Name: key, Value: tokens})
	}
	body.SetAttributeRaw("vars", hclwrite.TokensForObject(all))
	return nil
}
