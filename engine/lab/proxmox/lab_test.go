package proxmox

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/machine"
)

// labClock is a clock that any sleeper moves.
type labClock struct{ *machine.VirtualClock }

func newClock() labClock {
	return labClock{machine.NewVirtualClock(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))}
}

// Sleep implements the clock that World.sleep prefers.
func (c labClock) Sleep(ctx context.Context, d time.Duration) error {
	c.Advance(d)
	return ctx.Err()
}

// testLab consists of nodes pve1… at 10.77.0.11… with Proxmox VE and a shared clock.
type testLab struct {
	t     *testing.T
	clock labClock
	world *World
	nodes map[string]*machine.Machine
}

type labOptions struct {
	debian string
	count  int
	// guests are created on pve1.
	guests  map[string]string
	network string // "10.77.0." by default
	second  string // a second network, "10.78.0."
	ceph    string // a release whose packages to install
	hosts   string // replaces /etc/hosts of pve1
	bare    bool   // without Proxmox VE
}

const labPassword = "pvelab-root-pw"

func newLab(t *testing.T, o labOptions) *testLab {
	t.Helper()
	if o.debian == "" {
		o.debian = "trixie"
	}
	if o.count == 0 {
		o.count = 3
	}
	if o.network == "" {
		o.network = "10.77.0."
	}
	l := &testLab{t: t, clock: newClock(), nodes: map[string]*machine.Machine{}}
	l.world = NewWorld(l.clock)
	network, archive := machine.NewNetwork(), machine.NewArchive()
	archive.Add(Packages(l.world, o.debian)...)
	hosts := "127.0.0.1 localhost\n"
	for i := 1; i <= o.count; i++ {
		hosts += fmt.Sprintf("%s1%d pve%d.lab.local pve%d\n", o.network, i, i, i)
	}
	for i := 1; i <= o.count; i++ {
		config := machine.Config{Name: fmt.Sprintf("pve%d", i), Address: fmt.Sprintf("%s1%d/24", o.network, i), Debian: o.debian, Clock: l.clock, Archive: archive, Network: network,
			Disks: []machine.Disk{{Name: "sdb", Size: 1e12, Rotational: true}, {Name: "sdc", Size: 1e12, Rotational: true}}}
		if o.second != "" {
			config.Addresses = []string{fmt.Sprintf("%s1%d/24", o.second, i)}
		}
		m := machine.New(config)
		l.nodes[config.Name] = m
		l.file(config.Name, "/etc/hosts", hosts)
		opts := Options{Password: labPassword}
		if i == 1 {
			opts.Guests = o.guests
			if o.hosts != "" {
				l.file("pve1", "/etc/hosts", o.hosts)
			}
		}
		l.world.Attach(m, opts)
		if o.bare {
			continue
		}
		if err := m.Packages().Install("proxmox-ve"); err != nil {
			t.Fatalf("installing Proxmox VE on %s: %v", config.Name, err)
		}
		if o.ceph != "" {
			l.installCeph(config.Name, o.debian, o.ceph)
		}
	}
	l.clock.Advance(10 * time.Second)
	return l
}

func (l *testLab) installCeph(node, debian, version string) {
	l.t.Helper()
	for _, p := range l.world.cephPackages(debian, "test", version) {
		p.Debian = ""
		if err := l.nodes[node].Packages().Put(p); err != nil {
			l.t.Fatalf("installing Ceph on %s: %v", node, err)
		}
	}
}

func (l *testLab) file(node, name, content string) {
	l.t.Helper()
	n := &machineNode{m: l.nodes[node], fs: l.nodes[node].FS()}
	if err := n.WriteFile(name, []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *testLab) read(node, name string) string {
	l.t.Helper()
	n := &machineNode{m: l.nodes[node], fs: l.nodes[node].FS()}
	content, err := n.ReadFile(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(content)
}

// result is the result of a program.
type result struct {
	stdout, stderr string
	code           int
	exit           string // in recordings: "TIMEOUT" if the code is unknown
}

// run runs one of our programs as root on a node.
func (l *testLab) run(node, stdin string, argv ...string) result {
	l.t.Helper()
	var out, errs bytes.Buffer
	n, _ := attached(l.nodes[node])
	c := &Command{World: l.world, Node: n, Argv: argv, Dir: "/root", Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}
	code := Run(l.t.Context(), c)
	return result{stdout: out.String(), stderr: errs.String(), code: code}
}

// ok is like run, for a command that must succeed and print nothing on stderr.
func (l *testLab) ok(node string, argv ...string) string {
	l.t.Helper()
	r := l.run(node, "", argv...)
	if r.code != 0 {
		l.t.Fatalf("%s on %s: exit %d\n%s%s", strings.Join(argv, " "), node, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

func (l *testLab) fingerprint(node string) (fp string) {
	l.world.at(func(v *view) { fp = v.database(node).fingerprint(node) })
	return fp
}

// form makes a cluster of the first count nodes.
func (l *testLab) form(name string, count int) {
	l.t.Helper()
	l.ok("pve1", "pvecm", "create", name)
	for i := 2; i <= count; i++ {
		node := fmt.Sprintf("pve%d", i)
		r := l.run(node, labPassword+"\n", "pvecm", "add", l.address("pve1"), "--fingerprint", l.fingerprint("pve1"))
		if r.stderr != "" || !strings.Contains(r.stdout, "successfully added") {
			l.t.Fatalf("joining %s: %s%s", node, r.stdout, r.stderr)
		}
	}
	l.clock.Advance(30 * time.Second)
}

func (l *testLab) address(node string) string {
	return l.nodes[node].Addresses()[0].Addr().String()
}

func (l *testLab) off(node string) {
	l.nodes[node].PowerOff()
	l.clock.Advance(5 * time.Second)
}
