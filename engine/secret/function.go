package secret

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// The names of the functions that decrypt secrets. Their errors reveal nothing about a secret.
const (
	ValueFunction = "secret"
	FileFunction  = "secret_file"
)

// Functions returns the functions secret(text) and secret_file(path). Their results are marked as sensitive. A lenient
// Keyring returns an unknown value if no key opens the secret. read returns the content of the file passed to
// secret_file.
func (k *Keyring) Functions(read func(path string) ([]byte, error)) map[string]function.Function {
	return map[string]function.Function{
		ValueFunction: k.function("encrypted", func(text string) (string, []byte, error) { return "the secret", []byte(text), nil }),
		FileFunction: k.function("path", func(path string) (string, []byte, error) {
			content, err := read(path)
			return path, content, err
		}),
	}
}

func (k *Keyring) function(parameter string, sealed func(argument string) (what string, content []byte, err error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: parameter, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			what, content, err := sealed(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			return k.Value(what, content)
		},
	})
}

// Unopened returns a warning for each secret in a piece of HCL for which a lenient Keyring has no key. A nil Keyring
// returns none. Paths passed to secret_file are relative to dir.
func (k *Keyring) Unopened(node hclsyntax.Node, dir string, read func(path string) ([]byte, error)) hcl.Diagnostics {
	if k == nil || !k.options.Lenient {
		return nil
	}
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || len(call.Args) != 1 || call.Name != ValueFunction && call.Name != FileFunction {
			return nil
		}
		v, diags := call.Args[0].Value(nil)
		if diags.HasErrors() || v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
			return nil
		}
		content, what := []byte(v.AsString()), "The secret"
		if call.Name == FileFunction {
			path := v.AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			var err error
			if content, err = read(path); err != nil { // the call itself reports it
				return nil
			}
			what = path
		}
		var locked *LockedError
		if _, err := k.Open(content); !errors.As(err, &locked) {
			return nil
		}
		at := call.Range()
		return hcl.Diagnostics{{
			Severity: hcl.DiagWarning, Summary: "secret not opened",
			Detail:  fmt.Sprintf("%s is encrypted, and its value counts as unknown here: %s. A run needs it.", what, locked.Reason),
			Subject: &at,
		}}
	})
}
