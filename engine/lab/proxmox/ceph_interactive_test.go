package proxmox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestInteractiveCeph sends commands on standard input. Each gets a response, and a wrong command affects neither those
// after it nor the exit code.
func TestInteractiveCeph(t *testing.T) {
	l := newLab(t, labOptions{debian: "bookworm", network: "10.10.10.", ceph: "16.2.15"})
	recordedCluster(2)(l)
	r := l.run("pve3", "report\n\nnosuch thing\nosd metadata 99\nmgr metadata\n", "ceph", "-f", "json")
	if r.code != 0 {
		t.Errorf("exit %d, want 0", r.code)
	}
	for _, want := range []string{"report ", "Error EINVAL: invalid command", "Error ENOENT: osd.99 does not exist"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr %q does not mention %q", r.stderr, want)
		}
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d answers, want 2: %.300s", len(lines), r.stdout)
	}
	var told struct {
		Quorum []int `json:"quorum"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &told); err != nil || len(told.Quorum) != 3 {
		t.Errorf("the report has the quorum %v (%v), want three ranks", told.Quorum, err)
	}
	if want := fmt.Sprintf("report %d\n", checksum(lines[0])); !strings.HasPrefix(r.stderr, want) {
		t.Errorf("stderr %q does not begin with the checksum of the report, %q", r.stderr, want)
	}
	var managers []struct{ Name string }
	if err := json.Unmarshal([]byte(lines[1]), &managers); err != nil || len(managers) != 2 {
		t.Errorf("managers %v (%v), want two", managers, err)
	}

	for _, node := range []string{"pve1", "pve2"} {
		l.ok(node, "pveceph", "stop", "--service", "mon."+node)
	}
	l.clock.Advance(time.Minute)
	r = l.run("pve3", "report\nmgr metadata\n", "ceph", "--connect-timeout", "10", "-f", "json")
	if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "timed out") {
		t.Errorf("without a quorum: exit %d, %q, %q; want 1 and a timeout", r.code, r.stdout, r.stderr)
	}
}

// TestReportChecksum compares the checksum of a report with the one that a real cluster printed.
func TestReportChecksum(t *testing.T) {
	tr := readTranscript(t, "testdata/ceph16/20-healthy-no-user-pools/100-report.json.txt")
	if got, want := fmt.Sprintf("report %d", checksum(strings.TrimPrefix(tr.stdout, "\n"))), strings.TrimSpace(tr.stderr); got != want {
		t.Errorf("%s, the real one says %s", got, want)
	}
}
