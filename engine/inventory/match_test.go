package inventory

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	inv := cluster(t)
	for pattern, want := range map[string]string{
		"all":               "pve1 pve2 pve3 here backup",
		"pve":               "pve1 pve2 pve3",
		"pve2":              "pve2",
		"pve:!pve3":         "pve1 pve2",
		"!pve3:pve":         "pve1 pve2",
		"pve3,pve1":         "pve1 pve3",
		"pve3:pve1":         "pve1 pve3",
		"pve:&ceph":         "pve1 pve2",
		"pve:&ceph:!pve1":   "pve2",
		"!pve":              "here backup",
		"&ceph":             "pve1 pve2",
		"pve[12]":           "pve1 pve2",
		"pve?":              "pve1 pve2 pve3",
		"*":                 "pve1 pve2 pve3 here backup",
		"ce*":               "pve1 pve2", // a group
		"datacentre":        "pve1 pve2 pve3",
		"ungrouped":         "backup",
		"empty":             "",
		"pve:!no*":          "pve1 pve2 pve3",
		" pve1 , backup ":   "pve1 backup",
		"pve1,":             "pve1",
		"pve:!pve":          "",
		"pve:!al*":          "pve1 pve2 pve3",
		"pve*:!pve1:backup": "pve2 pve3 backup",
	} {
		hosts, err := inv.Match(pattern)
		var names []string
		for _, host := range hosts {
			names = append(names, host.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%q matches %q, want %q (error %v)", pattern, got, want, err)
		}
	}
}

func TestMatchErrors(t *testing.T) {
	inv := cluster(t)
	for pattern, want := range map[string]string{
		"":          `"all" means all hosts`,
		" ":         `"all" means all hosts`,
		",":         "a name is missing",
		"pve:!":     "a name is missing",
		"pve11":     `there is no host or group "pve11" in the inventory; did you mean "pve1"?`,
		"pve:!cehp": `there is no host or group "cehp" in the inventory; did you mean "ceph"?`,
		"Backups":   `did you mean "backup"?`,
		"zzzzzz":    "; there are all, datacentre, ",
		"web*":      `no host or group matches "web*"`,
		"al*":       `no host or declared group matches "al*"; the implicit group "all" must be named in full`,
		"a[l]l":     `the implicit group "all" must be named in full`,
		"pve:un*d":  `the implicit group "ungrouped" must be named in full`,
		"pve[1":     `"pve[1" is not a valid glob`,
	} {
		if _, err := inv.Match(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", pattern, err, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"pve", "pve:!pve3", "all", "pve*", "a,b", "&ceph", "pve[1-3]", "[", `\`, "!:&", "三"} {
		f.Add(pattern)
	}
	inv, diags := Load("testdata/cluster")
	if diags.HasErrors() {
		f.Fatal(diags)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		hosts, err := inv.Match(pattern)
		if err != nil && hosts != nil {
			t.Errorf("%q: hosts beside the error %v", pattern, err)
		}
		place := 0 // each matched host once, in the inventory's order
		for _, host := range hosts {
			for place < len(inv.Hosts) && inv.Hosts[place] != host {
				place++
			}
			if place == len(inv.Hosts) {
				t.Fatalf("%q: hosts are not in the inventory's order", pattern)
			}
			place++
		}
	})
}
