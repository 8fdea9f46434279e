package pve8to9

import (
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

const (
	good = "= CHECKING VERSION INFORMATION FOR PVE PACKAGES =\n\nChecking for package updates..\n\x1b[32mPASS: all packages up-to-date\n\x1b[0m\nChecking running kernel version..\n" +
		"\x1b[33mWARN: a suitable kernel is installed,\n  missing reboot?!\n\n\x1b[0mINFO: Checking for existence of NVIDIA vGPU Manager..\n\x1b[0mSKIP: No containers on node detected.\n\x1b[0m" +
		"\x1b[1mNOTICE: Less than 10 GB free space on root file system.\n\x1b[0m"
	goodSum = "\n= SUMMARY =\n\nTOTAL:    4\n\x1b[32mPASSED:   1\n\x1b[0mSKIPPED:  1\n\x1b[33mWARNINGS: 1\n\x1b[0mFAILURES: 0\n\x1b[33m\nATTENTION: Please check the output for detailed information!\n\x1b[0m"
	bad     = "= CHECKING CLUSTER HEALTH/SETTINGS =\n\n\x1b[1;31mFAIL: 1 nodes are offline!\n\x1b[0m\x1b[1;31mFAIL: \ncorosync 2.x installed, cluster-wide upgrade to 3.x needed!\n\x1b[0m"
	badSum  = "\n= SUMMARY =\n\nTOTAL:    2\nPASSED:   0\nSKIPPED:  0\nWARNINGS: 0\nFAILURES: 2\n"
)

func TestChecklist(t *testing.T) {
	eight := pve.Node{Name: "pve1", Codename: "bookworm", Installed: true, Version: "8.4.21"}
	printed := func(text string) remote.Answer { return remote.Answer{Stdout: []byte(text)} }
	for _, test := range []struct {
		name   string
		node   pve.Node
		answer remote.Answer
		notes  []string
		err    string
	}{
		{"nothing prevents it", eight, printed(good + goodSum), []string{"pve8to9 warns: a suitable kernel is installed, missing reboot?!", "pve8to9 warns: Less than 10 GB free space on root file system."}, ""},
		{"failures", eight, printed(bad + badSum), nil, "pve8to9 finds 2 failures: 1 nodes are offline!; corosync 2.x installed, cluster-wide upgrade to 3.x needed!"},
		{"paragraphs", eight, printed("= A =\n\n\x1b[1;31mFAIL: first\n\n  second\n\n\n  third\n\x1b[0m\nChecking more..\n\x1b[1;31mFAIL: another\n\x1b[0m" + badSum), nil, "pve8to9 finds 2 failures: first second third; another"},
		{"paragraphs without colours", eight, printed("= A =\n\nFAIL: first\n\nChecking more..\nFAIL: another\n" + badSum), nil, "pve8to9 finds 2 failures: first; another"},
		{"9 already", pve.Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}, printed("this must not be read"), nil, ""},
		{"half-configured", pve.Node{Name: "pve1", Codename: "trixie"}, printed(""), nil, "not configured: see dpkg --audit"},
		{"too old", eight, remote.Answer{Exit: 127}, nil, "Proxmox VE 8.4.21 is too old"},
		{"died", eight, remote.Answer{Exit: 255, Stderr: []byte("ipcc_send_rec[1] failed: Connection refused\n")}, nil, "Connection refused"},
		{"cut off", eight, printed(good), nil, "ended before its summary"},
		{"nothing at all", eight, printed(""), nil, "ended before its summary"},
		{"another form", eight, printed("PASS all is well\n"), nil, `a format that hlplay does not know (it begins with "PASS all is well")`},
		{"another level", eight, printed(strings.Replace(good, "NOTICE:", "ERROR:", 1) + goodSum), nil, "TOTAL: 4, but it prints 3"},
		{"failures that are not printed", eight, printed(good + strings.Replace(goodSum, "FAILURES: 0", "FAILURES: 1", 1)), nil, "FAILURES: 1, but it prints 0 of FAIL"},
		{"no number of failures", eight, printed(good + strings.Replace(goodSum, "FAILURES: 0\n", "", 1)), nil, "a format that hlplay does not know"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := modulestest.Decoded(&Checklist{})
			key := observe.Reading{Argv: []string{"pve8to9", "--full"}, Limit: m.Timeout}.Key()
			h := observe.NewRecorded("pve1", pve.Nodes.Expect("", test.node), observe.AuthorCommands.Expect(key, test.answer))
			plan, err := m.Plan(t.Context(), h)
			switch {
			case test.err == "" && err != nil, test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("the error is %v, expected %q", err, test.err)
			case len(plan.Steps) > 0 || !slices.Equal(plan.Notes, test.notes):
				t.Errorf("%d steps, notes %q; expected %q", len(plan.Steps), plan.Notes, test.notes)
			}
		})
	}
}

// FuzzFindings checks that no finding is lost, and that only a complete report is accepted.
func FuzzFindings(f *testing.F) {
	f.Add(good + goodSum)
	f.Add(bad + badSum)
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parse(text)
		if err == nil && !strings.Contains(text, "SUMMARY") {
			t.Errorf("without a summary: %v", found)
		}
	})
}
