package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"hlplay/engine/localfile"
)

// RecipientsFile is the name of the file that lists the recipients of secrets: public age or SSH keys, one per line.
const RecipientsFile = ".age-recipients"

// FindRecipients returns the recipients file that applies to a directory: its own, or that of the nearest parent
// directory. The search ends at the root of a Git repository.
func FindRecipients(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		file := filepath.Join(at, RecipientsFile)
		info, err := os.Stat(file)
		switch {
		case err == nil:
			if why := localfile.Foreign(info); why != "" {
				return "", fmt.Errorf("%s is not used, because secrets would be encrypted for whoever wrote it: %s", file, why)
			}
			return file, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil || at == filepath.Dir(at) {
			return "", fmt.Errorf("there is no file %s in %s or above it: list in it the public keys that secrets are encrypted for, one a line, as `age-keygen -y` prints them or as in ~/.ssh/id_ed25519.pub", RecipientsFile, dir)
		}
	}
}

// ReadRecipients reads a file of recipients.
func ReadRecipients(file string) ([]age.Recipient, error) {
	content, err := localfile.Read(file, largestIdentity)
	if err != nil {
		return nil, err
	}
	var all []age.Recipient
	for i, line := range bytes.Split(content, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		recipient, err := parseRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		all = append(all, recipient)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s lists no recipients: write public age or SSH keys, one a line", file)
	}
	return all, nil
}

// parseRecipient parses a public key. Its errors do not quote the key: it may be a private key by mistake.
func parseRecipient(text string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(text, "AGE-SECRET-KEY-"), strings.HasPrefix(text, "-----BEGIN"):
		return nil, errors.New("this is a private key, and the file is no place for it: remove it, make a new key, and write its public key (age-keygen -y)")
	case strings.HasPrefix(text, "ssh-"):
		recipient, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, errors.New("this is not a public SSH key of type ssh-ed25519 or ssh-rsa of at least 2048 bits")
		}
		return recipient, nil
	case strings.HasPrefix(text, "age1"):
		if all, err := age.ParseRecipients(strings.NewReader(text)); err == nil && len(all) == 1 {
			return all[0], nil
		}
		if strings.Count(text, "1") > 1 {
			return nil, errors.New("this is a key of a plugin, or damaged; hlplay uses none of age's plugins")
		}
	}
	return nil, errors.New("this is not a public key: expected age1…, ssh-ed25519 … or ssh-rsa …")
}
