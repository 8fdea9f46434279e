package roles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mostRepositories limits how many revisions of repositories are fetched, because roles may import further roles without
// end.
const mostRepositories = 200

// Fetcher fetches repositories, and pins those that are not pinned yet. Nothing else uses the network.
type Fetcher struct {
	// Store is where repositories are fetched to.
	Store
	// Anew makes Fetcher ask each repository again for the commit of a revision, even if the lock file has one.
	Anew bool
	// Tell, if not nil, is called for each revision of a repository. was is the zero Pin if it was not pinned before;
	// fetched is false if its files already existed.
	Tell func(now, was Pin, fetched bool)

	ctx  context.Context
	lock *os.File
	// before are the entries of the lock file, settled those of the addresses that have been asked for.
	before, settled []Pin
}

// Fetch returns a Fetcher for a project. Only one can be open at a time.
func Fetch(ctx context.Context, project string) (*Fetcher, error) {
	f := &Fetcher{Store: At(project), ctx: ctx}
	var err error
	if f.before, err = f.Pins(); err != nil {
		return nil, err
	}
	top := filepath.Join(project, filepath.Dir(filepath.FromSlash(Dir)))
	if err := os.Mkdir(top, 0o700); err == nil { // git ignores the directory
		_ = os.WriteFile(filepath.Join(top, ".gitignore"), []byte("*\n"), 0o600)
	}
	dir := filepath.Join(project, filepath.FromSlash(Dir))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f.lock, err = os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.lock.Close()
		return nil, fmt.Errorf("another hlplay is fetching roles into %s: wait until it has finished", dir)
	}
	// Remove what a killed process has left behind.
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unfinished is the prefix of the names of directories into which a repository is being fetched.
const unfinished = ".fetching-"

// Close allows another Fetcher to be opened.
func (f *Fetcher) Close() error { return f.lock.Close() }

// Locate returns the directory of a repository, fetching it if necessary. Its error is a *Problem.
func (f *Fetcher) Locate(a Address) (string, error) {
	if at := slices.IndexFunc(f.settled, func(p Pin) bool { return p.Is(a) }); at >= 0 {
		return f.place(f.settled[at]), nil
	}
	var was Pin
	if at := slices.IndexFunc(f.before, func(p Pin) bool { return p.Is(a) }); at >= 0 {
		was = f.before[at]
	}
	if len(f.settled) == mostRepositories {
		return "", &Problem{"too many repositories of roles", fmt.Sprintf("More than %d are imported: does a role import others endlessly?", mostRepositories), false}
	}
	now, fetched, err := f.settle(a, was)
	if err != nil {
		return "", &Problem{"the role cannot be fetched", fmt.Sprintf("%s at %s: %v.", a.Repository, a.Revision, err), false}
	}
	f.settled = append(f.settled, now)
	if f.Tell != nil {
		f.Tell(now, was, fetched)
	}
	return f.place(now), nil
}

// settle finds the commit of an address, and fetches its files unless they exist.
func (f *Fetcher) settle(a Address, was Pin) (now Pin, fetched bool, err error) {
	if was.Commit != "" && !f.Anew {
		if _, err := f.Check(was); err == nil {
			return was, false, nil
		}
	}
	dir, err := filepath.Abs(filepath.Join(f.dir, filepath.FromSlash(Dir)))
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return Pin{}, false, err
	}
	dir, err = os.MkdirTemp(dir, unfinished)
	if err != nil {
		return Pin{}, false, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	g := &git{dir}
	now = Pin{a.Repository, a.Revision, was.Commit, ""}
	if was.Commit == "" || f.Anew {
		if now.Commit, err = g.resolve(ctx, a); err != nil {
			return Pin{}, false, err
		}
	}
	if now.Commit == was.Commit {
		if _, err := f.Check(was); err == nil {
			return was, false, nil
		}
	}
	if err := g.fetch(ctx, a.Repository, now.Commit); err != nil {
		if was.Commit == now.Commit && !f.Anew {
			err = fmt.Errorf("%w; if the commit that %s names is gone for good, hlplay roles update pins another", err, f.lockFile())
		}
		return Pin{}, false, err
	}
	tree := filepath.Join(dir, "tree")
	if err := g.export(ctx, now.Commit, tree); err != nil {
		return Pin{}, false, err
	}
	if now.SHA256, err = hashTree(tree); err != nil {
		return Pin{}, false, err
	}
	if now.Commit == was.Commit && now.SHA256 != was.SHA256 {
		return Pin{}, false, fmt.Errorf("commit %s has the SHA-256 %s…, and %s names %s…: one of them was tampered with; restore the lock file from version control",
			now.Commit[:short], now.SHA256[:short], f.lockFile(), was.SHA256[:short])
	}
	if err := ctx.Err(); err != nil {
		return Pin{}, false, context.Cause(ctx)
	}
	place := f.place(now)
	if err := os.Rename(place, filepath.Join(dir, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Pin{}, false, err
	}
	return now, true, os.Rename(tree, place)
}

// Save writes the lock file, with the entries of the addresses that were asked for and the existing ones. It reports
// whether the file changed.
func (f *Fetcher) Save() (changed bool, err error) {
	pins := slices.Clone(f.settled)
	for _, pin := range f.before {
		if !slices.ContainsFunc(pins, func(p Pin) bool { return p.Repository == pin.Repository && p.Revision == pin.Revision }) {
			pins = append(pins, pin)
		}
	}
	return writeLock(f.lockFile(), pins)
}

// Prune removes the entries of the lock file that were not asked for, along with their files, and returns them.
func (f *Fetcher) Prune() ([]Pin, error) {
	var gone []Pin
	keep := map[string]bool{}
	for _, pin := range f.settled {
		keep[filepath.Base(f.place(pin))] = true
	}
	for _, pin := range f.before {
		if !slices.ContainsFunc(f.settled, func(p Pin) bool { return p.Repository == pin.Repository && p.Revision == pin.Revision }) {
			gone = append(gone, pin)
		}
	}
	if _, err := writeLock(f.lockFile(), f.settled); err != nil {
		return nil, err
	}
	dir := filepath.Join(f.dir, filepath.FromSlash(Dir))
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); !keep[name] && !strings.HasPrefix(name, ".") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return gone, err
}
