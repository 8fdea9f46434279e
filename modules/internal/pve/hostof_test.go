package pve

import (
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
)

// A node is found by its own name, whatever the inventory calls it, and never mistaken for another one.
func TestHostOf(t *testing.T) {
	nodes := func(names map[string]string) *observe.Host {
		hosts := map[string]*observe.Host{}
		var all []*observe.Host
		for listed, name := range names {
			hosts[listed] = observe.NewRecorded(listed, Nodes.Expect("", Node{Name: name}))
			all = append(all, hosts[listed])
		}
		h := observe.NewRecorded("watcher", Nodes.Expect("", Node{Name: "watcher"}))
		h.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
			if hosts[name] == nil {
				return nil, errors.New("no host " + name)
			}
			return hosts[name], nil
		})
		return h
	}
	for _, test := range []struct {
		names      map[string]string // the node names by those of the inventory
		want, says string
	}{
		{map[string]string{"pve1": "pve1"}, "pve1", ""},
		{map[string]string{"pve1.example.org": "pve1", "pve10.example.org": "pve10"}, "pve1.example.org", ""},
		{map[string]string{"pve1": "pve2", "pve2": "pve1"}, "", "host pve1 is node pve2, not pve1"},
		{map[string]string{"pve2": "pve2"}, "", "no host pve1"},
	} {
		host, err := HostOf(t.Context(), nodes(test.names), "pve1")
		switch {
		case test.says == "" && (err != nil || host.Name() != test.want):
			t.Errorf("%v: %v, %v; expected host %s", test.names, host, err, test.want)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%v: the error is %v, expected %q", test.names, err, test.says)
		}
	}
}
