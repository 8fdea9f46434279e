package pve

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Two hosts are united if both are known to be online, with quorum, in the same cluster.
func TestUnited(t *testing.T) {
	members := func(node string, change ...string) string {
		return strings.NewReplacer(append([]string{`"nodename": "pve1"`, `"nodename": "` + node + `"`}, change...)...).Replace(membersText)
	}
	lost := strings.Replace(membersText, `"quorate": 1`, `"quorate": 0`, 1)
	for name, test := range map[string]struct {
		node, members, corosync string // of the second host
		unasked                 bool
		want                    bool
	}{
		"members":                          {node: "pve2", members: members("pve2"), corosync: corosyncText, want: true},
		"one that has not been asked":      {unasked: true},
		"the same node":                    {node: "pve1", members: members("pve1"), corosync: corosyncText},
		"one that is offline":              {node: "pve3", members: members("pve3"), corosync: corosyncText},
		"one that sees another one online": {node: "pve2", members: members("pve2", `"online": 0`, `"online": 1`), corosync: corosyncText},
		"one without quorum":               {node: "pve2", members: lost, corosync: corosyncText},
		"one without a cluster":            {node: "pve2", members: members("pve2")},
		"one that is no member":            {node: "pve9", members: members("pve9"), corosync: corosyncText},
		"a cluster of the same name":       {node: "pve2", members: members("pve2"), corosync: strings.ReplaceAll(corosyncText, "10.77.", "10.99.")},
		"a cluster with another name":      {node: "pve2", members: members("pve2"), corosync: strings.ReplaceAll(corosyncText, "cluster_name: lab", "cluster_name: other")},
		"an older configuration":           {node: "pve2", members: members("pve2"), corosync: strings.ReplaceAll(corosyncText, "config_version: 3", "config_version: 2")},
	} {
		t.Run(name, func(t *testing.T) {
			a := asked(t, "pve1", membersText, corosyncText)
			b := observe.NewHost(t.Context(), "b", "192.0.2.2", nil)
			if !test.unasked {
				b = asked(t, test.node, test.members, test.corosync)
			}
			if got := United(a, b); got != test.want {
				t.Errorf("they are united: %v, want %v", got, test.want)
			}
			if got := United(b, a); got != test.want {
				t.Errorf("the other way: %v, want %v", got, test.want)
			}
		})
	}
}

// asked returns a host that has answered what it is and which cluster it is in.
func asked(t *testing.T, node, members, corosync string) *observe.Host {
	t.Helper()
	files := map[string]string{membersFile: members}
	if corosync != "" {
		files[corosyncFile] = corosync
	}
	h := observe.NewHost(t.Context(), node, "192.0.2.1", func(context.Context) (observe.Asker, error) {
		return answering{mountedAnswer(files), text("name " + node + "\ncodename trixie\npackage pve-manager 9.0.1 install ok installed\n")}, nil
	})
	done := make(chan struct{})
	h.Go(t.Context(), func(ctx context.Context) {
		defer close(done)
		HAs.Want(h, "") // asks the same query, which then tells of the cluster, too
		if _, err := GuestLists.Observe(ctx, h, ""); err != nil {
			t.Error(err)
		}
		if _, err := Nodes.Observe(ctx, h, ""); err != nil {
			t.Error(err)
		}
	})
	<-done
	return h
}

type answering struct{ files, node remote.Answer }

func (a answering) Ask(_ context.Context, queries []remote.Query) (answers []remote.Answer, err error) {
	for _, q := range queries {
		if q.Same(nodeQuery) {
			answers = append(answers, a.node)
		} else {
			answers = append(answers, a.files)
		}
	}
	return answers, nil
}
