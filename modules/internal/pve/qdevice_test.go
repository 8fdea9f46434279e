package pve

import (
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// A corosync that does not answer does not mean that there is no QDevice.
func TestQDevices(t *testing.T) {
	const list = "certificates\nQuorum information\n------------------\n\nMembership information\n----------------------\n    Nodeid      Votes    Qdevice Name\n" +
		"         1          1    A,V,NMW pve1 (local)\n         2          1    A,NV,NMW pve2\n         0          1            Qdevice\n"
	for name, c := range map[string]struct {
		answer remote.Answer
		want   QDevice
		err    string
	}{
		"it votes":                 {remote.Answer{Stdout: []byte(list)}, QDevice{Certificates: true, Registered: true, Alive: true, Votes: true}, ""},
		"it is not registered":     {remote.Answer{Stdout: []byte(strings.Replace(list, "A,V,NMW", "NR", 1))}, QDevice{Certificates: true}, ""},
		"corosync does not run":    {remote.Answer{Stdout: []byte("certificates\n")}, QDevice{Certificates: true}, ""},
		"corosync does not answer": {remote.Answer{Stdout: []byte("certificates\n"), Stderr: []byte("corosync-quorumtool -s does not answer within 10 seconds\n"), Exit: 1}, QDevice{}, "does not answer"},
	} {
		QDevices.Parse([]string{""}, []remote.Answer{c.answer}, func(_ string, got QDevice, err error) {
			switch {
			case c.err == "" && (err != nil || got != c.want):
				t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s: got %v, want an error with %q", name, err, c.err)
			}
		})
	}
}
