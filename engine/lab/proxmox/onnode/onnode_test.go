//go:build linux

package onnode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hlplay/engine/lab/proxmox"
)

// TestStoreKeepsProcessesApart changes one state concurrently, from several stores as separate processes would.
func TestStoreKeepsProcessesApart(t *testing.T) {
	dir := t.TempDir()
	const sides, times = 4, 25
	var wait sync.WaitGroup
	for range sides {
		wait.Go(func() {
			store := &fileStore{dir: dir}
			for range times {
				if err := store.update(func(s *proxmox.State) error { s.Sequence++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	store := &fileStore{dir: dir}
	refused := errors.New("refused")
	if err := store.update(func(s *proxmox.State) error { s.Sequence = -1; return refused }); !errors.Is(err, refused) {
		t.Errorf("an update that fails is answered with %v", err)
	}
	err := store.update(func(s *proxmox.State) error {
		if s.Sequence != sides*times {
			t.Errorf("%d updates by %d sides have counted to %d", sides*times, sides, s.Sequence)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStoreNamesABrokenState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&fileStore{dir: dir}).update(func(*proxmox.State) error { return nil }); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken state is answered with %v, expected an error that names %s", err, file)
	}
}

func TestClock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock.json")
	if err := os.WriteFile(file, []byte(Clock(1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readClock(file)
	if err != nil {
		t.Fatal(err)
	}
	before, wall := c.Now(), time.Now()
	if err := c.Sleep(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	passed, least := c.Now().Sub(before), time.Since(wall)
	if passed < time.Second || passed < least {
		t.Errorf("the clock went on by %s while a second was slept, which took %s of the wall's time", passed, least)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Sleep(ctx, 1000*time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a sleep whose context has ended is answered with %v", err)
	}
	if err := os.WriteFile(file, []byte(Clock(0)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readClock(file); err == nil {
		t.Error("a clock that stands is accepted: whoever sleeps by it would never wake")
	}
}

// TestErrno checks that the errors of pmxcfs reach the kernel.
func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, syscall.EACCES},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.ENOTCONN}, syscall.ENOTCONN},
		{os.ErrNotExist, syscall.ENOENT},
		{os.ErrExist, syscall.EEXIST},
		{errors.New("anything"), syscall.EIO},
	} {
		if got := errno(c.err); got != c.want {
			t.Errorf("%v is %v to the kernel, expected %v", c.err, got, c.want)
		}
	}
}
