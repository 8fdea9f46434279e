package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
)

// small is the size up to which a file's content travels with the command that puts it in place,
// in one session; larger ones go through SFTP.
const small = 64 << 10

// beginWrite finds what a path names and where the new file is to be made: beside it, so that
// renaming is atomic. Its arguments are the path and a random word.
//
// A symbolic link is followed, so that it stays one: root's authorized_keys on a Proxmox VE node is
// a link into /etc/pve.
const beginWrite = `p=$1
if [ -L "$p" ]; then
	r=$(readlink -f -- "$p" && echo /) || { echo "its link cannot be followed" >&2; exit 1; }
	p=${r%/}
	p=${p%?}
fi
if [ -d "$p" ]; then echo "$p is a directory" >&2; exit 1; fi
d=${p%/*}
[ -d "$d/" ] || { echo "its directory ${d:-/} does not exist" >&2; exit 1; }
b=${p##*/}
while [ ${#b} -gt 200 ]; do b=${b%?}; done
t=$d/.$b.hlplay-$2
umask 077
trap 'rm -f -- "$t"; exit 143' TERM HUP INT 2>/dev/null
fail() { rm -f -- "$t"; [ -z "$1" ] || echo "$1" >&2; exit 1; }
`

// endWrite gives the new file its mode and owner and puts it in place. Its arguments are those of
// beginWrite, then size, mode, owner and group, empty for "as before". The size is compared because
// a connection that is cut looks like the end of the content.
//
// Attributes are changed only where they differ: in /etc/pve (pmxcfs) they are fixed, and chmod and
// chown are errors. A new file there keeps what pmxcfs gives it.
const endWrite = `have=$(wc -c <"$t") || fail
[ "$have" -eq "$3" ] || fail "only $((have)) of $3 bytes have arrived"
m=$4 o=$5 g=$6
if [ -e "$p" ]; then
	[ -n "$m" ] || m=$(stat -c %a -- "$p") || fail
	[ -n "$o" ] || o=$(stat -c %u -- "$p") || fail
	[ -n "$g" ] || g=$(stat -c %g -- "$p") || fail
fi
case $p in
/etc/pve/*) ;;
*) [ -n "$m" ] || m=644 ;;
esac
if [ -n "$o" ] && [ "$o" != "$(stat -c %u -- "$t")" ] && [ "$o" != "$(stat -c %U -- "$t")" ]; then chown -- "$o" "$t" || fail; fi
if [ -n "$g" ] && [ "$g" != "$(stat -c %g -- "$t")" ] && [ "$g" != "$(stat -c %G -- "$t")" ]; then chgrp -- "$g" "$t" || fail; fi
if [ -n "$m" ] && [ "$m" != "$(stat -c %a -- "$t")" ]; then chmod -- "$m" "$t" || fail; fi
sync -- "$t" 2>/dev/null
mv -f -- "$t" "$p" || fail
`

// The three scripts of a write. Small content stands on the standard input of the first.
const (
	writeScript = beginWrite + `head -c "$3" >"$t" || fail` + "\n" + endWrite
	makeScript  = beginWrite + `: >"$t" || fail` + "\nprintf %s \"$t\"\n"
	moveScript  = beginWrite + endWrite
	dropScript  = beginWrite + "fail\n"
)

// WriteFile replaces a file atomically: the content goes to a file of mode 0600 beside it, named
// .NAME.hlplay-RANDOM, which is given its mode and owner, brought to the disk, and renamed. If Path
// is a symbolic link, the file that it points to is replaced, and the link stays. On an error
// nothing of it is left behind, unless the host itself is lost at that moment.
func (s *session) WriteFile(ctx context.Context, f File) error {
	if !f.writable() {
		return fmt.Errorf("%s: write %q: want an absolute path of a file", s.conn.name, f.Path)
	}
	attributes := f.attributes()
	if !f.Small() {
		done, err := s.writeLarge(ctx, f, attributes)
		if done || err != nil {
			return err
		}
	}
	_, err := s.step(ctx, f, writeScript, attributes, f.Content)
	return err
}

func (f File) writable() bool { return path.IsAbs(f.Path) && !strings.HasSuffix(f.Path, "/") }

// attributes are the arguments of the scripts.
func (f File) attributes() []string {
	mode := ""
	if f.Mode != 0 {
		mode = strconv.FormatUint(uint64(modeBits(f.Mode)), 8)
	}
	return []string{f.Path, nonce()[:12], strconv.Itoa(len(f.Content)), mode, f.Owner, f.Group}
}

// Small says whether one command can write the file, whose content then travels with it.
func (f File) Small() bool { return f.writable() && len(f.Content) <= small }

// Command is the command by which WriteFile writes a small file, for those who have more to do in the
// same flight; Failure says what it means that it did not end with 0.
func (f File) Command() Command { return f.command(writeScript, f.attributes(), f.Content) }

func (f File) command(script string, args []string, stdin []byte) Command {
	return Command{Argv: append([]string{"sh", "-c", script, "hlplay"}, args...), Stdin: stdin, Dir: "/"}
}

// modeBits are the permission bits as chmod(1) counts them.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for special, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&special != 0 {
			bits |= bit
		}
	}
	return bits
}

// step runs one of the scripts and returns what it printed.
func (s *session) step(ctx context.Context, f File, script string, args []string, stdin []byte) (string, error) {
	r, err := s.Run(ctx, f.command(script, args, stdin))
	if err != nil {
		return "", fmt.Errorf("write %s: %w", f.Path, err)
	}
	if r.Exit == 0 {
		return string(r.Stdout), nil
	}
	return "", f.Failure(s.conn.name, r)
}

// errnos are the failures that callers ask for with errors.Is, by their text in the C locale.
var errnos = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM}

// errnoIn is the failure that a message tells; nil if it tells none of them.
func errnoIn(text string) error {
	text = strings.ToLower(text)
	for _, errno := range errnos {
		if strings.Contains(text, errno.Error()) {
			return errno
		}
	}
	return nil
}

// Failure explains why the command did not write the file.
func (f File) Failure(host string, r Result) error {
	text := lastLines(r.Stderr, 2)
	if errno := errnoIn(text); errno != nil {
		return fmt.Errorf("%s: write %s: %w (%s); the file is as it was", host, f.Path, errno, text)
	}
	if text == "" {
		text = fmt.Sprintf("exit code %d", r.Exit)
	}
	return fmt.Errorf("%s: write %s: %s; the file is as it was", host, f.Path, text)
}

// writeLarge writes through SFTP. It says whether that is the end of it: not where there is no SFTP
// for this user, or where it fails on the host. Nothing has then been changed.
func (s *session) writeLarge(ctx context.Context, f File, attributes []string) (bool, error) {
	client, err := s.sftp(ctx)
	if err != nil {
		return false, err
	}
	if client == nil {
		return false, nil
	}
	defer client.Close()
	temporary, err := s.step(ctx, f, makeScript, attributes[:2], nil)
	if errors.Is(err, errRefused) { // two sessions at once are too many for this host
		return false, nil
	}
	if err != nil {
		return true, err
	}
	uploading, cancel := context.WithTimeout(ctx, DefaultLimit)
	defer cancel()
	_, err = wait(uploading, func() (struct{}, error) { return struct{}{}, upload(client, temporary, f.Content) })
	client.Close()
	if err == nil {
		_, err = s.step(ctx, f, moveScript, attributes, nil)
		return true, err
	}
	clean, cancelClean := context.WithTimeout(context.WithoutCancel(ctx), slack)
	defer cancelClean()
	_, _ = s.step(clean, f, dropScript, attributes[:2], nil) // the first error is the one to tell
	if ctx.Err() == nil {
		if lost := s.conn.gone(); lost != nil {
			return true, fmt.Errorf("write %s: %w", f.Path, lost)
		}
	}
	// Version 3 of SFTP has no code for a full disk or a read-only file system: OpenSSH's server says
	// "failure". The shell can do without it, or say why not.
	if status := (*sftp.StatusError)(nil); errors.As(err, &status) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	return true, fmt.Errorf("%s: write %s: %w; the file is as it was", s.conn.name, f.Path, err)
}

// upload writes content to an existing file, many packets in flight.
func upload(client *sftp.Client, name string, content []byte) error {
	w, err := client.OpenFile(name, os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = w.ReadFromWithConcurrency(bytes.NewReader(content), 0)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}

// serveSFTP starts OpenSSH's server where the distributions put it.
const serveSFTP = `for p in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/libexec/sftp-server /usr/lib/ssh/sftp-server; do [ ! -x "$p" ] || exec "$p"; done; exit 127`

// sftp starts an SFTP session as the user: the subsystem for the login user, for others the server
// itself through sudo. It is nil where there is none, or where sudo would want its password again.
func (s *session) sftp(ctx context.Context) (*sftp.Client, error) {
	t, ok := s.conn.transport.(*sshTransport)
	if !ok {
		return nil, nil
	}
	if password, err := s.needsPassword(ctx); password || err != nil {
		return nil, err
	}
	var p process
	var out io.Reader
	if s.user == "" {
		started, err := t.subsystem(ctx, "sftp")
		if errors.Is(err, errNoSubsystem) || errors.Is(err, errRefused) {
			return nil, nil
		}
		if err != nil {
			if ctx.Err() == nil {
				if lost := s.conn.gone(); lost != nil {
					return nil, lost
				}
			}
			return nil, fmt.Errorf("%s: %w", s.conn.name, err)
		}
		p, out = started, started.Stdout()
	} else {
		started, err := s.spawn(ctx, boot, true)
		if errors.Is(err, errRefused) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		script := frame([]byte("{\n" + environment + "_hl_n=" + started.nonce + "\n" + marks + serveSFTP + "\n}\n"))
		if _, err := started.Stdin().Write(script); err != nil {
			started.Close()
			return nil, nil // it has ended: the shell, which is tried next, hears why
		}
		p, out = started, started.out
	}
	go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
	bounded, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	client, err := wait(bounded, func() (*sftp.Client, error) {
		if sp, ok := p.(*spawned); ok {
			if _, err := sp.started(); err != nil {
				return nil, err
			}
		}
		return sftp.NewClientPipe(out, closer{p.Stdin(), p}, sftp.UseConcurrentWrites(true))
	})
	if err != nil {
		p.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", s.conn.name, err)
		}
		return nil, nil // no SFTP here: the shell can do it
	}
	return client, nil
}

// closer lets go of the whole process when the SFTP client closes its input.
type closer struct {
	io.WriteCloser
	p process
}

func (c closer) Close() error {
	err := c.WriteCloser.Close()
	c.p.Close()
	return err
}
