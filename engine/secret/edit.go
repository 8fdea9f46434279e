package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/localfile"
	"hlplay/engine/vault"
)

// largestFile is the size limit of a file with secrets.
const largestFile = 64 << 20

// Place is an encrypted file, or an encrypted value in a file.
type Place struct {
	Path    string
	whole   bool
	content []byte
	sealed  Sealed
}

// Locate finds what the user names: with FILE, a file that is encrypted as a whole or contains a single encrypted
// value; with FILE:LINE, the value on a line.
func Locate(name string) (*Place, error) {
	path, line := name, 0
	if file, number, ok := cutLast(name, ":"); ok {
		if n, err := strconv.Atoi(number); err == nil {
			path, line = file, n
		}
	}
	content, err := localfile.Read(path, largestFile)
	if err != nil {
		return nil, err
	}
	whole := IsFile(content)
	if whole {
		line = 0
	}
	var found []Sealed
	all := Find(content)
	if vault.Is(content) {
		all = []Sealed{{End: len(content), Line: 1, LastLine: 1, Text: content}}
	}
	for _, s := range all {
		if line == 0 || s.Line <= line && line <= s.LastLine {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return &Place{path, whole, content, found[0]}, nil
	case len(all) == 0:
		return nil, fmt.Errorf("%s holds nothing encrypted: `hlplay secret encrypt %s` encrypts it as a whole, and without a file prints an encrypted value to put into one", path, path)
	case len(found) == 0:
		return nil, fmt.Errorf("%s has no encrypted value on line %d; it has some on %s", path, line, lines(all))
	case line == 0:
		return nil, fmt.Errorf("%s has %d encrypted values: name one by its line, as in %s:%d; they are on %s", path, len(found), path, found[0].Line, lines(all))
	}
	return nil, fmt.Errorf("%s has %d encrypted values on line %d: put each on a line of its own", path, len(found), line)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func lines(all []Sealed) string {
	var numbers []string
	for _, s := range all {
		if n := strconv.Itoa(s.Line); len(numbers) == 0 || numbers[len(numbers)-1] != n {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 1 {
		return "line " + numbers[0]
	}
	return "lines " + strings.Join(numbers, ", ")
}

// String returns the name of the place in the form that Locate accepts.
func (p *Place) String() string {
	if p.whole {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.sealed.Line)
}

// Open returns the secret.
func (p *Place) Open(k *Keyring) ([]byte, error) {
	text, err := k.Open(p.sealed.Text)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w", p, err)
	}
	return text, nil
}

// Replace encrypts text and stores it in place of the current secret.
func (p *Place) Replace(text []byte) error {
	if vault.Is(p.sealed.Text) {
		return fmt.Errorf("%s is encrypted with Ansible Vault, which hlplay reads and does not write: change it with ansible-vault, or decrypt it and encrypt its text with `hlplay secret encrypt`", p)
	}
	to, err := recipientsOf(p.Path)
	if err != nil {
		return err
	}
	sealed, err := p.sealed.again(text, to)
	if err != nil {
		return err
	}
	return localfile.Replace(p.Path, p.content, bytes.Join([][]byte{p.content[:p.sealed.Start], sealed, p.content[p.sealed.End:]}, nil))
}

// EncryptFile encrypts a whole file in place.
func EncryptFile(path string) error {
	content, err := localfile.Read(path, largestFile)
	if err != nil {
		return err
	}
	if IsFile(content) {
		return fmt.Errorf("%s is encrypted already; `hlplay secret rekey` encrypts it for other recipients", path)
	}
	to, err := recipientsOf(path)
	if err != nil {
		return err
	}
	sealed, err := SealFile(content, to)
	if err != nil {
		return err
	}
	return localfile.Replace(path, content, sealed)
}

// Edit lets the user change a text with an editor, given as a command line for the shell. The editor gets a temporary
// file that only its owner can read. If possible, the file is on an in-memory file system; it is removed however the
// editor ends. tell is called with anything that the user should know.
func Edit(ctx context.Context, editor string, text []byte, tell func(string)) (edited []byte, err error) {
	dir, inMemory, err := privateDir()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if !inMemory {
		tell("there is no file system in memory here: the editor gets the secret in a private file under " + dir)
	}
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the editor %s ended with an error, and nothing was changed: %w", editor, err)
	}
	edited, err = localfile.Read(file, largestFile)
	if err != nil {
		return nil, fmt.Errorf("the editor %s left no file to read, and nothing was changed: %w", editor, err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) { // editors append a newline
		edited = bytes.TrimSuffix(edited, []byte("\n"))
	}
	return edited, nil
}

// privateDir creates a directory that only its owner can enter.
func privateDir() (dir string, inMemory bool, err error) {
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if base == "" || !isMemory(base) {
			continue
		}
		if dir, err := os.MkdirTemp(base, "hlplay-secret-"); err == nil {
			return dir, true, nil
		}
	}
	dir, err = os.MkdirTemp("", "hlplay-secret-")
	return dir, isMemory(dir), err
}
