package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"hlplay/engine/pattern"
)

// Dir is the default directory, relative to the working directory, in which the runs of a project are recorded.
const Dir = ".hlplay"

// KeptRuns is the default number of runs that are kept.
const KeptRuns = 50

const (
	runsDir     = "runs"
	journalFile = "journal.jsonl"
)

// Store records the runs of a project, in a directory that belongs to the user.
type Store struct{ dir string }

// At returns the store in a directory, which need not exist yet.
func At(dir string) Store { return Store{dir} }

// String returns the directory.
func (s Store) String() string { return s.dir }

// ids matches the IDs of runs: the time at which the run began, in UTC, with a number if it is not the first in that
// second.
var ids = pattern.New(`^\d{8}-\d{6}(-\d{2,})?$`)

// newID returns the ID of the n-th run in a second.
func newID(began time.Time, n int) string {
	id := began.UTC().Format("20060102-150405")
	if n > 1 {
		id += fmt.Sprintf("-%02d", n)
	}
	return id
}

// prepare creates and opens the directory of runs. Existing directories must belong to the user and must not be
// writable by others, who could redirect them or add runs that never happened.
func (s Store) prepare() (*os.Root, error) {
	made := false
	for _, dir := range []string{s.dir, filepath.Join(s.dir, runsDir)} {
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil:
			made = true
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		if err := own(dir); err != nil {
			return nil, err
		}
	}
	if made { // makes git ignore the directory
		_ = os.WriteFile(filepath.Join(s.dir, ".gitignore"), []byte("*\n"), 0o600)
	}
	return os.OpenRoot(filepath.Join(s.dir, runsDir))
}

// own returns an error unless the directory belongs to the user and nobody else can write to it.
func own(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case known && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others: chmod go-w %s", dir, dir)
	}
	return nil
}

// IDs returns the IDs of the recorded runs, latest first.
func (s Store) IDs() ([]string, error) {
	dir := filepath.Join(s.dir, runsDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = errors.Join(own(s.dir), own(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("the recorded runs cannot be read: %w", err)
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() && ids.MatchString(e.Name()) {
			all = append(all, e.Name())
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all, nil
}

// Find returns the ID of the run that word refers to: the beginning of its ID, or "last".
func (s Store) Find(word string) (string, error) {
	all, err := s.IDs()
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("no run is recorded in %s: runs are recorded in the directory that hlplay is started in; --journal names another one", filepath.Join(s.dir, runsDir))
	}
	if word == "last" {
		return all[0], nil
	}
	var found []string
	for _, id := range all {
		if id == word {
			return id, nil
		}
		if word != "" && strings.HasPrefix(id, word) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no run is recorded whose ID begins with %q: hlplay history lists them, and the last one is %s", word, all[0])
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%q is the beginning of %d runs, %s to %s: give more of the ID", word, len(found), found[len(found)-1], found[0])
}

// prune removes the oldest runs beyond the number to keep. Runs that changed nothing and had no problems are counted
// separately, so that they never displace runs of interest.
func (s Store) prune(root *os.Root, keep int) error {
	all, err := s.IDs()
	if err != nil {
		return err
	}
	var errs []error
	busy, quiet := 0, 0
	for _, id := range all {
		g, err := s.Glance(id)
		if err == nil && g.State == Running {
			continue
		}
		count := &busy
		if err == nil && g.End.quiet() {
			count = &quiet
		}
		if *count++; *count > keep {
			errs = append(errs, root.RemoveAll(id))
		}
	}
	return errors.Join(errs...)
}
