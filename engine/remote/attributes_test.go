package remote

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// acl returns an access control list as in acl(5)'s extended attribute: u::rw-, u:12345:r--, g::---, m::r--, o::---.
func acl() []byte {
	var b bytes.Buffer
	for _, entry := range []any{uint32(2),
		uint16(1), uint16(6), ^uint32(0), uint16(2), uint16(4), uint32(12345),
		uint16(4), uint16(0), ^uint32(0), uint16(16), uint16(4), ^uint32(0), uint16(32), uint16(0), ^uint32(0)} {
		_ = binary.Write(&b, binary.LittleEndian, entry) // to memory
	}
	return b.Bytes()
}

// A new file gets the access control list and attributes of the file that it replaces, or the old file stays.
func TestAccessControlListsAreKept(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for _, content := range [][]byte{[]byte("new"), bytes.Repeat([]byte("large"), 1<<15)} {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string][]byte{"system.posix_acl_access": acl(), "user.note": []byte("kept")} {
				if err := unix.Setxattr(path, name, value, 0); err != nil {
					t.Skipf("the file system of %s has no %s: %v", path, name, err)
				}
			}
			write(t, c, File{Path: path, Content: content})
			expectFile(t, path, content, 0o640) // the group bits are the mask
			for name, want := range map[string][]byte{"system.posix_acl_access": acl(), "user.note": []byte("kept")} {
				got := make([]byte, 200)
				n, err := unix.Getxattr(path, name, got)
				if err != nil || !bytes.Equal(got[:max(n, 0)], want) {
					t.Errorf("%s is %x (%v), want %x", name, got[:max(n, 0)], err, want)
				}
			}
		}
	})
}

func TestAttributesRefused(t *testing.T) {
	key, bin := newKey(t, "id", ""), t.TempDir()
	cp := "#!/bin/sh\necho 'cp: cannot preserve extended attributes, cp is built without xattr support' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "cp"), []byte(cp), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	for way, hand := range map[string]string{"the shell": "", "the hand": handProgram()} {
		c := mustDial(t, s.target("root", key), plain())
		c.hand = hand
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(path, "user.note", []byte("kept"), 0); err != nil {
			t.Skipf("the file system of %s has no such attributes: %v", path, err)
		}
		_, err := c.WriteFile(bounded(t), File{Path: path, Content: []byte("new")})
		if err == nil || !strings.Contains(err.Error(), "extended attributes cannot be carried over") {
			t.Errorf("%s: error %v, want one that says what cannot be carried over", way, err)
		}
		expectFile(t, path, []byte("old"), 0o644)
		noLeftovers(t, filepath.Dir(path))
	}
}

// A file on the controller is read while it is written to the host, and replaces the target only if it has not changed.
func TestWriteFileFromASource(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		content := bytes.Repeat([]byte("0123456789"), 30_000)
		if err := os.WriteFile(from, content, 0o600); err != nil {
			t.Fatal(err)
		}
		source, err := ReadSource(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, File{Path: to, Source: &source})
		expectFile(t, to, content, 0o644)
		for name, changed := range map[string][]byte{"other": append([]byte("x"), content[1:]...), "shorter": content[1:]} {
			if err := os.WriteFile(from, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := c.WriteFile(bounded(t), File{Path: to, Source: &source})
			if err == nil || !strings.Contains(err.Error(), "has changed since") {
				t.Errorf("%s: error %v, want one that says so", name, err)
			}
			expectFile(t, to, content, 0o644)
		}
	})
}
