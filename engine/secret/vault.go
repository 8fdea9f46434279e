package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
	"hlplay/engine/localfile"
	"hlplay/engine/vault"
)

// VaultPassword is the source of an Ansible Vault password.
type VaultPassword struct {
	// ID is the vault ID, or empty. A password is also tried on secrets with other IDs, after the passwords for their
	// own ID.
	ID string
	// File contains the password. An executable file is run and prints it. If File is empty, the user is asked.
	File string
}

// ParseVaultID parses a vault ID in the form that ansible-vault accepts: [ID@]FILE or [ID@]prompt.
func ParseVaultID(s string) VaultPassword {
	id, file, ok := cutLast(s, "@")
	if !ok {
		id, file = "", s
	}
	if file == "prompt" {
		file = ""
	}
	return VaultPassword{id, file}
}

// vaultPassword is a password that is read when it is first needed.
type vaultPassword struct {
	VaultPassword
	get func() ([]byte, error)
}

func vaultPasswords(o Options) []vaultPassword {
	var all []vaultPassword
	for _, p := range o.VaultPasswords {
		all = append(all, vaultPassword{p, sync.OnceValues(func() ([]byte, error) { return p.read(o) })})
	}
	return all
}

// scriptTime limits how long a script may take to print a password.
const scriptTime = time.Minute

func (p VaultPassword) read(o Options) ([]byte, error) {
	if p.File == "" {
		if o.Ask == nil {
			return nil, errors.New("it is not asked for here")
		}
		question := "Vault password: "
		if p.ID != "" {
			question = fmt.Sprintf("Vault password (%s): ", p.ID)
		}
		answer, err := o.Ask(o.Context, question)
		return []byte(answer), err
	}
	info, err := os.Stat(p.File)
	if err != nil {
		return nil, err
	}
	var content []byte
	if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
		content, err = p.run(o)
	} else {
		content, err = localfile.Read(p.File, largestIdentity)
	}
	if content = bytes.TrimSpace(content); err == nil && len(content) == 0 {
		err = fmt.Errorf("%s holds no password", p.File)
	}
	return content, err
}

func (p VaultPassword) run(o Options) ([]byte, error) {
	path, err := filepath.Abs(p.File)
	if err != nil {
		return nil, err
	}
	if err := localfile.MayRun(path, p.File); err != nil {
		return nil, err
	}
	var args []string
	if name := filepath.Base(path); strings.HasSuffix(strings.TrimSuffix(name, filepath.Ext(name)), "-client") && p.ID != "" {
		args = []string{"--vault-id", p.ID} // the same arguments as ansible-vault
	}
	ctx, cancel := context.WithTimeout(o.Context, scriptTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stderr, cmd.WaitDelay = os.Stdin, os.Stderr, time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s, which is to print the password: %w", p.File, err)
	}
	return out, nil
}

// ReadPassword returns the password in a file, or what the file prints if it is executable, as Ansible has it.
func ReadPassword(ctx context.Context, file string) (string, error) {
	password, err := VaultPassword{File: file}.read(Options{Context: ctx})
	return string(password), err
}

// String returns the source of the password.
func (p VaultPassword) String() string {
	name := p.File
	if name == "" {
		name = "prompt"
	}
	if p.ID != "" {
		name = p.ID + "@" + name
	}
	return name
}

// openVault opens a secret encrypted with Ansible Vault.
func (k *Keyring) openVault(sealed []byte) ([]byte, error) {
	s, err := vault.Parse(sealed)
	if err != nil {
		return nil, err
	}
	what := "it is encrypted with Ansible Vault"
	if s.ID != "" {
		what += fmt.Sprintf(" under the ID %q", s.ID)
	}
	if len(k.passwords) == 0 {
		return nil, &LockedError{what + ", and no password is given: name its file with --vault-password-file"}
	}
	var tried []string
	for _, fits := range []bool{true, false} {
		for _, p := range k.passwords {
			if (p.ID == s.ID) != fits {
				continue
			}
			password, err := p.get()
			if err != nil {
				tried = append(tried, fmt.Sprintf("%s: %s", p, err))
				continue
			}
			text, err := s.Open(password)
			if err == nil {
				return text, nil
			}
			tried = append(tried, fmt.Sprintf("%s: %s", p, err))
		}
	}
	return nil, &LockedError{what + ", and no password opens it (" + strings.Join(tried, "; ") + ")"}
}

// OpenValues opens all strings in a value that are encrypted with Ansible Vault, and marks them as sensitive. If a
// lenient Keyring cannot open one of them, it becomes unknown. The path in an error leads to the string concerned.
func (k *Keyring) OpenValues(v cty.Value) (cty.Value, error) {
	return cty.Transform(v, func(path cty.Path, v cty.Value) (cty.Value, error) {
		if v.Type() != cty.String || v.IsNull() || !v.IsKnown() || v.IsMarked() || !vault.Is([]byte(v.AsString())) {
			return v, nil
		}
		opened, err := k.Value("the secret", []byte(v.AsString()))
		if err != nil {
			return cty.NilVal, path.NewError(err)
		}
		return opened, nil
	})
}

// Value opens a secret and returns it as a value of the language, marked as sensitive. A lenient Keyring returns an
// unknown value if no key opens the secret. what names the secret in errors.
func (k *Keyring) Value(what string, sealed []byte) (cty.Value, error) {
	text, err := k.Open(sealed)
	var locked *LockedError
	switch {
	case errors.As(err, &locked) && k.Lenient():
		return cty.UnknownVal(cty.String).Mark(hostvar.Sensitive), nil
	case err != nil:
		return cty.NilVal, fmt.Errorf("%s cannot be opened: %w", what, err)
	case !utf8.Valid(text):
		return cty.NilVal, fmt.Errorf("%s does not hold UTF-8 text", what)
	}
	return cty.StringVal(string(text)).Mark(hostvar.Sensitive), nil
}
