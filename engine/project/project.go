// Package project reads the defaults of a project from the file .hlplay.hcl in the directory that hlplay is started
// in.
package project

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
	"hlplay/engine/localfile"
	"hlplay/engine/suggest"
)

// File is the name of the file.
const File = ".hlplay.hcl"

// Default is the value of a flag that was not given on the command line.
type Default struct {
	Flag string
	// Values holds the flag's arguments; a flag with several is repeated.
	Values []string
	Range  hcl.Range
}

// kind is the kind of value that an attribute holds.
type kind int

const (
	paths kind = iota // one or several, relative to the file
	path
	number
)

// attributes lists the attributes of the file, each with the flag whose default it sets.
var attributes = []struct {
	name, flag string
	kind       kind
}{
	{"inventory", "inventory", paths},
	{"known_hosts", "known-hosts", path},
	{"ssh_config", "ssh-config", path},
	{"forks", "forks", number},
}

// Load returns the defaults in a directory's file, and the file for quoting lines in diagnostics. There are no defaults
// if there is no such file. Load rejects a file that another user may have written: its content decides which hosts are
// trusted and how they are reached.
func Load(dir string) ([]Default, *hcl.File, hcl.Diagnostics) {
	name := filepath.Join(dir, File)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		if why := localfile.Foreign(info); why != "" {
			err = fmt.Errorf("%s is not used: %s; start hlplay in a directory of your own, or remove the file", name, why)
		}
	}
	var src []byte
	if err == nil {
		src, err = hclfile.Read(name)
	}
	if err != nil {
		return nil, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Project defaults cannot be read", Detail: sentence(err)}}
	}
	file, diags := hclfile.Parse(src, name)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok || diags.HasErrors() {
		return nil, file, diags
	}
	defaults, more := decode(body, dir)
	return defaults, file, append(diags, more...)
}

func decode(body *hclsyntax.Body, dir string) (defaults []Default, diags hcl.Diagnostics) {
	fault := func(at hcl.Range, summary, detail string) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
	}
	var names []string
	for _, a := range attributes {
		names = append(names, a.name)
		attr := body.Attributes[a.name]
		if attr == nil {
			continue
		}
		value, problems := attr.Expr.Value(nil)
		if problems.HasErrors() {
			fault(attr.Expr.Range(), "Not a plain value", "Project defaults are plain values, without references or functions; write text in quotes.")
			continue
		}
		if value.IsNull() {
			continue
		}
		values, want := a.kind.values(value, dir)
		if want != "" {
			fault(attr.Expr.Range(), "Wrong value for "+a.name, "Expected "+want+".")
			continue
		}
		defaults = append(defaults, Default{a.flag, values, attr.SrcRange})
	}
	for name, attr := range body.Attributes {
		known := false
		for _, a := range attributes {
			known = known || a.name == name
		}
		if !known {
			fault(attr.NameRange, "Unknown attribute", fmt.Sprintf("Project defaults have no %q%s", name, otherwise(name, names)))
		}
	}
	for _, block := range body.Blocks {
		fault(block.TypeRange, "Unknown block", fmt.Sprintf("Project defaults have no blocks, only %s.", strings.Join(names, ", ")))
	}
	slices.SortFunc(diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte) })
	return defaults, diags
}

// values returns the flag arguments for a value, or a description of what was expected instead.
func (k kind) values(value cty.Value, dir string) (values []string, want string) {
	switch k {
	case number:
		n, err := convert.Convert(value, cty.Number)
		if err == nil {
			if i, accuracy := n.AsBigFloat().Int64(); accuracy == 0 && i > 0 {
				return []string{strconv.FormatInt(i, 10)}, ""
			}
		}
		return nil, "a whole number of at least 1"
	case paths:
		if value.Type().IsTupleType() && value.LengthInt() > 0 {
			for _, element := range value.AsValueSlice() {
				one, want := path.values(element, dir)
				if want != "" {
					return nil, "a path, or a list of paths"
				}
				values = append(values, one...)
			}
			return values, ""
		}
		if values, want = path.values(value, dir); want != "" {
			want = "a path, or a list of paths"
		}
		return values, want
	}
	if value.IsNull() || value.Type() != cty.String || value.AsString() == "" {
		return nil, "the path of a file"
	}
	return []string{expand(value.AsString(), dir)}, ""
}

// expand makes a path relative to the working directory, as on a command line.
func expand(name, dir string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

func otherwise(name string, names []string) string {
	if near := suggest.Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; there are " + strings.Join(names, ", ") + "."
}

func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
