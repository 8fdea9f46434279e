//go:build linux

package onnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/proxmox"
)

// fileStore stores the state of a lab in a file, in a directory shared by many processes on many machines.
type fileStore struct{ dir string }

// Update implements proxmox.Store. If the state cannot be accessed, the process exits.
func (f *fileStore) Update(fn func(*proxmox.State) error) error {
	err := f.update(fn)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the state of the lab:", err)
		os.Exit(255)
	}
	return nil
}

func (f *fileStore) update(fn func(*proxmox.State) error) error {
	// A lock belongs to an open file, so it also excludes other goroutines of this process.
	lock, err := os.OpenFile(filepath.Join(f.dir, "state.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the lab's state: %w", err)
	}
	name := filepath.Join(f.dir, "state.json")
	before, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var state proxmox.State
	if len(before) > 0 {
		if err := json.Unmarshal(before, &state); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := fn(&state); err != nil {
		return err
	}
	after, err := json.Marshal(&state)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	if err := os.WriteFile(name+".new", after, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
