package localfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrChanged is returned if the content of a file is no longer what was read before.
var ErrChanged = errors.New("somebody else has changed it meanwhile")

// Replace atomically replaces the content of a regular file, keeping its mode. If the current content is not equal to
// seen, it changes nothing and returns ErrChanged. If path is a symbolic link, the link is kept and its target is
// replaced.
func Replace(path string, seen, content []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(draft.Name())
		}
	}()
	_, err = draft.Write(content)
	if err = errors.Join(err, draft.Chmod(info.Mode().Perm()), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	switch now, err := ReadAll(path); {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case !bytes.Equal(now, seen):
		return fmt.Errorf("%s: %w", path, ErrChanged)
	}
	return os.Rename(draft.Name(), path)
}
