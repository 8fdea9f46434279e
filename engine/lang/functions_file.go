package lang

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/engine/secret"
)

// deepest is the maximum depth of templates that render each other; a greater depth is taken for a cycle.
const deepest = 16

// fileFunctions returns the functions that read the controller: files relative to the directory of the caller, and the
// environment.
func fileFunctions(from caller, read *files) []definition {
	at := from.path
	text := func(name string) (string, error) { return read.text(at(name)) }
	file := textFunction(cty.String, func(a []string) (cty.Value, error) {
		s, err := text(a[0])
		return cty.StringVal(s), err
	}, "path")
	fileBase64 := textFunction(cty.String, func(a []string) (cty.Value, error) {
		src, err := read.open(at(a[0])).content()
		if err != nil {
			return cty.NilVal, function.NewArgError(0, fmt.Errorf("cannot read %s: %s", at(a[0]), readProblem(err)))
		}
		return cty.StringVal(base64.StdEncoding.EncodeToString(src)), nil
	}, "path")
	exists := textFunction(cty.Bool, func(a []string) (cty.Value, error) {
		_, err := read.open(at(a[0])).content()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cty.NilVal, function.NewArgError(0, fmt.Errorf("cannot read %s: %s", at(a[0]), readProblem(err)))
		}
		return cty.BoolVal(err == nil), nil
	}, "path")
	fileset := textFunction(cty.List(cty.String), func(a []string) (cty.Value, error) {
		names, err := matching(at(a[0]), a[1])
		if err != nil || len(names) == 0 {
			return cty.ListValEmpty(cty.String), err
		}
		return cty.ListVal(names), nil
	}, "directory", "pattern")
	opening := read.secrets.Functions(func(name string) ([]byte, error) { return read.encrypted(at(name)) })
	return []definition{
		{"basename", "The last element of a path.", "path", textFunction(cty.String, func(a []string) (cty.Value, error) {
			return cty.StringVal(path.Base(a[0])), nil
		}, "path")},
		{"dirname", "A path without its last element.", "path", textFunction(cty.String, func(a []string) (cty.Value, error) {
			return cty.StringVal(path.Dir(a[0])), nil
		}, "path")},
		{"env", "An environment variable of the controller, or a default if it is not set; an error if there is no default.", "name, default", envFunc},
		{"file", "The text of a file on the controller, which is read once per run. Here and below, a path is relative to the file that calls the function.", "", file},
		{"filebase64", "The content of a file on the controller in Base64.", "", fileBase64},
		{"fileexists", "Whether the controller has a file.", "", exists},
		{"fileset", "The sorted paths of the files below a directory on the controller that match a pattern, such as `**/*.tmpl`; they are relative to the directory.", "", fileset},
		{secret.ValueFunction, "The text of an encrypted secret, as `hlplay secret encrypt` prints it; it is sensitive.", "", opening[secret.ValueFunction]},
		{secret.FileFunction, "The text of a file on the controller that is encrypted as a whole; it is sensitive. The other functions see such a file as it is.", "", opening[secret.FileFunction]},
		{"templatefile", "The text of a file on the controller with its ${…} and %{…} filled in from an object of variables.", "", templateFunction(from, read, nil)},
	}
}

// matching returns the regular files below a directory that match a pattern, in which ** stands for any number of
// directories.
func matching(dir, pattern string) ([]cty.Value, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, function.NewArgError(0, fmt.Errorf("cannot read %s: %s", dir, readProblem(err)))
	case !info.IsDir():
		return nil, function.NewArgError(0, fmt.Errorf("%s is not a directory", dir))
	}
	names, err := doublestar.Glob(os.DirFS(dir), pattern, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, function.NewArgError(1, fmt.Errorf("%q below %s: %w", pattern, dir, err))
	}
	slices.Sort(names)
	var all []cty.Value
	for _, name := range names {
		all = append(all, cty.StringVal(name))
	}
	return all, nil
}

// path resolves a path that is used in the caller's file.
func (c caller) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(c.dir, name)
}

// encrypted returns the content of a file that contains a secret.
func (f *files) encrypted(path string) ([]byte, error) {
	src, err := f.open(path).content()
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", path, readProblem(err))
	}
	return src, nil
}

// text returns the content of the file that is the first argument of a function.
func (f *files) text(path string) (string, error) {
	src, err := f.open(path).content()
	if err != nil {
		return "", function.NewArgError(0, fmt.Errorf("cannot read %s: %s", path, readProblem(err)))
	}
	if !utf8.Valid(src) {
		return "", function.NewArgError(0, fmt.Errorf("%s is not UTF-8 text: use filebase64 for other content", path))
	}
	return string(src), nil
}

// mostTemplates is the maximum number of templates that one template may render, directly or indirectly.
const mostTemplates = 10_000

// rendering counts what the templates of one call have produced so far.
type rendering struct{ text, templates int }

// templateFunction returns a function that renders templates, as part of the rendering under or, if that is nil, of a
// new one.
func templateFunction(from caller, read *files, under *rendering) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := from.path(args[0].AsString())
			if _, err := read.text(name); err != nil {
				return cty.NilVal, err
			}
			if from.depth >= deepest {
				return cty.NilVal, fmt.Errorf("templates render each other %d levels deep: %s is probably part of a cycle", deepest, name)
			}
			expr, diags := read.open(name).template()
			if diags.HasErrors() {
				return cty.NilVal, templateProblem(diags)
			}
			all := under
			if all == nil {
				all = &rendering{}
			}
			if all.templates++; all.templates > mostTemplates || all.text > mostText {
				return cty.NilVal, errTooMuch
			}
			inner := caller{filepath.Dir(name), from.depth + 1}
			v, err := render(name, expr, args[1], read.functions(inner), templateFunction(inner, read, all))
			if text, _ := v.Unmark(); err == nil && text.IsKnown() {
				all.text += len(text.AsString())
			}
			if errors.Is(err, errTooMuch) {
				all.text = mostText + 1 // nothing more is rendered after that
			}
			return v, err
		},
	})
}

// render evaluates a template, in which the given function renders further templates.
func render(name string, expr hclsyntax.Expression, vars cty.Value, functions map[string]function.Function, template function.Function) (cty.Value, error) {
	if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() {
		return cty.NilVal, function.NewArgError(1, fmt.Errorf("expected an object { NAME = VALUE, … }, found %s", found(vars)))
	}
	ctx := &hcl.EvalContext{Variables: vars.AsValueMap(), Functions: functions}
	for _, traversal := range expr.Variables() {
		if _, ok := ctx.Variables[traversal.RootName()]; !ok {
			return cty.NilVal, function.NewArgError(1, fmt.Errorf("the template uses %q at %s, which is not given.%s",
				traversal.RootName(), lineOf(traversal.SourceRange()), didYouMean(traversal.RootName(), sortedKeys(ctx.Variables))))
		}
	}
	v, diags, err := measured(expr, ctx, map[string]function.Function{"templatefile": template})
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", lineOf(*diags[0].Subject), err)
	}
	if diags.HasErrors() {
		return cty.NilVal, templateProblem(diags)
	}
	v, err = convert.Convert(v, cty.String)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s does not render to text", name)
	}
	if v.IsNull() {
		return cty.NilVal, fmt.Errorf("%s renders to null: expected text", name)
	}
	return v, nil
}

// templateProblem returns the first error in a template, with its line.
func templateProblem(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity == hcl.DiagError && d.Subject != nil {
			return fmt.Errorf("%s: %s; %s", lineOf(*d.Subject), d.Summary, d.Detail)
		}
	}
	return diags
}

var envFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "name", Type: cty.String}},
	VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) > 2 {
			return cty.NilVal, function.NewArgError(2, errors.New("expected a name and at most one default"))
		}
		name := args[0].AsString()
		if s, ok := os.LookupEnv(name); ok {
			if !utf8.ValidString(s) {
				return cty.NilVal, function.NewArgError(0, fmt.Errorf("the value of %s is not UTF-8 text", name))
			}
			return cty.StringVal(s), nil
		}
		if len(args) == 2 {
			return args[1], nil
		}
		return cty.NilVal, function.NewArgError(0, fmt.Errorf("the environment has no variable %s: set it, or give a default", name))
	},
})
