package lang

import (
	"crypto/sha256"
	"maps"
	"sync"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// sums holds the files on the controller that were read for a playbook, by path, with the SHA-256 of their content.
type sums struct {
	mu sync.Mutex
	of map[string][sha256.Size]byte
}

// noting returns a reader that records what it reads.
func (s *sums) noting(read reader) reader {
	return func(path string) ([]byte, error) {
		src, err := read(path)
		if err == nil {
			s.mu.Lock()
			s.of[path] = sha256.Sum256(src)
			s.mu.Unlock()
		}
		return src, err
	}
}

// Sources returns the files on the controller that have been read for the playbook so far, by path, with the SHA-256
// of their content: its own files, imported ones, files of values, and files read by functions such as templatefile.
// Files that modules copy to hosts are not included.
func (p *Playbook) Sources() map[string][sha256.Size]byte {
	p.sums.mu.Lock()
	defer p.sums.mu.Unlock()
	return maps.Clone(p.sums.of)
}

// MayBeSensitive reports whether the value of a variable may be a secret: it is declared sensitive, or may be passed to
// sensitive() somewhere. If in doubt, it returns true.
func (p *Playbook) MayBeSensitive(variable string) bool {
	for _, v := range p.Variables {
		if v.Name == variable && v.Sensitive {
			return true
		}
	}
	if p.givesAway(variable) {
		return true
	}
	for _, file := range p.Files {
		if body, ok := file.Body.(*hclsyntax.Body); ok && confides(body, variable) {
			return true
		}
	}
	return false
}

// givesAway reports whether a variable may be passed to a role while any role has secrets. Which of the role's
// variables it ends up in is not traced.
func (p *Playbook) givesAway(variable string) bool {
	keep, given := false, false
	for _, r := range p.roles {
		for _, v := range r.inner.declared {
			keep = keep || v.Sensitive
		}
		if file := p.Files[r.file]; file != nil {
			if body, ok := file.Body.(*hclsyntax.Body); ok && callsSensitive(body) {
				keep = true
			}
		}
		if r.vars == nil {
			continue
		}
		for _, traversal := range r.vars.Variables() {
			name, known := second(traversal)
			root := traversal.RootName()
			given = given || !harmless[root] && (root != "var" || !known || name == variable)
		}
	}
	return keep && given
}

// callsSensitive reports whether sensitive() is called anywhere in a body.
func callsSensitive(body *hclsyntax.Body) bool {
	for _, expr := range bodyExpressions(body) {
		if calls(expr, "sensitive") {
			return true
		}
	}
	return false
}

// harmless lists the roots of expressions through which the value of a variable cannot be obtained.
var harmless = map[string]bool{"host": true, "hosts": true, "groups": true, "facts": true, "play": true}

// confides reports whether sensitive() is called anywhere in a body with something that may come from a variable.
func confides(body *hclsyntax.Body, variable string) bool {
	found := false
	for _, attr := range body.Attributes {
		visitCalls(attr.Expr, func(call *hclsyntax.FunctionCallExpr) {
			if call.Name != "sensitive" {
				return
			}
			for _, traversal := range call.Variables() {
				name, known := second(traversal)
				switch root := traversal.RootName(); {
				case harmless[root]:
				case root == "var" && known:
					found = found || name == variable
				default: // a local, for example, may depend on any variable
					found = true
				}
			}
		})
	}
	for _, block := range body.Blocks {
		found = found || confides(block.Body, variable)
	}
	return found
}

// SensitiveTexts returns all texts below sensitive marks in variables and locals of the playbook and of its roles,
// longest first. They must not be shown, wherever they appear.
func (p *Playbook) SensitiveTexts() []string {
	all := make(secrets)
	for _, v := range []cty.Value{p.space.varObject, p.space.localObject} {
		all.collect(v)
	}
	for _, r := range p.roles {
		all.collect(r.inner.varObject)
		all.collect(r.inner.localObject)
	}
	return all.list()
}
