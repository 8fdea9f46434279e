package journal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"hlplay/engine/observe"
)

const copiesDir = "copies"

// Copy describes what was at a path of a host before the run changed it.
type Copy struct {
	Host string `json:"host"`
	Path string `json:"path"`
	// Absent is set if nothing was there. Link is the target of a symbolic link.
	Absent bool   `json:"absent,omitempty"`
	Link   string `json:"link,omitempty"`
	// File is the path of the content, relative to the run's directory.
	File   string `json:"file,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Mode is in octal.
	Mode  string `json:"mode,omitempty"`
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
}

// Left describes what is at a path at the end of a run.
type Left struct {
	Host   string `json:"host"`
	Path   string `json:"path"`
	Absent bool   `json:"absent,omitempty"`
	Link   string `json:"link,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// LeftOf converts an observation to its form in the journal.
func LeftOf(host, name string, f observe.File) Left {
	l := Left{Host: host, Path: name, Absent: !f.Exists(), Link: f.Target}
	if f.Type == observe.Regular {
		l.SHA256 = sum(f.Content)
	}
	return l
}

// Same reports whether both describe the same content.
func (l Left) Same(other Left) bool {
	return l.Absent == other.Absent && l.Link == other.Link && l.SHA256 == other.SHA256
}

// Before implements run.Archive: it records a copy of the file.
func (w *Writer) Before(host, name string, f observe.File) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil // the user has already been told that the run is not recorded
	}
	c := &Copy{Host: host, Path: name, Absent: !f.Exists(), Link: f.Target}
	switch {
	case f.Type != observe.Regular:
	case f.Truncated:
		return fmt.Errorf("it is larger than %d bytes", observe.FileLimit)
	case w.Redactor != nil && w.Redactor.String(string(f.Content)) != string(f.Content):
		return errors.New("it holds a secret, and none is recorded")
	default:
		c.SHA256, c.Mode, c.Owner, c.Group = sum(f.Content), fmt.Sprintf("%04o", f.Mode), f.Owner, f.Group
		if err := w.store(c, f.Content); err != nil {
			return err
		}
	}
	return w.write(Entry{Copy: c})
}

// store writes the content of a copy and syncs it to disk.
func (w *Writer) store(c *Copy, content []byte) error {
	w.copies++
	if w.copies == 1 {
		if err := w.dir.Mkdir(copiesDir, 0o700); err != nil {
			return err
		}
	}
	c.File = path.Join(copiesDir, strconv.Itoa(w.copies))
	f, err := w.dir.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// After implements run.Archive.
func (w *Writer) After(host, name string, f observe.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := LeftOf(host, name, f)
	_ = w.write(Entry{Left: &left})
}

// Kept is a copy and what the run left in its place; Left is nil if that is not known.
type Kept struct {
	Copy
	Left *Left
}

// Changed reports whether the run left something other at the path than it found. It is true if that is not known.
func (k Kept) Changed() bool {
	return k.Left == nil || !k.Left.Same(Left{Absent: k.Absent, Link: k.Link, SHA256: k.SHA256})
}

// Copies returns the copies of a run, sorted by path and host. Of several copies of a path, the last was kept before the change.
func (r *Record) Copies() []Kept {
	var all []Kept
	for _, e := range r.Entries {
		if e.Copy != nil {
			all = slices.DeleteFunc(all, func(k Kept) bool { return k.Host == e.Copy.Host && k.Path == e.Copy.Path })
			all = append(all, Kept{Copy: *e.Copy})
		}
		for i := range all {
			if e.Left != nil && all[i].Host == e.Left.Host && all[i].Path == e.Left.Path {
				all[i].Left = e.Left
			}
		}
	}
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Host, b.Host)) })
	return all
}

// Content reads the content of a copy of a run. It returns an error if the content is no longer what was copied.
func (s Store) Content(id string, c Copy) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Join(s.dir, runsDir, id))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	content, err := root.ReadFile(c.File)
	if err == nil && sum(content) != c.SHA256 {
		err = fmt.Errorf("%s is not what was copied: its SHA-256 is another one", filepath.Join(root.Name(), c.File))
	}
	return content, err
}
