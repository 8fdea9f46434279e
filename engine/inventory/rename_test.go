package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRenames(t *testing.T) {
	inv, problem := loadText(t, `host "n" {
  rehearsal {
    addresses = ["10.0.0.1/24"]
    rename "ens18" {
      kernel = "*-pve"
      to     = "enp6s18"
    }
    rename "ens19" { to = "enp6s19" }
  }
}
`)
	want := Rehearsal{Addresses: []string{"10.0.0.1/24"}, Renames: []Rename{{"ens18", "*-pve", "enp6s18"}, {"ens19", "*", "enp6s19"}}}
	if problem != "" {
		t.Fatal(problem)
	}
	if diff := cmp.Diff(want, inv.Host("n").Rehearsal); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var written strings.Builder
	if err := Write(&written, inv); err != nil {
		t.Fatal(err)
	}
	again, problem := loadText(t, written.String())
	if diff := cmp.Diff(want, again.Host("n").Rehearsal); diff != "" || problem != "" {
		t.Errorf("written and read again (%s): -want +got:\n%s", problem, diff)
	}
	for text, want := range map[string]string{
		`rename "eth0" { to = "x" }`:                                        `"eth0" is not a network card of a simulated node`,
		`rename "ens18" {}`:                                                 "needs to",
		`rename "ens18" { to = "En 0" }`:                                    "enp6s18",
		"rename \"ens18\" {\n kernel = \"[\"\n to = \"x\"\n }":              `"[" is not a pattern of kernel releases`,
		"rename \"ens18\" { to = \"x\" }\n rename \"ens18\" { to = \"y\" }": "says already what the kernel * names ens18",
		"rename \"ens18\" {\n to = \"x\"\n kernels = \"\"\n }":              "kernel",
	} {
		if _, got := loadText(t, "host \"n\" {\n rehearsal {\n "+text+"\n }\n}\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
