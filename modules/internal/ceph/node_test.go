package ceph

import (
	"strings"
	"testing"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestUnits(t *testing.T) {
	out := "Id=ceph-mgr@pve1.service\nActiveState=active\n\nActiveState=failed\nId=ceph-osd@3.service\n"
	got := modulestest.Parsed(t, Units, []string{""}, text(out))[""]
	if len(got) != 2 || got["ceph-mgr@pve1.service"] != "active" || got["ceph-osd@3.service"] != "failed" {
		t.Errorf("units %v", got)
	}
	Units.Parse([]string{""}, []remote.Answer{{Exit: 1, Stderr: []byte("Failed to connect to bus: No such file or directory\n")}}, func(_ string, _ map[string]string, err error) {
		if err == nil || !strings.Contains(err.Error(), "Failed to connect to bus") {
			t.Errorf("error %v, want systemctl's own", err)
		}
	})
}

func TestBrokenPackageDatabase(t *testing.T) {
	broken := remote.Answer{Stdout: []byte("installed\n"), Stderr: []byte("dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1\n"), Exit: 2}
	if _, err := parseNode(broken); err == nil || !strings.Contains(err.Error(), "parsing file") {
		t.Errorf("error %v", err)
	}
}

func FuzzParseNode(f *testing.F) {
	f.Add([]byte("installed\nconf /etc/pve/ceph.conf\npackage ceph-mon 1:19.2.3-pve2 install ok installed\n"))
	f.Fuzz(func(t *testing.T, stdout []byte) {
		if _, err := parseNode(remote.Answer{Stdout: stdout}); err != nil {
			t.Errorf("an answer that ended well: %v", err)
		}
	})
}
