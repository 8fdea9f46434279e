package pvecm

import (
	"strings"
	"testing"
)

func TestReinstate(t *testing.T) {
	conf := func(version, rest string) string {
		return "totem {\n  cluster_name: dream\n  config_version: " + version + "\n  version: 2\n" + rest + "}\n"
	}
	for name, test := range map[string]struct{ kept, now, want, err string }{
		"an older one":         {conf("3", ""), conf("7", "x: y\n"), conf("8", ""), ""},
		"the same":             {conf("7", ""), conf("7", ""), conf("7", ""), ""},
		"a newer one":          {conf("9", ""), conf("7", ""), conf("8", ""), ""},
		"no version now":       {conf("3", ""), "totem {}\n", "", "current copy: it has 0 config_version lines"},
		"no version then":      {"", conf("3", ""), "", "saved copy: it has 0 config_version lines"},
		"two versions":         {conf("3", "config_version: 4\n"), conf("3", ""), "", "has 2 config_version lines"},
		"the end of all years": {conf("3", ""), conf("18446744073709551615", ""), "", "is not a number that can be incremented"},
	} {
		got, err := reinstate("/etc/pve/corosync.conf", []byte(test.kept), []byte(test.now))
		if string(got) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %q, %v; want %q, %q", name, got, err, test.want, test.err)
		}
	}
}
