package inventory

import (
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

var (
	// packageName and packageVersion match those of Debian packages (Debian Policy, 5.6.7 and 5.6.12).
	packageName    = pattern.New(`^[a-z0-9][a-z0-9+.-]+$`)
	packageVersion = pattern.New(`^[0-9][A-Za-z0-9.+~:-]*$`)
	// unitName matches units of the types that packages install.
	unitName = pattern.New(`^[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|path)$`)
)

var packageNames = []string{"version", "depends", "units", "files"}

// declaredPackage decodes a package in the simulated archive. before are the packages that precede it in its block.
func (d *decoder) declaredPackage(block *hclsyntax.Block, before []Package) (Package, bool) {
	name, ok := d.label(block, "package")
	if !ok {
		return Package{}, false
	}
	p := Package{Name: name}
	switch {
	case !packageName.MatchString(name):
		d.errorf(block.LabelRanges[0], "Invalid package", "%q is not the name of a Debian package, such as \"nginx\".", name)
		return p, false
	case slices.ContainsFunc(before, func(other Package) bool { return other.Name == name }):
		d.errorf(block.DefRange(), "Duplicate package", "This rehearsal block has a package %q already.", name)
		return p, false
	}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "version":
			set(&p.Version, d.matching(attr, packageVersion, "1.26.3-3"))
		case "depends":
			p.Depends = d.allMatching(attr, packageName, "nginx-common")
		case "units":
			p.Units = d.allMatching(attr, unitName, "nginx.service")
		case "files":
			p.Files = d.files(attr, "Invalid package", absolutePath)
		default:
			d.unknownAttribute(attr, "A package block", packageNames)
		}
	}
	for _, inner := range block.Body.Blocks {
		d.unknownBlock(inner, "A package block", nil)
	}
	return p, true
}

func (d *decoder) matching(attr *hclsyntax.Attribute, form *pattern.Regexp, example string) *string {
	s := d.string(attr)
	if s != nil && !form.MatchString(*s) {
		d.errorf(attr.Expr.Range(), "Invalid package", "%s cannot be %q; a valid example is %q.", attr.Name, *s, example)
		return nil
	}
	return s
}

func (d *decoder) allMatching(attr *hclsyntax.Attribute, form *pattern.Regexp, example string) []string {
	list := d.strings(attr)
	if list == nil {
		return nil
	}
	for i, s := range *list {
		if !form.MatchString(s) {
			d.errorf(elementRange(attr.Expr, i), "Invalid package", "%s cannot contain %q; a valid example is %q.", attr.Name, s, example)
			return nil
		}
	}
	return *list
}

func absolutePath(name string) string {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
		return "is not the absolute path of a file"
	}
	return ""
}

// files decodes the contents of files by path. wrong returns what is wrong with a path, or "".
func (d *decoder) files(attr *hclsyntax.Attribute, summary string, wrong func(string) string) map[string]string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if !value.Type().IsObjectType() {
		d.wrongType(attr, "an object of contents by path, such as { \"/etc/nginx/nginx.conf\" = \"…\" }", value)
		return nil
	}
	files := map[string]string{}
	for name, content := range value.AsValueMap() {
		if problem := wrong(name); problem != "" {
			d.errorf(attr.Expr.Range(), summary, "%q %s.", name, problem)
			return nil
		}
		if content.IsNull() || content.Type() != cty.String {
			d.errorf(attr.Expr.Range(), summary, "The content of %s must be a string.", name)
			return nil
		}
		files[name] = content.AsString()
	}
	return files
}

func writePackage(body *hclwrite.Body, p Package) {
	if p.Version != "" {
		body.SetAttributeValue("version", cty.StringVal(p.Version))
	}
	if len(p.Depends) > 0 {
		body.SetAttributeValue("depends", stringList(p.Depends))
	}
	if len(p.Units) > 0 {
		body.SetAttributeValue("units", stringList(p.Units))
	}
	writeFiles(body, p.Files)
}

func writeFiles(body *hclwrite.Body, contents map[string]string) {
	if len(contents) == 0 {
		return
	}
	files := map[string]cty.Value{}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		files[name] = cty.StringVal(contents[name])
	}
	body.SetAttributeValue("files", cty.ObjectVal(files))
}
