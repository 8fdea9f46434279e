package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// as runs fn repeatedly as another user until stop is called. Each thread has its own file system IDs.
func (s *fixture) as(uid int, fn func(turn int)) (stop func()) {
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread ends along with its ID
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, errno := syscall.RawSyscall(call, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
				s.t.Errorf("becoming %d: %v", uid, errno)
				return
			}
		}
		for turn := 0; !ended.Load(); turn++ {
			fn(turn)
		}
	}()
	return func() {
		ended.Store(true)
		<-done
	}
}

// exchange swaps two names in the home.
func (s *fixture) exchange(a, b string) {
	_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(s.home, a), unix.AT_FDCWD, filepath.Join(s.home, b), unix.RENAME_EXCHANGE)
}

// raceAttempts is how often each race is run.
const raceAttempts = 4

// While the stranger swaps names, root changes only what is the stranger's, or refuses.
func TestRaces(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		race := func(name string, prepare func(s *fixture), attack func(s *fixture, turn int), paths ...string) {
			t.Run(name, func(t *testing.T) {
				s := newFixture(t)
				prepare(s)
				stop := s.as(stranger, func(turn int) { attack(s, turn) })
				defer stop()
				won := 0
				for i := range raceAttempts {
					path := filepath.Join(s.home, paths[i%len(paths)])
					for _, what := range []string{"write", "make", "attributes", "remove all", "link"} {
						r, err := s.conn.Run(bounded(t), acts(path)[what])
						if err != nil {
							t.Fatal(err)
						}
						if r.Exit == 0 {
							won++
						}
						s.untouched(fmt.Sprintf("%s %s, attempt %d", what, path, i))
					}
				}
				t.Logf("%d of %d succeeded", won, raceAttempts*5)
			})
		}
		race("the file is a link at times", func(s *fixture) {
			s.file("f")
			s.link(s.victim(), "evil")
		}, func(s *fixture, turn int) {
			s.exchange("f", "evil")
			if turn%50 == 0 {
				_ = os.Symlink(s.victim(), filepath.Join(s.home, "evil"))
				_ = os.Symlink(s.victim(), filepath.Join(s.home, "f"))
			}
		}, "f")
		race("the directory is a link at times", func(s *fixture) {
			s.mkdir("d")
			s.link(s.root, "evil")
		}, func(s *fixture, _ int) { s.exchange("d", "evil") }, "d/victim", "d/dir", "d/new", "d/dir/new")
		race("what is being made is swapped for a link", func(s *fixture) {
			s.link(s.root, "evil")
		}, func(s *fixture, _ int) {
			entries, _ := os.ReadDir(s.home)
			for _, e := range entries {
				if strings.Contains(e.Name(), ".hlplay-") {
					s.exchange(e.Name(), "evil")
				}
			}
		}, "victim", "dir", "new")
	})
}
