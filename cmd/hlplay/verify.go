package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/run"
	"hlplay/modules/preflight"
	"hlplay/modules/proof"
	"hlplay/modules/throughput"
)

// verifyFlags are the flags of `hlplay verify`.
type verifyFlags struct {
	inputFlags
	connectFlags
	json, throughput bool

	floors                        proof.Floors
	streams, seconds, speed, port int
}

func verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify PLAYBOOK -i INVENTORY",
		Short: "Check a cluster after its setup",
		Long: `Verify examines the hosts of a playbook, and prints a table of them, what is wrong, and how to fix it. It checks that Proxmox VE
has the same version on every host, and Ceph on every host that has it, that no unit has failed, and that the web interface serves the controller its page with
the right certificate. Between all hosts it measures the latency, and checks that packets of the full MTU arrive. Nothing is changed.

With --throughput it also measures every link with iperf3, one at a time and in both directions, with one stream and with several,
and compares the results with a minimum in percent of the link's speed. Each measurement saturates its link for a few seconds. A link
that shares a network card with corosync is not measured while high availability is armed.

A host without Ceph is in order, unless others have it and the inventory gives this one a ceph_address or osd_devices.

The addresses of a host are its address in the inventory and the variables whose names end in "address", such as ceph_address.

playbooks/verify.hcl and playbooks/throughput.hcl run the same checks as tasks, and can be imported by other playbooks.

Exit codes: 0 nothing is wrong (there may be warnings); 1 bad input; 2 something is wrong, or a host could not be examined.`,
		Example: `  hlplay verify playbooks/cluster.hcl -i inventory
  hlplay verify playbooks/cluster.hcl -i inventory --throughput --floor 90
  hlplay verify playbooks/cluster.hcl -i inventory --json | jq .findings`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.connectFlags.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.throughput, "throughput", false, "measure the links with iperf3, which saturates them")
	flags.IntVar(&f.floors.Several, "floor", 80, "minimum throughput with several streams, in `PERCENT` of the link's speed")
	flags.IntVar(&f.floors.Single, "single-floor", 40, "the same with one stream, which uses only one card of a bond")
	flags.IntVar(&f.streams, "streams", 4, "`NUMBER` of streams in the second measurement")
	flags.IntVar(&f.seconds, "seconds", 5, "duration of a measurement in `SECONDS`")
	flags.IntVar(&f.speed, "speed", 0, "speed of the links in `MBIT` a second, if the drivers report none or a wrong one")
	flags.IntVar(&f.port, "port", 5201, "`PORT` of iperf3's server")
	return cmd
}

// check returns an error if a flag makes no sense.
func (f *verifyFlags) check() error {
	for _, n := range []struct {
		flag               string
		value, least, most int
	}{
		{"floor", f.floors.Several, 1, 100}, {"single-floor", f.floors.Single, 1, 100}, {"streams", f.streams, 2, 128}, {"seconds", f.seconds, 1, 300},
		{"speed", f.speed, 0, 1000000}, {"port", f.port, 1024, 65535},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("--%s %d is out of range: expected %d to %d", n.flag, n.value, n.least, n.most)
		}
	}
	return nil
}

func (f *verifyFlags) run(ctx context.Context, path string) error {
	if err := f.check(); err != nil {
		return err
	}
	pb, inv, err := f.load(ctx, path, true, selectFlags{})
	if err != nil {
		return err
	}
	hosts, err := playHosts(pb, inv)
	if err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	nodes, measured := f.gather(ctx, hosts)
	if err := ctx.Err(); err != nil {
		return err
	}
	return printFindings(proof.Judge(nodes, measured, f.floors), f.json, proof.Print)
}

// errand is work on one host while the others wait.
type errand func(ctx context.Context, h *observe.Host)

// gather reads all hosts concurrently. With --throughput it then measures the links, one at a time.
func (f *verifyFlags) gather(ctx context.Context, hosts []*inventory.Host) ([]proof.Node, []proof.Measurement) {
	nodes := make([]proof.Node, len(hosts))
	for i, h := range hosts {
		nodes[i] = proof.Node{Host: h.Name, Address: h.Address, Addresses: addressesOf(h), CephDeclared: declaresCeph(h)}
	}
	var measured []proof.Measurement
	var gathered sync.WaitGroup
	gathered.Add(len(hosts))
	failed := make([]error, len(hosts))
	errands := make([]chan errand, len(hosts))
	for i := range errands {
		errands[i] = make(chan errand)
	}
	dial := inventory.Dialer(hosts, false)
	conducted := make(chan struct{})
	go func() {
		defer close(conducted)
		gathered.Wait()
		if f.throughput {
			measured = f.measure(nodes, failed, errands)
		}
		for _, each := range errands {
			close(each)
		}
	}()
	run.Read(ctx, hosts, f.connect(func(fn func()) { fn() }), func(ctx context.Context, i int, h *observe.Host) error {
		h.SetDial(dial)
		failed[i] = proof.Gather(ctx, h, &nodes[i], preflight.Others(targetsOf(nodes), nodes[i].Host))
		gathered.Done()
		for do := range errands[i] {
			do(ctx, h)
		}
		return nil
	})
	<-conducted
	for i, err := range failed {
		if err != nil {
			n := &nodes[i]
			*n = proof.Node{Host: n.Host, Address: n.Address, Addresses: n.Addresses, CephDeclared: n.CephDeclared, Unread: err.Error()}
		}
	}
	return nodes, measured
}

// declaresCeph reports whether the inventory gives a host an address or disks for Ceph, as playbooks/verify.hcl asks.
func declaresCeph(h *inventory.Host) bool {
	address, _ := h.Vars["ceph_address"].Unmark()
	return osdsOf(h) > 0 || address != cty.NilVal && address.IsWhollyKnown() && !address.IsNull() && address.Type() == cty.String && address.AsString() != ""
}

func targetsOf(nodes []proof.Node) (all []preflight.Target) {
	for _, n := range nodes {
		for _, address := range n.Addresses {
			all = append(all, preflight.Target{Host: n.Host, Address: address})
		}
	}
	return all
}

// measure measures each link in both directions, one at a time. Hosts that could not be read are left out.
func (f *verifyFlags) measure(nodes []proof.Node, failed []error, errands []chan errand) []proof.Measurement {
	var all []proof.Measurement
	round := 0
	on := func(host int, do errand) {
		done := make(chan struct{})
		errands[host] <- func(ctx context.Context, h *observe.Host) { defer close(done); do(ctx, h) }
		<-done
	}
	one := func(from, to int, address netip.Addr, m *proof.Measurement) error {
		var near, far int
		var err error
		for _, end := range []struct {
			host  int
			speed *int
		}{{from, &near}, {to, &far}} {
			on(end.host, func(ctx context.Context, h *observe.Host) {
				*end.speed, err = throughput.Ready(ctx, h, address, end.host == to)
			})
			if err != nil {
				return err
			}
		}
		if m.Speed = f.speed; m.Speed == 0 {
			if m.Speed = min(near, far); m.Speed <= 0 {
				return fmt.Errorf("the network cards do not both report a speed: set it with --speed")
			}
		}
		for _, c := range []struct {
			streams int
			got     *float64
		}{{1, &m.Single}, {f.streams, &m.Several}} {
			round++
			on(to, func(ctx context.Context, h *observe.Host) { err = throughput.Serve(ctx, h, address, f.port, round) })
			if err == nil {
				on(from, func(ctx context.Context, h *observe.Host) {
					*c.got, err = throughput.Measure(ctx, h, address, f.port, c.streams, f.seconds, round)
				})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for from := range nodes {
		for to := range nodes {
			if from == to || failed[from] != nil || failed[to] != nil {
				continue
			}
			for _, text := range nodes[to].Addresses {
				address := netip.MustParseAddr(text)
				m := proof.Measurement{From: nodes[from].Host, To: nodes[to].Host, Address: text, Streams: f.streams}
				if err := one(from, to, address, &m); err != nil {
					m.Problem = err.Error()
				}
				all = append(all, m)
			}
		}
	}
	return all
}
