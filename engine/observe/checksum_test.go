package observe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChecksumScript(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := fetch(t, Checksums, name, name+".absent")
	// FIPS 180-2, appendices B.1 and C.1.
	if got[name].SHA256 != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" || !strings.HasPrefix(got[name].SHA512, "ddaf35a193617abacc417349ae204131") {
		t.Errorf("the sums of %q are %+v", "abc", got[name])
	}
	if got[name+".absent"] != (Checksum{}) {
		t.Errorf("an absent file has the sums %+v", got[name+".absent"])
	}
}
