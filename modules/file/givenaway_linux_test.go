package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The prediction is what the kernel of this machine does, for root, and also if the owner stays the same.
func TestGivenAway(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o755, 0o4755, 0o2755, 0o6755, 0o2745, 0o6745, 0o7755, 0o6644} {
		for _, uid := range []int{65534, 65534, 0} {
			if err := syscall.Chmod(path, uint32(mode)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, uid, -1); err != nil {
				t.Fatal(err)
			}
			var now syscall.Stat_t
			if err := syscall.Stat(path, &now); err != nil {
				t.Fatal(err)
			}
			if got := fs.FileMode(now.Mode & 0o7777); got != givenAway(mode) {
				t.Errorf("%04o is %04o after a chown to %d, and is predicted as %04o", uint32(mode), uint32(got), uid, uint32(givenAway(mode)))
			}
		}
	}
}
