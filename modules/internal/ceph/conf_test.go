package ceph

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/modules/internal/modulestest"
)

func TestConf(t *testing.T) {
	conf := func(name string) Conf {
		return Conf{Exists: true, Folder: true, Sections: parseConf(modulestest.Recorded(t, name).Stdout)}
	}
	tests := []struct {
		file     string
		monHosts []string
		monitors []string
		public   string
	}{
		{"cat-ceph.conf.after-init.txt", nil, nil, "10.99.0.0/24"},
		// After the first monitor was created, mon_host begins with two spaces.
		{"cat-ceph.conf.after-mon.txt", []string{"10.77.0.11"}, []string{"pve1"}, "10.77.0.0/24"},
		{"cat-ceph.conf.2mon.txt", []string{"10.77.0.11", "10.77.0.13"}, []string{"pve1", "pve3"}, "10.77.0.0/24"},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			c := conf(test.file)
			if !c.Initialised() {
				t.Error("not taken for initialised")
			}
			if diff := cmp.Diff(test.monHosts, c.MonHosts(), equateEmpty); diff != "" {
				t.Errorf("mon_host -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.monitors, c.Monitors(), equateEmpty); diff != "" {
				t.Errorf("monitors -want +got:\n%s", diff)
			}
			if got := c.Global("public_network"); got != test.public {
				t.Errorf("public_network %q, want %q", got, test.public)
			}
			if got, want := c.Sections["client"]["keyring"], "/etc/pve/priv/$cluster.$name.keyring"; got != want {
				t.Errorf("keyring %q, want %q", got, want)
			}
		})
	}
	if (Conf{Exists: true, Sections: map[string]map[string]string{"global": {}}}).Initialised() {
		t.Error("without /etc/pve/ceph it is taken for initialised; PVE tests both")
	}
}

var equateEmpty = cmp.Transformer("nil", func(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
})

func TestConfSpelling(t *testing.T) {
	got := parseConf([]byte("[ global ]\n public network = 10.0.0.0/24 ; why\n mon-host=10.0.0.1\nnonsense\n key = a\\#b # c\n"))
	want := map[string]map[string]string{"global": {"public_network": "10.0.0.0/24", "mon_host": "10.0.0.1", "key": "a#b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestConfWithLeavesTheOriginal(t *testing.T) {
	before := Conf{Sections: map[string]map[string]string{"global": {"a": "1"}}}
	after := before.With("global", "b", "2")
	if len(before.Sections["global"]) != 1 || after.Sections["global"]["b"] != "2" {
		t.Errorf("before %v, after %v", before.Sections, after.Sections)
	}
}

func TestNodes(t *testing.T) {
	tests := []struct {
		name, answer string
		want         Node
	}{
		{"bare", "name pve1\n", Node{}},
		{"server", "name pve1\ninstalled\nconf /etc/pve/ceph.conf\nmon\nmgr\npackage ceph-mon 19.2.3-pve2 install ok installed\npackage pve-manager 9.1 install ok installed\n",
			Node{Installed: true, Release: 19, Conf: "/etc/pve/ceph.conf", Mon: true, Mgr: true}},
		{"epoch", "installed\npackage ceph-mon 1:17.2.7-1 install ok installed\n", Node{Installed: true, Release: 17}},
		{"install killed", "installed\ninstalling\nforeign\nmds\npackage ceph-mon 20.2.0-1 install ok installed", Node{Installed: true, Installing: true, ForeignConf: true, MDS: true, Release: 20}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseNode(text(test.answer))
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v; -want +got:\n%s", err, diff)
			}
		})
	}
}

func FuzzConf(f *testing.F) {
	f.Add([]byte("[global]\n\tmon_host =  10.0.0.1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for name, settings := range parseConf(content) {
			if settings == nil {
				t.Errorf("section %q has no settings map", name)
			}
		}
	})
}
