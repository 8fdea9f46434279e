package main

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/run"
	"hlplay/modules/registry"
)

// copySpy counts the flights in which a host is asked for nothing but files that commands rewrite, except the last, which asks for
// all vital files that the run has changed.
type copySpy struct {
	remote.Conn
	flights *atomic.Int32
	files   []string
}

func (c copySpy) As(user string) remote.Session { return copySpySession{c.Conn.As(user), c} }

type copySpySession struct {
	remote.Session
	spy copySpy
}

func (s copySpySession) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	if len(queries) == 1 && queries[0].Script == observe.Files.Ask([]string{"/"})[0].Script {
		args := queries[0].Args
		if slices.ContainsFunc(args, func(arg string) bool { return slices.Contains(s.spy.files, arg) }) && !slices.Contains(args, "/etc/hosts") {
			s.spy.flights.Add(1)
		}
	}
	return s.Session.Ask(ctx, queries)
}

// The copies of files that commands rewrite are kept for every node of the cluster, without flights of their own: the files are read
// along with what the tasks are planned from, and those that the nodes share from one of them.
func TestCopiesTakeNoFlights(t *testing.T) {
	stage := guides(t, "trixie")
	inv := stage.lab.Inventory()
	pb, err := stage.loadPlaybook(filepath.Join("..", "..", "playbooks", "cluster.hcl"), inv, selectFlags{})
	if err != nil {
		t.Fatal(err)
	}
	var rewritten []string
	for _, spec := range registry.All() {
		rewritten = append(rewritten, spec.Rewritten...)
	}
	flights := &atomic.Int32{}
	dial := (&connectFlags{rehearsal: 3}).connect(func(fn func()) { fn() })
	connect := func(ctx context.Context, h *inventory.Host) (remote.Conn, error) {
		conn, err := dial(ctx, h)
		if err != nil {
			return nil, err
		}
		return copySpy{conn, flights, rewritten}, nil
	}
	kept := &keptCopies{}
	options := run.Options{Clock: stage.lab.Clock(), SendAhead: true, Connect: connect}
	kept.start(&options)
	if _, err := run.Run(t.Context(), pb, inv, options); err != nil {
		t.Fatal(err)
	}
	if n := flights.Load(); n > 1 { // twelve if nothing was known; what hosts do at the same time may make one forget
		t.Errorf("%d flights only asked for copies, expected none", n)
	}
	for _, name := range []string{"/etc/pve/corosync.conf", "/etc/corosync/corosync.conf", "/etc/pve/ceph.conf", "/etc/ceph/ceph.conf", "/etc/pve/storage.cfg", "/etc/pve/ha/rules.cfg"} {
		for _, host := range stage.names() {
			if is, ok := kept.copies[host+" "+name]; !ok || is != kept.copies[stage.names()[0]+" "+name] {
				t.Errorf("%s: the copy of %s is %q (%v), expected the one of %s, %q", host, name, is, ok, stage.names()[0], kept.copies[stage.names()[0]+" "+name])
			}
		}
	}
}
