package file

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// mostEntries limits the size of a tree, so that a wrong path does not copy the controller's whole disk.
const mostEntries = 10_000

// executable is the mode of a file that its owner may run on the controller.
const executable = 0o755

// entry is a file or directory of a tree. Its name is relative to the tree, with slashes.
type entry struct {
	name      string
	directory bool
	source    string // the file on the controller; empty for content from the playbook
	mode      fs.FileMode
}

// copies reports whether the task gives the contents of the directory, even if they are empty.
func (f *File) copies() bool { return f.Tree != "" || f.Files != nil }

// entries returns what belongs in the directory, each directory before its contents.
func (f *File) entries() ([]entry, error) {
	all := map[string]entry{}
	if f.Tree != "" {
		if err := f.walk(all); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		if e, ok := all[name]; ok {
			return nil, &modules.ArgumentError{Argument: "files", Problem: fmt.Sprintf("%s is also provided by %s", name, cmp.Or(e.source, f.Tree)), Want: "give it once"}
		}
		all[name] = entry{name: name, mode: 0o644}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if e, ok := all[dir]; ok && !e.directory {
				return nil, &modules.ArgumentError{Argument: "files", Problem: fmt.Sprintf("%s is a file, and %s would have to be inside it", dir, name)}
			}
			all[dir] = entry{name: dir, directory: true}
		}
	}
	sorted := slices.SortedFunc(maps.Values(all), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return sorted, nil
}

// walk adds the files and directories of the tree on the controller. A symbolic link to a file stands for that file.
func (f *File) walk(all map[string]entry) error {
	fault := func(problem, want string) error {
		return &modules.ArgumentError{Argument: "tree", Problem: problem, Want: want}
	}
	root, err := os.Stat(f.Tree)
	switch {
	case err != nil:
		return fault(err.Error(), "name a directory on the controller")
	case !root.IsDir():
		return fault(f.Tree+" is not a directory", "use source to copy a single file")
	}
	tree, err := filepath.EvalSymlinks(f.Tree)
	if err != nil {
		return fault(err.Error(), "name a directory on the controller")
	}
	return filepath.WalkDir(tree, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == tree {
			return err
		}
		name, err := filepath.Rel(tree, at)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			all[name] = entry{name: name, directory: true}
			return nil
		}
		if strings.HasSuffix(name, ".tmpl") {
			if _, given := f.Files[strings.TrimSuffix(name, ".tmpl")]; given {
				return nil
			}
			return fault(at+" is a template, which tree does not render",
				`use files = { for t in fileset("DIRECTORY", "**/*.tmpl") : trimsuffix(t, ".tmpl") => templatefile("DIRECTORY/${t}", { … }) }, or rename it`)
		}
		info, err := os.Stat(at)
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fault(at+" is neither a file nor a directory", "remove it from the tree; links to directories are not followed")
		case len(all) >= mostEntries:
			return fault(fmt.Sprintf("%s contains more than %d files", f.Tree, mostEntries), "check the path; use a package or an archive for so many")
		}
		e := entry{name: name, source: at, mode: 0o644}
		if info.Mode()&0o100 != 0 {
			e.mode = executable
		}
		all[name] = e
		return nil
	})
}

// checkTree rejects a tree that cannot be copied.
func (f *File) checkTree() error {
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		if name == "" || path.IsAbs(name) || path.Clean(name) != name || name == "." || strings.HasPrefix(name, "../") || name == ".." || strings.ContainsRune(name, 0) {
			return &modules.ArgumentError{Argument: "files", Problem: fmt.Sprintf("%q is not a path within the directory", name), Want: "expected a path such as conf.d/site.conf"}
		}
	}
	_, err := f.entries()
	return err
}

// wantTree announces the observations that a tree is compared with.
func (f *File) wantTree(h modules.Host) {
	entries, err := f.entries()
	if err != nil {
		return // Plan reports it
	}
	for _, e := range entries {
		observe.Files.Want(h, path.Join(f.Path, e.name))
	}
}

// planTree plans the directory and everything that belongs in it. Other files in it are kept.
func (f *File) planTree(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	entries, err := f.entries()
	if err != nil {
		return nil, err
	}
	steps, err := f.planDirectory(ctx, h)
	if err != nil {
		return nil, err
	}
	at, now, err := observe.Follow(ctx, h, f.Path)
	if err != nil {
		return nil, err
	}
	coming := map[string]bool{}
	if !now.Exists() {
		coming[at] = true
	}
	for _, e := range entries {
		part := f.part(at, e, coming)
		more, err := part.planPart(ctx, h)
		if err != nil {
			return nil, err
		}
		if e.directory && len(more) > 0 {
			if _, making := more[0].Action.(modules.MakeDir); making {
				coming[part.Path] = true
			}
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

// part returns the desired state of one entry of a tree; at is the path of the tree's directory.
func (f *File) part(at string, e entry, coming map[string]bool) *File {
	part := &File{Path: path.Join(at, e.name), Owner: f.Owner, Group: f.Group, coming: coming}
	switch {
	case e.directory:
		part.State, part.Mode = directory, f.Mode
		return part
	case e.source != "":
		part.Source = e.source
	default:
		content := f.Files[e.name]
		part.Content = &content
	}
	part.Mode = cmp.Or(f.FileMode, e.mode)
	return part
}

func (f *File) planPart(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if f.State == directory {
		return f.planDirectory(ctx, h)
	}
	return f.planPresent(ctx, h)
}
