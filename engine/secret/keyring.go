// Package secret opens and seals secrets that are kept in a repository: values and files encrypted with age
// (age-encryption.org/v1), either armored or as Base64 on one line. It also opens secrets encrypted with ansible-vault.
// Opened secrets are kept in memory only.
//
// Secrets are sealed for the recipients listed in a file of the repository (see FindRecipients), and opened with the
// age or SSH keys of the user (see Options.Identities).
package secret

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"

	"hlplay/engine/vault"
)

// Options configures how a Keyring opens secrets.
type Options struct {
	// Identities are files with keys: age keys made by age-keygen, possibly encrypted with a passphrase, or private
	// SSH keys of type Ed25519 or RSA. If it is empty, the existing files of UsualIdentities are used.
	Identities []string
	// VaultPasswords open secrets encrypted with Ansible Vault.
	VaultPasswords []VaultPassword
	// Ask asks the user for a passphrase or password, once for each. Nil means that nobody can be asked.
	Ask func(ctx context.Context, prompt string) (string, error)
	// Context limits the time for questions. Nil means no limit.
	Context context.Context
	// Lenient makes Functions return unknown values for secrets that no key opens.
	Lenient bool
}

// Keyring opens secrets. Each secret is opened only once. A Keyring is safe for concurrent use. A nil Keyring is
// lenient and has no keys.
type Keyring struct {
	options   Options
	keys      func() (*keys, error)
	passwords []vaultPassword

	mu     sync.Mutex
	opened map[[sha256.Size]byte]outcome
	texts  []string
	hear   func(...string)
}

type outcome struct {
	text []byte
	err  error
}

// NewKeyring returns a Keyring. Keys are read when the first secret is opened.
func NewKeyring(o Options) *Keyring {
	if o.Context == nil {
		o.Context = context.Background()
	}
	k := &Keyring{options: o, opened: map[[sha256.Size]byte]outcome{}, passwords: vaultPasswords(o)}
	k.keys = sync.OnceValues(func() (*keys, error) { return readKeys(o) })
	return k
}

// LockedError is returned for a well-formed secret that no available key opens.
type LockedError struct{ Reason string }

func (e *LockedError) Error() string { return e.Reason }

// Hear calls f with the secrets opened so far, and later with each further one when it is opened.
func (k *Keyring) Hear(f func(texts ...string)) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f(k.texts...)
	k.hear = f
}

// Lenient reports whether a secret that no key opens becomes an unknown value rather than an error.
func (k *Keyring) Lenient() bool { return k == nil || k.options.Lenient }

// Open decrypts a secret, given as the text or the content of a file. The error is a *LockedError if no key opens it.
func (k *Keyring) Open(sealed []byte) ([]byte, error) {
	raw, decrypt := sealed, (*Keyring).openVault
	if !vault.Is(sealed) {
		var err error
		if raw, err = decode(sealed); err != nil {
			return nil, err
		}
		decrypt = (*Keyring).decrypt
	}
	if k == nil {
		return nil, &LockedError{"no key is read here"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := sha256.Sum256(raw)
	if known, ok := k.opened[sum]; ok {
		return bytes.Clone(known.text), known.err
	}
	text, err := decrypt(k, raw)
	k.opened[sum] = outcome{text, err}
	if err == nil {
		k.texts = append(k.texts, string(text))
		if k.hear != nil {
			k.hear(string(text))
		}
	}
	return bytes.Clone(text), err
}

func (k *Keyring) decrypt(raw []byte) ([]byte, error) {
	keys, err := k.keys()
	if err != nil {
		return nil, err
	}
	// Without any identity, age would not read the header.
	plain, err := age.Decrypt(bytes.NewReader(raw), append(keys.identities(), nobody{})...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, &LockedError{keys.tried()}
	case err != nil:
		return nil, fmt.Errorf("it is damaged: %s", trimmed(err))
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %s", trimmed(err))
	}
	return text, nil
}

// trimmed returns the text of an error of the age library without its prefixes.
func trimmed(err error) string {
	text := err.Error()
	for _, prefix := range []string{"failed to read header: ", "parsing age header: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// nobody is an identity that opens nothing.
type nobody struct{}

func (nobody) Unwrap([]*age.Stanza) ([]byte, error) { return nil, age.ErrIncorrectIdentity }
