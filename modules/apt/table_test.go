package apt

import (
	"testing"

	"hlplay/engine/observe"
)

// A package may bring units of any name; units that already exist are not affected.
func TestUnitsThatAPackageMayBringAreUnknown(t *testing.T) {
	for _, name := range []string{"docker.io", "chrony"} { // one that is not listed, and one that is
		h := recorded(bookworm, offered(name, "1"), transaction("install "+name, PackageChange{Name: name, To: "1"}),
			one(observe.Files.Expect("/etc/chrony/chrony.conf", observe.File{})))
		h.Predict(one(observe.Units.Expect("ssh.service", observe.Unit{LoadState: "loaded", ActiveState: "active"})))
		plans(t, &Module{Packages: []string{name}}, h, "install "+name)
		doubt := anyUnit("x")
		if !doubt.Match(observe.Units.Key("docker.service")) || !doubt.If(observe.Unit{LoadState: "not-found"}) || doubt.If(observe.Unit{LoadState: "loaded"}) {
			t.Error("a unit that is not there is no doubt, or one that is there")
		}
		if u, err := observe.Units.Observe(t.Context(), h, "ssh.service"); err != nil || !u.Active() {
			t.Errorf("a unit that is there is %+v (%v) after %s", u, err, name)
		}
	}
}
