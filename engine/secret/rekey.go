package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"hlplay/engine/localfile"
)

// recipientsOf returns the recipients that apply to a file.
func recipientsOf(path string) ([]age.Recipient, error) {
	file, err := FindRecipients(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return ReadRecipients(file)
}

// Rekeyed is a file whose secrets were encrypted for other recipients.
type Rekeyed struct {
	Path string
	// Secrets is the number of secrets in the file, or 1 if the file is encrypted as a whole.
	Secrets    int
	Recipients int

	before, after []byte
}

// Rekey encrypts all secrets in the given files, and in the files below the given directories, for the recipients that
// apply to each file. It opens all of them before it changes the first file. Directories named .git and .hlplay are
// skipped. If check is set, nothing is changed.
func Rekey(k *Keyring, paths []string, check bool) ([]Rekeyed, error) {
	var all []Rekeyed
	var failed []error
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == ".hlplay"):
				return filepath.SkipDir
			case !entry.Type().IsRegular():
				return nil
			}
			info, err := entry.Info()
			if err != nil || info.Size() > largestFile {
				return err
			}
			one, err := rekeyed(k, path)
			if err != nil {
				failed = append(failed, err)
			} else if one != nil {
				all = append(all, *one)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(failed) > 0 {
		return nil, fmt.Errorf("nothing was changed, because not every secret can be opened:\n%w", errors.Join(failed...))
	}
	if check {
		return all, nil
	}
	for i, one := range all {
		if err := localfile.Replace(one.Path, one.before, one.after); err != nil {
			return all[:i], err
		}
	}
	return all, nil
}

// rekeyed returns a file with its secrets encrypted again, or nil if it has none.
func rekeyed(k *Keyring, path string) (*Rekeyed, error) {
	content, err := localfile.Read(path, largestFile)
	if err != nil {
		return nil, err
	}
	secrets := Find(content)
	if len(secrets) == 0 {
		return nil, nil
	}
	to, err := recipientsOf(path)
	if err != nil {
		return nil, err
	}
	var after []byte
	done := 0
	for _, s := range secrets {
		text, err := k.Open(s.Text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, s.Line, err)
		}
		sealed, err := s.again(text, to)
		if err != nil {
			return nil, err
		}
		after = append(append(after, content[done:s.Start]...), sealed...)
		done = s.End
	}
	return &Rekeyed{path, len(secrets), len(to), content, append(after, content[done:]...)}, nil
}

// String describes the file on one line.
func (r Rekeyed) String() string {
	plural := func(n int, noun string) string {
		return fmt.Sprintf("%d %s%s", n, noun, strings.Repeat("s", min(n-1, 1)))
	}
	return fmt.Sprintf("%s: %s for %s", r.Path, plural(r.Secrets, "secret"), plural(r.Recipients, "recipient"))
}
