package lang

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/roles"
)

// source is one file of a playbook.
type source struct {
	broken bool
	// plays is set if the file, or a file that it imports, has plays.
	plays bool
}

// playBlock is a play that has not been decoded yet, with what its imports add.
type playBlock struct {
	block *hclsyntax.Block
	dir   string
	tags  []string
	hosts string // a pattern
}

var playbookShape = shape{
	what:   "a playbook",
	blocks: []string{"import", "variable", "host_variable", "locals", "play"},
}

var importShape = shape{what: "an import", attributes: []string{"tags"}}

// include reads a file into the playbook's namespace: its variables and locals, and its plays in source order. trail
// lists the files that lead to it.
func (l *loader) include(path string, from *hcl.Range, tags, trail []string) *source {
	for i, earlier := range trail {
		if earlier == path {
			l.report(fault(*from, "import cycle", fmt.Sprintf(
				"%s would import itself: %s. Remove one of these imports.",
				path, strings.Join(append(trail[i:len(trail):len(trail)], path), " → "))))
			return &source{broken: true}
		}
	}
	if s, ok := l.sources[path]; ok {
		// A file with only variables and locals may be imported wherever it is needed.
		if s.plays {
			l.report(fault(*from, fmt.Sprintf("%s is imported twice", path),
				"Its plays would run twice under the same names. Import a file that has plays only once."))
		}
		return s
	}
	s := &source{}
	l.sources[path] = s
	body, ok := l.parse(path, from)
	if !ok {
		s.broken = true
		return s
	}
	dir := filepath.Dir(path)
	l.space.functions[dir] = l.files.functions(caller{dir: dir})
	trail = append(trail[:len(trail):len(trail)], path)
	l.check(body, playbookShape)
	for _, block := range body.Blocks {
		switch block.Type {
		case "import":
			if l.importBlock(block, dir, tags, trail).plays {
				s.plays = true
			}
		case "variable":
			l.variable(block, dir)
		case "host_variable":
			l.hostVariable(block, dir)
		case "locals":
			l.localsBlock(block, dir)
		case "play":
			s.plays = true
			l.plays = append(l.plays, playBlock{block: block, dir: dir, tags: tags})
		}
	}
	return s
}

func (l *loader) importBlock(block *hclsyntax.Block, dir string, tags, trail []string) *source {
	path, ok := l.label(block, "the path of a file")
	if !ok {
		return &source{}
	}
	l.check(block.Body, importShape)
	if roles.IsAddress(path) {
		l.report(fault(block.LabelRanges[0], "an address imports a role",
			"It cannot import a file with plays. Import the role in a play: play \"NAME\" { hosts = \"PATTERN\" … import \"ADDRESS\" {} }."))
		return &source{}
	}
	// An import is read before any variable has a value, so its tags are constants.
	own := l.tags(block.Body, l.constants(dir))
	at := block.LabelRanges[0]
	return l.include(importPath(dir, path), &at, union(tags, own), trail)
}

// importPath returns the file that an import in a file in dir refers to.
func importPath(dir, label string) string {
	if !filepath.IsAbs(label) {
		label = filepath.Join(dir, label)
	}
	return filepath.Clean(label)
}

// union returns the distinct strings of all lists, in order.
func union(lists ...[]string) []string {
	var all []string
	seen := make(map[string]bool)
	for _, list := range lists {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}
