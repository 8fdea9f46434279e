package roles

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hlplay/engine/localfile"
)

// Dir is the directory of fetched repositories, relative to that of the project.
const Dir = ".hlplay/roles"

// Store finds a project's fetched roles. Whenever a repository is used, its content is checked against the lock file.
//
// The hash of a repository is the SHA-256 of a sorted list of its files, one per line: the quoted path, "file",
// "program" or "link", and the SHA-256 of the content or of the link's target.
type Store struct{ dir string }

// At returns the store of the project in a directory.
func At(dir string) Store { return Store{dir} }

// Problem says why a role cannot be used.
type Problem struct {
	// Summary and Detail are the diagnostic's.
	Summary, Detail string
	// Install is set if running `hlplay roles install` solves the problem.
	Install bool
}

// Error implements error.
func (p *Problem) Error() string { return p.Summary + ": " + p.Detail }

// Pins returns the entries of the lock file. Its error is a *LockError.
func (s Store) Pins() ([]Pin, error) { return readLock(s.lockFile()) }

func (s Store) lockFile() string { return filepath.Join(s.dir, LockFile) }

// Locate returns the directory of the repository at an address. Its error is a *LockError or a *Problem.
func (s Store) Locate(a Address) (dir string, err error) {
	pins, err := s.Pins()
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(pins, func(p Pin) bool { return p.Is(a) })
	if at < 0 {
		return "", &Problem{"the role is not pinned", fmt.Sprintf("%s has no entry for %s at %s.", s.lockFile(), a.Repository, a.Revision), true}
	}
	return s.Check(pins[at])
}

// Check returns the directory to which a repository was fetched, if its content matches the entry in the lock file. Its
// error is a *Problem.
func (s Store) Check(pin Pin) (dir string, err error) {
	dir = s.place(pin)
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &Problem{"the role is not fetched", fmt.Sprintf("Commit %s of %s is expected in %s, which does not exist.", pin.Commit[:short], pin.Repository, dir), true}
	}
	var sum string
	switch {
	case err != nil:
	case !info.IsDir():
		err = errors.New("it is not a directory")
	default:
		if why := localfile.Foreign(info); why != "" {
			return "", &Problem{"the fetched role is not used", fmt.Sprintf("%s: %s. Start hlplay in a directory of your own.", dir, why), false}
		}
		sum, err = hashTree(dir)
	}
	if err != nil {
		return "", &Problem{"the fetched role cannot be read", fmt.Sprintf("%s: %v.", dir, err), true}
	}
	if sum != pin.SHA256 {
		return "", &Problem{"the fetched role was changed", fmt.Sprintf(
			"%s does not have the content that %s names: expected SHA-256 %s…, found %s…. The command below fetches it again; make changes in the repository instead.", dir, s.lockFile(), pin.SHA256[:short], sum[:short]), true}
	}
	return dir, nil
}

// short is how many digits of a hash are shown.
const short = 12

// place returns the directory of a repository. Its name is readable, because it appears in diagnostics.
func (s Store) place(pin Pin) string {
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, repositoryName(pin.Repository))
	return filepath.Join(s.dir, filepath.FromSlash(Dir), strings.TrimLeft(name, ".")+"@"+pin.Commit[:short])
}

// hashTree returns the hash of the files below a directory; see Store.
func hashTree(dir string) (string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		kind, content := "file", sha256.New()
		switch entry.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			kind = "link"
			io.WriteString(content, target)
		case 0:
			file, err := localfile.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				return err
			}
			if info.Mode()&0o100 != 0 {
				kind = "program"
			}
			if _, err := io.Copy(content, file); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file nor a directory nor a symbolic link", name)
		}
		lines = append(lines, fmt.Sprintf("%q %s %x\n", filepath.ToSlash(name), kind, content.Sum(nil)))
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:]), nil
}
