package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	yaml "github.com/zclconf/go-cty-yaml"
)

// The recordings in testdata were made with ansible-vault of ansible-core 2.14.18, with the password "correct horse",
// and "other" for the vault ID "prod".
const (
	password     = "correct horse"
	prodPassword = "other"
)

func recording(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestOpen(t *testing.T) {
	for name, want := range map[string]struct{ id, password string }{
		"vars": {"", password}, "binary": {"", password}, "empty": {"", password}, "prod": {"prod", prodPassword},
	} {
		content := recording(t, name+".vault")
		if !Is(content) {
			t.Errorf("%s is not recognized", name)
		}
		for _, form := range [][]byte{content, bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n   "))} {
			sealed, err := Parse(form)
			if err != nil || sealed.ID != want.id {
				t.Errorf("%s: %+v, %v; expected the ID %q", name, sealed, err, want.id)
				continue
			}
			if text, err := sealed.Open([]byte(want.password)); err != nil || !bytes.Equal(text, recording(t, name+".plain")) {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			if _, err := sealed.Open([]byte("wrong")); !errors.Is(err, ErrPassword) {
				t.Errorf("%s with another password: %v", name, err)
			}
		}
	}
}

func TestParseFaults(t *testing.T) {
	good := string(recording(t, "vars.vault"))
	for content, want := range map[string]string{
		"":                                         "not encrypted with ansible-vault",
		"password: x":                              "not encrypted with ansible-vault",
		"$ANSIBLE_VAULT;1.1":                       "not encrypted with ansible-vault",
		"$ANSIBLE_VAULT;1.0;AES\n":                 "its format",
		"$ANSIBLE_VAULT;1.1;AES\n":                 "its cipher",
		"$ANSIBLE_VAULT;1.1;AES256\nxyz":           "it is damaged",
		"$ANSIBLE_VAULT;1.1;AES256\n":              "it is damaged",
		good[:len(good)-20]:                        "it is damaged",
		strings.Replace(good, "\n", "\nzz", 1):     "it is damaged",
		strings.Replace(good, "1.1", "1.1;x;y", 1): "its format",
	} {
		if _, err := Parse([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, expected %q", content, err, want)
		}
	}
}

// TestUntag reads values as printed by `ansible-vault encrypt_string`.
func TestUntag(t *testing.T) {
	src := Untag(recording(t, "values.yaml"))
	if len(src) != len(recording(t, "values.yaml")) {
		t.Error("places in the text have moved")
	}
	ty, err := yaml.Standard.ImpliedType(src)
	if err != nil {
		t.Fatal(err)
	}
	values, err := yaml.Standard.Unmarshal(src, ty)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ text, password string }{
		"token": {"hunter2-word", password}, "cert": {"multi\nline \"q\"\n", prodPassword},
	} {
		sealed, err := Parse([]byte(values.GetAttr(name).AsString()))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if text, err := sealed.Open([]byte(want.password)); err != nil || string(text) != want.text {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, plain := range []string{"a: !vault |\n  text\n", "a: '!vault | $ANSIBLE_VAULT;'\n", "!vault"} {
		if got := string(Untag([]byte(plain))); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}

// FuzzParse checks that any secret is either parsed or rejected, and then either opened with a password or not, without
// a panic.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"vars.vault", "prod.vault", "empty.vault", "values.yaml"} {
		f.Add(recording(f, name))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		Untag(content)
		sealed, err := Parse(content)
		if err != nil {
			return
		}
		if text, err := sealed.Open([]byte("no")); err == nil {
			t.Errorf("%q was opened: %q", content, text)
		}
	})
}
