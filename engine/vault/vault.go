// Package vault decrypts what ansible-vault has encrypted: files and values in formats 1.1 and 1.2 with AES256.
package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// magic is the prefix of everything encrypted with ansible-vault.
const magic = "$ANSIBLE_VAULT;"

// Is reports whether content is encrypted with ansible-vault.
func Is(content []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(content), []byte(magic)) }

// ErrPassword is returned for a password that does not open a secret. A damaged secret cannot be distinguished from a
// wrong password.
var ErrPassword = errors.New("the password is wrong, or the secret is damaged")

// Sealed is an encrypted secret.
type Sealed struct {
	// ID is the vault ID, which names the password; empty if the secret has none.
	ID string

	salt, sum, text []byte
}

// The parameters of AES256 in formats 1.1 and 1.2.
const (
	rounds  = 10000
	keySize = 32
	ivSize  = aes.BlockSize
)

// Parse parses an encrypted secret.
func Parse(content []byte) (*Sealed, error) {
	header, body, _ := strings.Cut(strings.TrimSpace(string(content)), "\n")
	fields := strings.Split(strings.TrimSpace(header), ";")
	if fields[0]+";" != magic || len(fields) < 3 {
		return nil, fmt.Errorf("it is not encrypted with ansible-vault: expected text that begins with %s1.1;AES256", magic)
	}
	s := &Sealed{}
	switch version := fields[1]; {
	case version == "1.2" && len(fields) == 4:
		s.ID = fields[3]
	case version == "1.1" && len(fields) == 3, version == "1.2" && len(fields) == 3:
	default:
		return nil, fmt.Errorf("its format %q is not known: expected 1.1 or 1.2, which `ansible-vault rekey` writes", header)
	}
	if fields[2] != "AES256" {
		return nil, fmt.Errorf("its cipher %q is not known: expected AES256, which `ansible-vault rekey` writes", fields[2])
	}
	inner, err := hex.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return nil, errDamaged
	}
	parts := bytes.Split(inner, []byte("\n"))
	if len(parts) != 3 {
		return nil, errDamaged
	}
	for i, to := range []*[]byte{&s.salt, &s.sum, &s.text} {
		if *to, err = hex.DecodeString(string(parts[i])); err != nil {
			return nil, errDamaged
		}
	}
	if len(s.sum) != sha256.Size || len(s.text) == 0 || len(s.text)%aes.BlockSize != 0 {
		return nil, errDamaged
	}
	return s, nil
}

var errDamaged = errors.New("it is damaged: expected lines of hexadecimal digits below its header, as ansible-vault writes them")

// Open returns the decrypted secret, or ErrPassword.
func (s *Sealed) Open(password []byte) ([]byte, error) {
	derived, err := pbkdf2.Key(sha256.New, string(password), s.salt, rounds, 2*keySize+ivSize)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, derived[keySize:2*keySize])
	mac.Write(s.text)
	if !hmac.Equal(mac.Sum(nil), s.sum) {
		return nil, ErrPassword
	}
	block, err := aes.NewCipher(derived[:keySize])
	if err != nil {
		return nil, err
	}
	text := make([]byte, len(s.text))
	cipher.NewCTR(block, derived[2*keySize:]).XORKeyStream(text, s.text)
	padding := int(text[len(text)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errDamaged
	}
	return text[:len(text)-padding], nil
}

var tagged = regexp.MustCompile(`!vault(-encrypted)?([ \t]*[|>][0-9+-]*[ \t]*\r?\n[ \t]*|[ \t]+["'])\$ANSIBLE_VAULT;`)

// Untag replaces the !vault tags of encrypted values in YAML with spaces, so that a parser that does not know the tag
// reads them as strings. Positions in the text do not change.
func Untag(yaml []byte) []byte {
	return tagged.ReplaceAllFunc(yaml, func(match []byte) []byte {
		tag := bytes.IndexAny(match, " \t|>")
		return append(bytes.Repeat([]byte(" "), tag), match[tag:]...)
	})
}
