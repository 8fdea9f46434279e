package apt

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
)

// apt and dpkg leave the host's own architecture out of the names that they print.
func TestNativeNames(t *testing.T) {
	h := observe.NewRecorded("n1", architecture.Expect("", "amd64"))
	for packages, want := range map[string]string{
		"chrony":                         "chrony",
		"chrony:amd64":                   "chrony",
		"chrony:amd64 chrony":            "chrony",
		"adduser:all bash:native":        "adduser bash",
		"libc6:i386 libc6:amd64":         "libc6:i386 libc6",
		"nginx:amd64=1.22* g++-12:amd64": "nginx=1.22* g++-12",
	} {
		m := &Module{Packages: strings.Fields(packages)}
		got, err := m.native(t.Context(), h)
		if err != nil || strings.Join(got.Packages, " ") != want {
			t.Errorf("%s: %v, error %v, want %s", packages, got, err, want)
		}
		if strings.Join(m.Packages, " ") != packages {
			t.Errorf("%s: the module itself has changed: %v", packages, m.Packages)
		}
	}
}
