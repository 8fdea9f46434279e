package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"hlplay/engine/localfile"
)

// largestIdentity is the size limit of a file with keys.
const largestIdentity = 1 << 20

// UsualIdentities returns the key files that are used if none are given.
func UsualIdentities() []string {
	var files []string
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "hlplay", "identities"), filepath.Join(dir, "sops", "age", "keys.txt"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".ssh", "id_ed25519"), filepath.Join(home, ".ssh", "id_rsa"))
	}
	return files
}

// keys holds the user's keys.
type keys struct {
	// plain are the keys that need no passphrase, asking those that may need one.
	plain, asking []age.Identity
	files         []string

	mu   sync.Mutex
	woes []string // why some of them could not be used
}

// identities returns all keys, with those that may ask for a passphrase last.
func (k *keys) identities() []age.Identity {
	return append(append([]age.Identity{}, k.plain...), k.asking...)
}

// tried explains why no key opens a secret.
func (k *keys) tried() string {
	if len(k.files) == 0 {
		return fmt.Sprintf("you have no key to open it with: put your age key into %s, or name its file with --identity", UsualIdentities()[0])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	text := "it is not encrypted for you: none of the keys in " + strings.Join(k.files, ", ") + " opens it"
	if len(k.woes) > 0 {
		text += " (" + strings.Join(k.woes, "; ") + ")"
	}
	return text + "; name another file with --identity, or ask a recipient to add your key and run `hlplay secret rekey`"
}

func (k *keys) woe(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.woes = append(k.woes, fmt.Sprintf(format, args...))
}

func readKeys(o Options) (*keys, error) {
	k := &keys{}
	files, named := o.Identities, true
	if len(files) == 0 {
		files, named = UsualIdentities(), false
	}
	for _, file := range files {
		content, err := localfile.Read(file, largestIdentity)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !named:
			continue
		case err != nil:
			return nil, fmt.Errorf("the keys cannot be read: %w", err)
		}
		k.files = append(k.files, file)
		if err := k.add(file, content, o); err != nil {
			if named {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			k.woe("%s: %s", file, err)
		}
	}
	return k, nil
}

// add adds the keys in a file. Its errors reveal nothing about the content.
func (k *keys) add(file string, content []byte, o Options) error {
	switch {
	case IsFile(content):
		k.asking = append(k.asking, &encryptedFile{keys: k, file: file, content: content, ask: asker(o, file)})
		return nil
	case bytes.Contains(content, []byte("-----BEGIN")):
		return k.addSSH(file, content, o)
	}
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return errors.New("it holds no age keys: expected lines that begin with AGE-SECRET-KEY-, or a private SSH key")
	}
	k.plain = append(k.plain, identities...)
	return nil
}

func (k *keys) addSSH(file string, content []byte, o Options) error {
	identity, err := agessh.ParseIdentity(content)
	if err == nil {
		k.plain = append(k.plain, identity)
		return nil
	}
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return errors.New("it is not a private SSH key of type Ed25519 or RSA")
	}
	public := locked.PublicKey
	if public == nil { // the old format does not contain it
		line, err := localfile.Read(file+".pub", largestIdentity)
		if err == nil {
			public, _, _, _, err = ssh.ParseAuthorizedKey(line)
		}
		if err != nil {
			return fmt.Errorf("its public key is needed beside it, in %s.pub", file)
		}
	}
	e := &encryptedSSH{keys: k, file: file}
	ask := asker(o, file)
	e.key, err = agessh.NewEncryptedSSHIdentity(public, content, func() ([]byte, error) {
		answer, err := ask()
		e.unanswered = err
		return []byte(answer), err
	})
	if err != nil {
		return errors.New("it is not a private SSH key of type Ed25519 or RSA")
	}
	k.asking = append(k.asking, e)
	return nil
}

// asker returns a function that asks for the passphrase of a file, but only once.
func asker(o Options, file string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		if o.Ask == nil {
			return "", errors.New("it has a passphrase, which is not asked for here")
		}
		answer, err := o.Ask(o.Context, "Passphrase of "+file+": ")
		if err != nil {
			return "", fmt.Errorf("it has a passphrase, and %w", err)
		}
		return answer, nil
	})
}

// encryptedSSH is a private SSH key with a passphrase. If it cannot be used, other keys are still tried.
type encryptedSSH struct {
	keys       *keys
	file       string
	key        *agessh.EncryptedSSHIdentity
	unanswered error
	failed     bool
}

func (e *encryptedSSH) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if e.failed {
		return nil, age.ErrIncorrectIdentity
	}
	fileKey, err := e.key.Unwrap(stanzas)
	if err != nil && !errors.Is(err, age.ErrIncorrectIdentity) {
		e.failed = true
		if err = errWrongPassphrase; e.unanswered != nil {
			err = e.unanswered
		}
		e.keys.woe("%s: %s", e.file, err)
		return nil, age.ErrIncorrectIdentity
	}
	return fileKey, err
}

// encryptedFile is a file of age keys that is encrypted with a passphrase.
type encryptedFile struct {
	keys    *keys
	file    string
	content []byte
	ask     func() (string, error)

	open       bool
	identities []age.Identity
}

func (e *encryptedFile) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if !e.open {
		e.open = true
		var err error
		if e.identities, err = e.read(); err != nil {
			e.keys.woe("%s: %s", e.file, err)
		}
	}
	for _, identity := range e.identities {
		if fileKey, err := identity.Unwrap(stanzas); !errors.Is(err, age.ErrIncorrectIdentity) {
			return fileKey, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}

func (e *encryptedFile) read() ([]age.Identity, error) {
	raw, err := decode(e.content)
	if err != nil {
		return nil, err
	}
	passphrase, err := e.ask()
	if err != nil {
		return nil, err
	}
	key, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, errWrongPassphrase
	}
	plain, err := age.Decrypt(bytes.NewReader(raw), key)
	if err != nil {
		return nil, errWrongPassphrase
	}
	identities, err := age.ParseIdentities(plain)
	if err != nil {
		return nil, errors.New("it holds no age keys")
	}
	return identities, nil
}

var errWrongPassphrase = errors.New("the passphrase is wrong")
