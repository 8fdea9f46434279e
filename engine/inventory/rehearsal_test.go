package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loadText loads an inventory of HCL.
func loadText(t *testing.T, text string) (*Inventory, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "inventory.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := Load(file)
	var all []string
	for _, d := range diags {
		all = append(all, d.Summary+": "+d.Detail)
	}
	return inv, strings.Join(all, "\n")
}

func TestDeclaredPackages(t *testing.T) {
	inv, problem := loadText(t, `host "n" {
  rehearsal {
    package "nginx" {
      version = "1.26.3-3"
      depends = ["nginx-common"]
      units   = ["nginx.service"]
      files   = { "/etc/nginx/nginx.conf" = "x\n" }
    }
    package "nginx-common" {}
  }
}
`)
	if problem != "" {
		t.Fatal(problem)
	}
	want := []Package{
		{Name: "nginx", Version: "1.26.3-3", Depends: []string{"nginx-common"}, Units: []string{"nginx.service"}, Files: map[string]string{"/etc/nginx/nginx.conf": "x\n"}},
		{Name: "nginx-common"},
	}
	if diff := cmp.Diff(want, inv.Host("n").Rehearsal.Packages); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for text, want := range map[string]string{
		`package "Nginx" {}`:                           `"Nginx" is not the name of a Debian package`,
		"package \"a1\" {}\n package \"a1\" {}":        `has a package "a1" already`,
		`package "nginx" { units = ["nginx"] }`:        `units cannot contain "nginx"; a valid example is "nginx.service"`,
		`package "nginx" { files = { "etc/x" = "" } }`: `"etc/x" is not the absolute path of a file`,
		`package "nginx" { files = { "/etc/x" = 1 } }`: "The content of /etc/x must be a string",
		`package "nginx" { version = "new" }`:          `version cannot be "new"`,
		`package "nginx" { unit = ["nginx.service"] }`: "units",
		`packages "nginx" {}`:                          "package",
	} {
		if _, got := loadText(t, "host \"n\" {\n rehearsal {\n "+text+"\n }\n}\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestRehearsalSystemDisk(t *testing.T) {
	for disk, want := range map[string]string{"sda": "sda is the system disk", "sdb": "", "nvme0n1": ""} {
		_, got := loadText(t, "host \"n\" {\n  rehearsal {\n    disk \""+disk+"\" {}\n  }\n}\n")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("disk %q: %q, want %q", disk, got, want)
		}
	}
}

func TestDeclaredDownloads(t *testing.T) {
	for text, want := range map[string]string{
		`download "ftp://x/a" {}`:                                   `"ftp://x/a" is not a URL`,
		"download \"https://x/a\" {}\n download \"https://x/a\" {}": `has a download "https://x/a" already`,
		`download "https://x/a" { sha256 = "abc" }`:                 `"abc" is not a SHA-256 checksum`,
		`download "https://x/a" { files = { "/etc/x" = "" } }`:      `"/etc/x" is not the path of a file in an archive`,
		`download "https://x/a" { text = "" }`:                      "content",
	} {
		if _, got := loadText(t, "host \"a\" {\n rehearsal {\n "+text+"\n }\n}\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
