package suggest

import "testing"

func TestNearest(t *testing.T) {
	facts := []string{"boot", "cpu", "disks", "distribution", "hostname", "kernel", "memory"}
	for _, test := range []struct {
		name string
		from []string
		want string
	}{
		{"distro", facts, "distribution"},
		{"dist", facts, "distribution"},
		{"mem", facts, "memory"},
		{"host", facts, "hostname"},
		{"Kernal", facts, "kernel"},
		{"disk", facts, "disks"},
		{"latests", []string{"absent", "latest", "present"}, "latest"},
		{"cehp", []string{"ceph", "pve"}, "ceph"},
		{"x", []string{"y"}, ""},
		{"di", facts, ""},
		{"weather", facts, ""},
		{"", facts, ""},
	} {
		if got := Nearest(test.name, test.from); got != test.want {
			t.Errorf("Nearest(%q) = %q, want %q", test.name, got, test.want)
		}
	}
}
