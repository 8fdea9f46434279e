package secret

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// write creates a file in a directory of the test.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// native creates a file with an age key.
func native(t *testing.T) (file string, to age.Recipient) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "keys.txt", "# made for a test\n"+key.String()+"\n"), key.Recipient()
}

const passphrase = "open sesame"

// sshKey creates a private SSH key, with a passphrase unless that is empty.
func sshKey(t *testing.T, passphrase string) (file string, to age.Recipient) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	to, err = agessh.NewEd25519Recipient(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "id_ed25519", string(pem.EncodeToMemory(block))), to
}

// encryptedKeys creates a file with an age key that is protected by a passphrase.
func encryptedKeys(t *testing.T) (file string, to age.Recipient) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	lock.SetWorkFactor(10)
	sealed, err := SealFile([]byte(key.String()+"\n"), []age.Recipient{lock})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "keys.age", string(sealed)), key.Recipient()
}

// TestOpen seals secrets of several shapes, as values and as files, and opens them with keys of each kind. Each
// passphrase is asked for only once.
func TestOpen(t *testing.T) {
	keys := map[string]func(*testing.T) (string, age.Recipient){
		"age":                   native,
		"ssh":                   func(t *testing.T) (string, age.Recipient) { return sshKey(t, "") },
		"ssh with a passphrase": func(t *testing.T) (string, age.Recipient) { return sshKey(t, passphrase) },
		"age with a passphrase": encryptedKeys,
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			file, to := key(t)
			asked := 0
			k := NewKeyring(Options{Identities: []string{file}, Ask: func(_ context.Context, prompt string) (string, error) {
				asked++
				if !strings.Contains(prompt, file) {
					t.Errorf("the question %q does not name the key", prompt)
				}
				return passphrase, nil
			}})
			var heard []string
			k.Hear(func(texts ...string) { heard = append(heard, texts...) })
			shapes := []string{"x", "two words", "two\nlines\n", "quotes \"'`$", "", "\x00\xff"}
			for _, text := range shapes {
				value, err := SealValue([]byte(text), []age.Recipient{to})
				if err != nil {
					t.Fatal(err)
				}
				armored, err := SealFile([]byte(text), []age.Recipient{to})
				if err != nil {
					t.Fatal(err)
				}
				indented := "  " + strings.ReplaceAll(string(armored), "\n", "\r\n    ")
				for _, sealed := range []string{value, " " + value + "\n", string(armored), indented} {
					if got, err := k.Open([]byte(sealed)); err != nil || string(got) != text {
						t.Errorf("%q, sealed as %q: %q, %v", text, sealed, got, err)
					}
				}
			}
			if strings.HasSuffix(name, "passphrase") != (asked == 1) || asked > 1 {
				t.Errorf("a passphrase was asked for %d times", asked)
			}
			if len(heard) != 2*len(shapes) {
				t.Errorf("%d secrets were told, of %d", len(heard), 2*len(shapes))
			}
		})
	}
}

// TestLocked checks secrets that no key opens: the error says which keys were tried and why each of them failed.
func TestLocked(t *testing.T) {
	mine, _ := native(t)
	other, to := native(t)
	locked, toLocked := sshKey(t, passphrase)
	encrypted, toEncrypted := encryptedKeys(t)
	wrong := func(context.Context, string) (string, error) { return "wrong", nil }
	nobody := func(context.Context, string) (string, error) { return "", errors.New("there is no terminal") }
	for _, test := range []struct {
		files []string
		to    age.Recipient
		ask   func(context.Context, string) (string, error)
		want  string
	}{
		{[]string{mine}, to, nil, "none of the keys in " + mine + " opens it;"},
		{[]string{locked}, toLocked, nil, locked + ": it has a passphrase, which is not asked for here"},
		{[]string{locked}, toLocked, nobody, locked + ": it has a passphrase, and there is no terminal"},
		{[]string{locked, mine}, toLocked, wrong, locked + ": the passphrase is wrong"},
		{[]string{encrypted}, toEncrypted, wrong, encrypted + ": the passphrase is wrong"},
	} {
		k := NewKeyring(Options{Identities: test.files, Ask: test.ask})
		sealed, err := SealValue([]byte("text"), []age.Recipient{test.to})
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Open([]byte(sealed))
		if lock := (*LockedError)(nil); !errors.As(err, &lock) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v\nexpected %q", err, test.want)
		}
	}
	// A key that cannot be used does not keep others from being tried.
	sealed, err := SealValue([]byte("text"), []age.Recipient{toLocked, to})
	if err != nil {
		t.Fatal(err)
	}
	k := NewKeyring(Options{Identities: []string{locked, encrypted, other}, Ask: wrong})
	if text, err := k.Open([]byte(sealed)); err != nil || string(text) != "text" {
		t.Errorf("with one key that is locked and one that fits: %q, %v", text, err)
	}
}

// TestDamaged checks input that is not a secret: the error is a different one, with or without keys.
func TestDamaged(t *testing.T) {
	file, to := native(t)
	value, err := SealValue([]byte("text"), []age.Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	armored, err := SealFile([]byte("text"), []age.Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	for sealed, want := range map[string]string{
		"":                            "it is empty",
		"hunter2":                     "it is not encrypted with age or ansible-vault",
		value[:len(value)-8]:          "it is damaged",
		introBase64 + "!":             "expected Base64",
		introBase64:                   "it is damaged",
		string(armored[:80]):          "its armor is damaged",
		intro:                         "it is damaged",
		string(armored) + "something": "its armor is damaged",
	} {
		for _, k := range []*Keyring{nil, NewKeyring(Options{Identities: []string{file}})} {
			_, err := k.Open([]byte(sealed))
			lock := (*LockedError)(nil)
			switch {
			case k == nil && errors.As(err, &lock):
			case err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2"):
				t.Errorf("%q: %v, expected %q", sealed, err, want)
			}
		}
	}
}

func TestFindRecipients(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "a", ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, RecipientsFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err := FindRecipients(deep); err == nil {
		t.Errorf("%s was found outside of the repository", file)
	}
	file := filepath.Join(root, "a", RecipientsFile)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err := FindRecipients(deep); err != nil || found != file {
		t.Errorf("%s, %v; expected %s", found, err, file)
	}
	if err := os.Chmod(file, 0o646); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRecipients(deep); err == nil || !strings.Contains(err.Error(), "every user can write to it") {
		t.Errorf("a file that everybody may write: %v", err)
	}
}

func TestReadRecipients(t *testing.T) {
	for content, want := range map[string]string{
		"":                     "lists no recipients",
		"# nobody\n":           "lists no recipients",
		"\nAGE-SECRET-KEY-1X":  ":2: this is a private key",
		"age1":                 ":1: this is not a public key",
		"age1yubikey1qqqq":     ":1: this is a key of a plugin",
		"ssh-ed25519 AAAA x":   ":1: this is not a public SSH key",
		"ecdsa-sha2-nistp256 ": ":1: this is not a public key",
	} {
		if _, err := ReadRecipients(write(t, "r", content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", content, err, want)
		}
	}
}

// FuzzFind checks that everything found is within the file and in order, and that opening it never panics.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"", introBase64 + "AAAA==", "a = \"" + introBase64 + "\"\n" + introBase64, intro + "-> X25519 a\n", "  -----BEGIN AGE ENCRYPTED FILE-----\n  YQ==\n  -----END AGE ENCRYPTED FILE-----"} {
		f.Add([]byte(s))
	}
	k := NewKeyring(Options{Identities: []string{os.DevNull}})
	f.Fuzz(func(t *testing.T, content []byte) {
		last := 0
		for _, s := range Find(content) {
			if s.Start < last || s.End <= s.Start || s.End > len(content) || string(s.Text) != string(content[s.Start:s.End]) || s.LastLine < s.Line {
				t.Fatalf("%+v in a file of %d bytes", s, len(content))
			}
			last = s.End
			if _, err := k.Open(s.Text); err == nil {
				t.Fatalf("%q was opened without a key", s.Text)
			}
		}
	})
}
