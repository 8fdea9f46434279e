package lang

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/hclfile"
	"hlplay/engine/secret"
	"hlplay/engine/suggest"
	"hlplay/engine/vault"
)

// given is the value of a variable and the place where it was given.
type given struct {
	value cty.Value
	at    hcl.Range
	// environment is set if the value comes from the environment.
	environment bool
}

// givenValues returns the converted values that the environment, files and the command line give to variables.
func (l *loader) givenValues() map[string]given {
	all := make(map[string]given)
	l.environmentValues(all)
	for _, path := range l.options.ValueFiles {
		for _, value := range l.valueFile(filepath.Clean(path)) {
			if l.options.IgnoreUndeclared && l.foreignValue(value) {
				continue
			}
			v, ok := l.declared(value.name, value.at)
			if !ok {
				continue
			}
			all[v.Name] = given{value: l.convertVariable(v, value.value, value.at, "the value in "+path), at: value.at}
		}
	}
	l.inlineValues(all)
	for _, name := range sortedKeys(l.options.Values) {
		at := commandLine(name)
		v, ok := l.declared(name, at)
		if !ok {
			continue
		}
		all[name] = given{value: l.textValue(v, l.options.Values[name], "-e "+name), at: v.Range}
	}
	return all
}

// constant returns the value of an expression that uses neither variables nor functions.
func constant(expr hclsyntax.Expression) (cty.Value, hcl.Diagnostics) { return measuredWith(expr, nil) }

func measuredWith(expr hclsyntax.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	meter(expr)
	v, diags, _ := measured(expr, ctx, nil)
	return v, diags
}

// opening returns the context with the functions that a file of values may call.
func (l *loader) opening(file string) *hcl.EvalContext {
	from := caller{dir: filepath.Dir(file)}
	functions := l.options.Secrets.Functions(func(name string) ([]byte, error) {
		return l.files.encrypted(from.path(name))
	})
	functions["file"] = textFunction(cty.String, func(a []string) (cty.Value, error) {
		text, err := l.files.text(from.path(a[0]))
		return cty.StringVal(text), err
	}, "path")
	return &hcl.EvalContext{Functions: functions}
}

// notConstant reports a value that cannot be evaluated, without showing any of it.
func notConstant(attr *hclsyntax.Attribute, why *hcl.Diagnostic) *hcl.Diagnostic {
	if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](why); ok && (opens(extra.CalledFunctionName()) || extra.CalledFunctionName() == "file") {
		return fault(attr.NameRange, fmt.Sprintf("the value of %q cannot be read", attr.Name), why.Detail)
	}
	return fault(attr.NameRange, fmt.Sprintf("the value of %q is not constant", attr.Name),
		"A file of values cannot use variables, and of the functions only file, secret and secret_file: write the value itself, with text in quotes.")
}

// commandLine returns a range for something that is not in a file.
func commandLine(name string) hcl.Range {
	return hcl.Range{Filename: "-e " + name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// foreignValue reports whether a value is for a variable that the playbook does not declare. It warns if the name may be a
// misspelt one.
func (l *loader) foreignValue(value fileValue) bool {
	if _, ok := l.space.variables[value.name]; ok {
		return false
	}
	if near := suggest.Nearest(value.name, sortedKeys(l.space.variables)); near != "" {
		d := fault(value.at, fmt.Sprintf("there is no variable %q", value.name), fmt.Sprintf("It is ignored because of --ignore-undeclared. Did you mean %q?", near))
		d.Severity = hcl.DiagWarning
		l.report(d)
	}
	return true
}

func (l *loader) declared(name string, at hcl.Range) (*Variable, bool) {
	v, ok := l.space.variables[name]
	if !ok {
		detail := "A value is given for it, but the playbook declares no such variable." + didYouMean(name, sortedKeys(l.space.variables))
		if name == "true" || name == "false" {
			detail += " (In YAML the words y, n, yes, no, on and off mean true and false unless they are quoted.)"
		}
		if slices.Contains(l.options.ValueFiles, at.Filename) {
			detail += " Use --ignore-undeclared for a file that several playbooks share."
		}
		l.report(fault(at, fmt.Sprintf("there is no variable %q", name), detail))
	}
	return v, ok
}

// example returns a sample value of a type, as written on a command line.
func example(ty cty.Type) string {
	switch {
	case ty.IsListType() || ty.IsSetType() || ty.IsTupleType():
		return `'["a", "b"]'`
	default:
		return `'{ name = "value" }'`
	}
}

// fileValue is one value in a file of values.
type fileValue struct {
	name  string
	value cty.Value
	at    hcl.Range
}

func (l *loader) valueFile(path string) []fileValue {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return l.dataFile(path, "JSON", func(src []byte) (cty.Value, error) {
			ty, err := ctyjson.ImpliedType(src)
			if err != nil {
				return cty.NilVal, err
			}
			return ctyjson.Unmarshal(src, ty)
		})
	case ".yaml", ".yml":
		return l.dataFile(path, "YAML", func(src []byte) (cty.Value, error) {
			src = vault.Untag(src)
			if err := fewAliases(src); err != nil {
				return cty.NilVal, err
			}
			ty, err := yaml.Standard.ImpliedType(src)
			if err != nil {
				return cty.NilVal, err
			}
			return yaml.Standard.Unmarshal(src, ty)
		})
	}
	body, secrets, ok := l.values(path)
	if !ok {
		return nil
	}
	for _, block := range body.Blocks {
		l.report(fault(block.TypeRange, "unexpected block", "A file of values has only lines of the form name = value."))
	}
	var all []fileValue
	for _, attr := range attributes(body) {
		value, diags := measuredWith(attr.Expr, l.opening(path))
		if diags.HasErrors() {
			l.report(notConstant(attr, diags[0]))
			value = cty.DynamicVal
		}
		l.report(l.options.Secrets.Unopened(attr.Expr, filepath.Dir(path), l.read)...)
		if secrets {
			value = value.Mark(Sensitive)
		}
		all = append(all, fileValue{attr.Name, value, attr.NameRange})
	}
	return all
}

// values parses a file of values in HCL. Its diagnostics quote nothing from the file.
func (l *loader) values(path string) (body *hclsyntax.Body, secrets, ok bool) {
	src, secrets, ok := l.readValues(path)
	if !ok {
		return nil, false, false
	}
	file, diags := hclfile.Parse(src, path)
	for _, d := range diags {
		l.report(fault(*d.Subject, d.Summary, withheld))
	}
	body, ok = file.Body.(*hclsyntax.Body)
	return body, secrets, ok && !diags.HasErrors()
}

// readValues reads a file of values. None of its lines is ever shown, because any of them may contain a secret,
// whatever the variable's declaration says. If the file is encrypted, all of its values are secrets.
func (l *loader) readValues(path string) (src []byte, secrets, ok bool) {
	src, ok = l.readFile(path, nil)
	if !ok {
		return nil, false, false
	}
	l.playbook.Files[path] = &hcl.File{}
	if !secret.IsFile(src) {
		return src, false, true
	}
	src, err := l.options.Secrets.Open(src)
	if err == nil {
		return src, true, true
	}
	d := fault(hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}, fmt.Sprintf("%s cannot be opened", path), sentence(err.Error()))
	if locked := (*secret.LockedError)(nil); errors.As(err, &locked) && l.options.Secrets.Lenient() {
		d.Severity = hcl.DiagWarning
		l.locked = true
	}
	l.report(d)
	return nil, true, false
}

// mostAliases limits the aliases in a YAML file, because aliases of aliases multiply. With so few of them, their
// expansion stays small.
const mostAliases = 20

var yamlAlias = regexp.MustCompile(`(?m)(^|[\s\[{,:-])\*[^\s,\]}]`)

// deepestData is the maximum nesting of brackets in a file of values, because decoding recurses as deeply.
const deepestData = 200

// nesting returns how deeply brackets outside double quotes are nested.
func nesting(src []byte) int {
	deepest, depth, quoted := 0, 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// malformed describes a syntax error in a file of values, and its position.
func malformed(src []byte, err error) string {
	text := unquoted(err.Error())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := src[:min(max(int(syntax.Offset)-1, 0), len(src))]
		line := bytes.LastIndexByte(before, '\n') + 1
		text = fmt.Sprintf("on line %d, column %d: %s", bytes.Count(before, []byte("\n"))+1, utf8.RuneCount(before[line:])+1, text)
	}
	return sentence(text)
}

// sealedAt returns the position of a secret in a file that could not be decrypted, found by the first line after its
// header.
func sealedAt(src []byte, file string, value cty.Value, err error) hcl.Range {
	at := hcl.Range{Filename: file, Start: hcl.InitialPos, End: hcl.InitialPos}
	var where cty.PathError
	if !errors.As(err, &where) {
		return at
	}
	sealed, err := where.Path.Apply(value)
	if err != nil || sealed.Type() != cty.String {
		return at
	}
	_, body, _ := strings.Cut(sealed.AsString(), "\n")
	first, _, _ := strings.Cut(body, "\n")
	if i := bytes.Index(src, []byte(first)); i > 0 && first != "" {
		at.Start.Line = bytes.Count(src[:i], []byte("\n"))
		at.End.Line = at.Start.Line
	}
	return at
}

// dataFile reads a file that contains one object, which holds the values by name.
func (l *loader) dataFile(path, format string, decode func([]byte) (cty.Value, error)) []fileValue {
	src, secrets, ok := l.readValues(path)
	if !ok {
		return nil
	}
	at := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	switch {
	case len(bytes.TrimSpace(src)) == 0:
		l.report(fault(at, fmt.Sprintf("%s is empty", path), "Expected an object of variables."))
		return nil
	case nesting(src) > deepestData:
		l.report(fault(at, fmt.Sprintf("%s is nested too deeply", path), "Expected a simple object of variables."))
		return nil
	}
	value, err := decode(src)
	if err != nil {
		l.report(fault(at, fmt.Sprintf("%s is not valid %s", path, format), malformed(src, err)))
		return nil
	}
	if value.IsNull() || !value.Type().IsObjectType() {
		l.report(fault(at, fmt.Sprintf("%s is not an object of variables", path),
			fmt.Sprintf("Expected names with their values, found %s.", found(value))))
		return nil
	}
	values := value.AsValueMap()
	var all []fileValue
	for _, name := range sortedKeys(values) {
		value, err := l.options.Secrets.OpenValues(values[name])
		if err != nil {
			l.report(fault(sealedAt(src, path, values[name], err), fmt.Sprintf("the value of %q cannot be read", name), sentence(err.Error())))
			value = cty.DynamicVal
		} else if !value.IsWhollyKnown() {
			d := fault(at, "secret not opened", fmt.Sprintf("The value of %q is encrypted with Ansible Vault, and none of the given passwords opens it, so it counts as unknown here. A run needs the password.", name))
			d.Severity = hcl.DiagWarning
			l.report(d)
		}
		if secrets {
			value = value.Mark(Sensitive)
		}
		all = append(all, fileValue{name, value, at})
	}
	return all
}
