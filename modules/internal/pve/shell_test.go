package pve

import (
	"bytes"
	"os/exec"
	"testing"

	"hlplay/engine/remote"
)

// shell answers queries with a real POSIX shell on this machine, as the long-lived shell of a host does.
func shell(t *testing.T, queries []remote.Query) []remote.Answer {
	t.Helper()
	answers, err := shellAnswers(queries)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func shellAnswers(queries []remote.Query) ([]remote.Answer, error) {
	var answers []remote.Answer
	for _, q := range queries {
		cmd := exec.Command("sh", append([]string{"-c", q.Script, "sh"}, q.Args...)...)
		cmd.Env = append(cmd.Environ(), "LC_ALL=C")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			if _, ended := err.(*exec.ExitError); !ended {
				return nil, err
			}
		}
		answers = append(answers, remote.Answer{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: cmd.ProcessState.ExitCode()})
	}
	return answers, nil
}

// answered runs a kind's queries in a shell on this machine, which is no Proxmox VE node.
func answered[T any](t *testing.T, ask func([]string) []remote.Query, parse func([]string, []remote.Answer, func(string, T, error)), name string) T {
	t.Helper()
	return tell(t, parse, []string{name}, shell(t, ask([]string{name}))...)[name]
}

// TestQueriesOnAPlainHost runs every query in a real shell, where there is no Proxmox VE: all must be answered,
// and nothing be found.
func TestQueriesOnAPlainHost(t *testing.T) {
	if c := answered(t, Clusters.Ask, Clusters.Parse, ""); c.Mounted || c.Name != "" {
		t.Errorf("cluster %+v", c)
	}
	if n := answered(t, CephNodes.Ask, CephNodes.Parse, ""); n.Mon || n.Installing {
		t.Errorf("Ceph %+v", n)
	}
	if g := answered(t, GuestConfigs.Ask, GuestConfigs.Parse, "100"); g.Exists {
		t.Errorf("guest %+v", g)
	}
	if g := answered(t, GuestLists.Ask, GuestLists.Parse, ""); len(g) != 0 {
		t.Errorf("guests %v", g)
	}
	if s := answered(t, Storages.Ask, Storages.Parse, ""); len(s) != 1 {
		t.Errorf("storages %v", s)
	}
	if h := answered(t, HAs.Ask, HAs.Parse, ""); len(h.Resources) != 0 {
		t.Errorf("high availability %+v", h)
	}
	if c := answered(t, CephConfs.Ask, CephConfs.Parse, ""); c.Initialised() {
		t.Errorf("ceph.conf %+v", c)
	}
	if m := answered(t, Monitors.Ask, Monitors.Parse, "pve1"); m.InMap {
		t.Errorf("monitor %+v", m)
	}
	if o := answered(t, OSDs.Ask, OSDs.Parse, "pve1"); len(o) != 0 {
		t.Errorf("OSDs %+v", o)
	}
	if p := answered(t, Pools.Ask, Pools.Parse, ""); len(p) != 0 {
		t.Errorf("pools %v", p)
	}
	if n := answered(t, Nodes.Ask, Nodes.Parse, ""); n.Name == "" {
		t.Errorf("node %+v", n)
	}
}
