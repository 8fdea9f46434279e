package preflight

import (
	"slices"
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	r := Report{Findings: []Finding{
		{"pve1", aboutNIC, false, "ens18 runs at 1000 Mbit/s", "Ceph needs more"},
		{"pve1", aboutID, true, "it has the machine id of pve2", "make a new one"},
		{"pve2", aboutClock, true, "it is ahead", "chrony"},
	}}
	for _, c := range []struct {
		name   string
		host   string
		accept []string
		notes  []string
		err    string
	}{
		{"a warning and an error", "pve1", nil, []string{"nic: ens18 runs at 1000 Mbit/s; Ceph needs more"}, "machine id: it has the machine id of pve2; make a new one"},
		{"both accepted", "pve1", []string{"nic", "machine_id"}, nil, ""},
		{"nothing", "pve3", nil, nil, ""},
	} {
		notes, err := (&Module{Accept: c.accept}).decide(c.host, r)
		if !slices.Equal(notes, c.notes) || (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %q, %v; expected %q, %q", c.name, notes, err, c.notes, c.err)
		}
	}
}

func TestValidate(t *testing.T) {
	network := func(address string) *Module {
		return &Module{Networks: []Network{{"ceph", map[string]string{"pve1": "", "pve2": address}}}}
	}
	for _, c := range []struct {
		module *Module
		want   string
	}{
		{&Module{OSDs: -1}, "osds: -1 is not a number of disks"},
		{network("10.10.10.12/24"), `network.ceph.addresses: "10.10.10.12/24", for pve2, is not an IP address`},
		{network("10.10.10.12"), ""},
	} {
		err := c.module.Validate()
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
}
