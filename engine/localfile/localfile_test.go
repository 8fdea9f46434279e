package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadRefusesWhatCouldBeWaitedFor(t *testing.T) {
	dir := t.TempDir()
	fifo, socket, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo: "it is a FIFO", link: "it is a FIFO", socket: "it is a socket",
		"/dev/zero": "it is a device", "/dev/tty": "it is a device", "/dev/full": "it is a device",
		dir: "is a directory", filepath.Join(dir, "none"): "no such file",
	} {
		_, err := Read(path, 1<<20)
		var known *fs.PathError
		if !errors.As(err, &known) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v (%T), want a PathError that says %q", path, err, err, want)
		}
	}
}

func TestReadReadsFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if src, err := Read(path, 7); string(src) != "content" || err != nil {
		t.Errorf("read %q, %v", src, err)
	}
	if _, err := Read(path, 6); err == nil || !strings.Contains(err.Error(), "larger than 0 KiB") {
		t.Errorf("a file that is too large: error %v", err)
	}
	if src, err := Read(os.DevNull, 7); len(src) != 0 || err != nil {
		t.Errorf("/dev/null: read %q, %v", src, err)
	}
	// This is what a shell passes for <(command).
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprint(w, "from a command")
	w.Close()
	if src, err := Read(fmt.Sprintf("/dev/fd/%d", r.Fd()), 1<<20); string(src) != "from a command" || err != nil {
		t.Errorf("a pipe: read %q, %v", src, err)
	}
}
