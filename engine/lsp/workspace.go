package lsp

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/hclfile"
	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/project"
)

// Limits of the search for files that import others: an editor may be started in any directory.
const (
	mostEntries = 20000   // directory entries
	mostFiles   = 2000    // files to read
	mostBytes   = 1 << 20 // size of such a file
	mostRoots   = 20      // playbooks in which one file is checked
)

// snapshot is the state of the editor at one moment.
type snapshot struct {
	*server
	documents map[string]document // the open ones, by name
	unsaved   map[string][]byte   // their texts
	settings  settings
}

func (s *server) snapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := snapshot{server: s, documents: map[string]document{}, unsaved: map[string][]byte{}, settings: s.settings}
	for name, d := range s.documents {
		of.documents[name], of.unsaved[name] = *d, []byte(d.Text)
	}
	return of
}

// mended returns the snapshot with texts that parse: see mend.
func (s snapshot) mended() snapshot {
	whole := make(map[string][]byte, len(s.unsaved))
	for name, text := range s.unsaved {
		whole[name] = mend(text)
	}
	s.unsaved = whole
	return s
}

// inventories returns the paths of the inventory: from the editor's settings, or as on a command line.
func (s snapshot) inventories() []string {
	switch {
	case len(s.settings.Inventory) > 0:
		return s.settings.Inventory
	case len(s.options.Inventories) > 0:
		return s.options.Inventories
	}
	defaults, _, _ := project.Load(".")
	for _, d := range defaults {
		if d.Flag == "inventory" {
			return d.Values
		}
	}
	return nil
}

// ofInventory reports whether a file is part of the inventory.
func ofInventory(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		path = filepath.Clean(path)
		return name == path || filepath.Dir(name) == path
	})
}

// readInventory reads an inventory without running programs. It returns nil without paths.
func (s snapshot) readInventory(o lang.Options, paths []string) (*inventory.Inventory, hcl.Diagnostics) {
	if len(paths) == 0 {
		return nil, nil
	}
	inv, diags := inventory.LoadUnsaved(o.Secrets, s.unsaved, paths...)
	if !diags.HasErrors() {
		diags = append(diags, inv.Validate(lang.EvaluateHostVariable)...)
	}
	return inv, diags
}

// load reads a playbook. A faulty or partial inventory is not used, because whatever it lacks would be reported as
// errors.
func (s snapshot) load(name string) (*lang.Playbook, *inventory.Inventory, lang.Options, hcl.Diagnostics, error) {
	o, err := s.options.Language(s.ctx, nil, s.settings.ExtraVars)
	if err != nil {
		return nil, nil, o, nil, err
	}
	inv, diags := s.readInventory(o, s.inventories()) // read it for each playbook, because the playbook's declarations change it
	if inv != nil && !diags.HasErrors() && !inv.Partial {
		o.Inventory = inv
	}
	o.Unsaved = s.unsaved
	pb, diags := lang.Load(name, o)
	return pb, inv, o, diags, nil
}

// kind is what a file is.
type kind int

const (
	playbook kind = iota
	role
	hosts // an inventory
)

// parsedFile is the information about a file that is needed to find importers.
type parsedFile struct {
	changed time.Time
	size    int64
	imports []string
	kind    kind
}

// importers returns the files that import each file of the project, and what is known of all files.
func (s snapshot) importers() (by map[string][]string, files map[string]parsedFile) {
	files = make(map[string]parsedFile)
	entries := 0
	s.server.files.Lock()
	defer s.server.files.Unlock()
	_ = filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		entries++
		switch {
		case entries > mostEntries || len(files) >= mostFiles || s.ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			return nil // in that case, skip it
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".hcl":
			return nil
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > mostBytes {
			return nil
		}
		known, ok := s.parsed[name]
		if !ok || !known.changed.Equal(info.ModTime()) || known.size != info.Size() {
			src, err := os.ReadFile(name)
			if err != nil {
				return nil
			}
			known = parseFile(src, name)
			known.changed, known.size = info.ModTime(), info.Size()
			s.parsed[name] = known
		}
		files[name] = known
		return nil
	})
	for name, text := range s.unsaved {
		files[name] = parseFile(mend(text), name)
	}
	by = make(map[string][]string)
	for name, f := range files {
		for _, imported := range f.imports {
			by[imported] = append(by[imported], name)
		}
	}
	return by, files
}

func parseFile(src []byte, name string) parsedFile {
	file, _ := hclfile.Parse(src, name)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return parsedFile{}
	}
	f := parsedFile{imports: lang.Imports(body, name)}
	switch {
	case isInventory(body):
		f.kind = hosts
	case lang.IsRole(body):
		f.kind = role
	}
	return f
}

// isInventory reports whether a file has blocks of an inventory and none of a playbook. Both have group blocks; only a
// playbook's contain other blocks.
func isInventory(body *hclsyntax.Body) bool {
	_, own := inventory.Allowed()
	found := false
	for _, b := range body.Blocks {
		if !slices.Contains(own, b.Type) {
			return false
		}
		_, inner := inventory.Allowed(b.Type)
		for _, in := range b.Body.Blocks {
			if b.Type == "group" && !slices.Contains(inner, in.Type) {
				return false
			}
		}
		found = found || b.Type != "host_variable"
	}
	return found
}

// roots returns the playbooks that a file belongs to, sorted: those that import it, directly or indirectly, and are not
// imported themselves, or else the file itself.
func roots(name string, by map[string][]string) []string {
	var found []string
	seen := map[string]bool{name: true}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		of := by[queue[0]]
		if len(of) == 0 {
			found = append(found, queue[0])
		}
		for _, importer := range of {
			if !seen[importer] {
				seen[importer] = true
				queue = append(queue, importer)
			}
		}
	}
	if len(found) == 0 { // an import cycle
		found = []string{name}
	}
	slices.Sort(found)
	return found[:min(len(found), mostRoots)]
}

// mend returns a text that parses: lines that do not parse are blanked, and open brackets are closed. Offsets do not
// change.
func mend(src []byte) []byte {
	text := bytes.Clone(src)
	closed := 0
	for range 64 {
		_, diags := hclsyntax.ParseConfig(text, "", hcl.InitialPos)
		i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError && d.Subject != nil })
		if i < 0 {
			return text
		}
		at := min(diags[i].Subject.Start.Byte, len(src))
		if strings.HasPrefix(diags[i].Summary, "Unclosed configuration block") && closed < 16 {
			closed++
			text = append(text, "\n}\n"...)
			continue
		}
		for !blank(text, at) { // errors are often reported on the line after the one that causes them
			if at = bytes.LastIndexByte(text[:at], '\n'); at < 0 {
				return text
			}
		}
	}
	return text
}

// blank overwrites the line at an offset with spaces, and reports whether there was anything to overwrite.
func blank(text []byte, at int) bool {
	begin := bytes.LastIndexByte(text[:at], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[begin:], '\n'); i >= 0 {
		end = begin + i
	}
	if len(bytes.TrimSpace(text[begin:end])) == 0 {
		return false
	}
	for i := begin; i < end; i++ {
		text[i] = ' '
	}
	return true
}

// seen is what a file can refer to in its project.
type seen struct {
	lang.View
	inventory *inventory.Inventory
	playbook  *lang.Playbook
	options   lang.Options
	kind      kind
}

// look returns what a file can refer to, even if it does not parse. play is the name of the play around the position of
// interest.
func (s snapshot) look(name, play string) (seen, error) {
	whole := s.mended()
	by, files := whole.importers()
	if files[name].kind == hosts || ofInventory(name, s.inventories()) {
		o, err := s.options.Language(s.ctx, nil, nil)
		if err != nil {
			return seen{}, err
		}
		inv, _ := whole.readInventory(o, s.inventories())
		return seen{inventory: inv, options: o, kind: hosts}, nil
	}
	pb, inv, o, err := whole.recall(roots(name, by)[0])
	if err != nil {
		return seen{}, err
	}
	return seen{View: pb.View(name, play, o), inventory: inv, playbook: pb, options: o, kind: files[name].kind}, nil
}

// recalled is the playbook that was last read to answer a request.
type recalled struct {
	key      [sha256.Size]byte
	playbook *lang.Playbook
	inv      *inventory.Inventory
	options  lang.Options
}

// recall loads a playbook, unless nothing has changed since the last time: typing within a line that does not parse
// changes nothing.
func (s snapshot) recall(name string) (*lang.Playbook, *inventory.Inventory, lang.Options, error) {
	h := sha256.New()
	for _, open := range append(sortedNames(s.unsaved), name) {
		h.Write([]byte(open + "\x00"))
		h.Write(s.unsaved[open])
	}
	key := [sha256.Size]byte(h.Sum(nil))
	s.server.files.Lock()
	last := s.server.last
	s.server.files.Unlock()
	if last != nil && last.key == key {
		return last.playbook, last.inv, last.options, nil
	}
	pb, inv, o, _, err := s.load(name)
	if err != nil {
		return nil, nil, o, err
	}
	s.server.files.Lock()
	s.server.last = &recalled{key, pb, inv, o}
	s.server.files.Unlock()
	return pb, inv, o, nil
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
