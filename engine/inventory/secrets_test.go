package inventory

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"hlplay/engine/secret"
)

// TestSecrets loads an inventory with encrypted variables, with and without their key, prints it, and writes it to
// another directory, where it is read again.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := []age.Recipient{key.Recipient()}
	value, err := secret.SealValue([]byte("hunter2"), to)
	if err != nil {
		t.Fatal(err)
	}
	content, err := secret.SealFile([]byte("two\nlines\n"), to)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	identities := write("keys.txt", []byte(key.String()+"\n"))
	write("inv/files/key.pem", content)
	source := write("inv/hosts.hcl", []byte(`group "all" {
  vars = { shared = { token = secret("`+value+`"), user = "root" } }
}
host "a" {
  address = "10.1.2.1"
  vars = {
    key   = "${secret_file("files/key.pem")}${secret_file("files/key.pem")}"
    plain = "yes"
  }
}
`))
	keys := secret.NewKeyring(secret.Options{Identities: []string{identities}})
	inv, diags := LoadWith(keys, source)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	check := func(inv *Inventory) {
		t.Helper()
		vars := inv.Host("a").Value().GetAttr("vars")
		plain, marks := vars.UnmarkDeepWithPaths()
		if len(marks) != 2 || plain.GetAttr("key").AsString() != "two\nlines\ntwo\nlines\n" || plain.GetAttr("shared").GetAttr("token").AsString() != "hunter2" {
			t.Errorf("%d secrets in %#v", len(marks), plain)
		}
	}
	check(inv)
	var tree, written bytes.Buffer
	if err := inv.Tree(&tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := inv.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(&written, inv); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{tree.String(), string(asJSON), written.String()} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "lines") {
			t.Errorf("a secret is shown:\n%s", text)
		}
	}
	for _, text := range []string{tree.String(), string(asJSON)} {
		if !strings.Contains(text, "root") || !strings.Contains(text, "(sensitive)") {
			t.Errorf("what is no secret is to be shown:\n%s", text)
		}
	}
	again, diags := LoadWith(keys, write("elsewhere/hosts.hcl", written.Bytes()))
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, written.String())
	}
	check(again)

	locked, diags := LoadWith(nil, source)
	if diags.HasErrors() || locked.Host("a").Value().GetAttr("vars").IsWhollyKnown() {
		t.Errorf("without a key: %v", diags)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lenient := secret.NewKeyring(secret.Options{Identities: []string{write("other.txt", []byte(other.String()))}, Lenient: true})
	if _, diags := LoadWith(lenient, source); diags.HasErrors() || len(diags) != 3 {
		t.Errorf("with another key, expected a warning for each of three calls: %v", diags)
	}
}
