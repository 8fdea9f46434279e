package main

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/preflight"
)

// preflightFlags are the flags of `hlplay preflight`.
type preflightFlags struct {
	inputFlags
	connectFlags
	rehearse, json bool
}

func preflightCommand() *cobra.Command {
	f := &preflightFlags{}
	cmd := &cobra.Command{
		Use:   "preflight PLAYBOOK -i INVENTORY",
		Short: "Check whether hosts are fit for a cluster, before anything changes",
		Long: `Preflight examines the hosts of a playbook and prints a table of them, what is wrong, and how to fix it. It checks names,
releases, clock differences, duplicate machine IDs, processors, memory for the OSDs, network cards, disks, firmware, IOMMU, and the
ports that corosync, Ceph and Proxmox VE need. Between all hosts it measures the latency, and whether packets of the full MTU arrive.
Nothing is changed.

The addresses of a host are its address in the inventory and the variables whose names end in "address", such as ceph_address.
The variable osd_devices tells how many OSDs it will have.

Exit codes: 0 the hosts are fit (there may be warnings); 1 bad input; 2 a host is not fit, or could not be examined.`,
		Example: `  hlplay preflight playbooks/cluster.hcl -i inventory
  hlplay preflight playbooks/cluster.hcl -i inventory --json && hlplay run playbooks/cluster.hcl -i inventory`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.connectFlags.add(cmd)
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "use simulated nodes, one for each host of the inventory")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *preflightFlags) run(ctx context.Context, path string) error {
	pb, inv, err := f.load(ctx, path, true, selectFlags{})
	if err != nil {
		return err
	}
	now := time.Now
	if f.rehearse {
		stage, err := lab.Start(ctx, inv, lab.Options{})
		if err != nil {
			return err
		}
		defer stage.Close()
		inv, f.rehearsal, now = stage.Inventory(), len(inv.Hosts), stage.Clock().Now
	}
	hosts, err := playHosts(pb, inv)
	if err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	machines := f.gather(ctx, hosts, now)
	if err := ctx.Err(); err != nil {
		return err
	}
	return printFindings(preflight.Judge(machines), f.json, preflight.Print)
}

// printFindings prints a report, in which hosts can neither move the terminal's cursor nor hide anything. It returns an error
// with the exit code of a failure if the report stops.
func printFindings[R interface{ Stops() bool }](r R, asJSON bool, table func(io.Writer, R) error) error {
	var text []byte
	if asJSON {
		encoded, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		text = append(report.EscapeUnseen(encoded), '\n')
	} else {
		var plain strings.Builder
		if err := table(&plain, r); err != nil {
			return err
		}
		text = []byte(report.Printable(plain.String()))
	}
	if _, err := os.Stdout.Write(text); err != nil {
		return err
	}
	if r.Stops() {
		return &exitError{code: exitFailed}
	}
	return nil
}

// playHosts returns the hosts of all plays except the controller itself, in the inventory's order.
func playHosts(pb *lang.Playbook, inv *inventory.Inventory) ([]*inventory.Host, error) {
	named := map[*inventory.Host]bool{}
	for _, play := range pb.Plays {
		matched, err := inv.Match(play.Hosts)
		if err != nil {
			return nil, err
		}
		for _, h := range matched {
			named[h] = h.Connection != "local"
		}
	}
	return slices.DeleteFunc(slices.Clone(inv.Hosts), func(h *inventory.Host) bool { return !named[h] }), nil
}

// gather reads all hosts concurrently, and their clocks last.
func (f *preflightFlags) gather(ctx context.Context, hosts []*inventory.Host, now func() time.Time) []preflight.Machine {
	machines := make([]preflight.Machine, len(hosts))
	for i, h := range hosts {
		machines[i] = preflight.Machine{Host: h.Name, Address: h.Address, Addresses: addressesOf(h), OSDs: osdsOf(h)}
	}
	var targets []preflight.Target
	for _, m := range machines {
		for _, address := range m.Addresses {
			targets = append(targets, preflight.Target{Host: m.Host, Address: address})
		}
	}
	var gathered sync.WaitGroup
	gathered.Add(len(hosts))
	errs := run.Read(ctx, hosts, f.connect(func(fn func()) { fn() }), func(ctx context.Context, i int, h *observe.Host) error {
		err := preflight.Gather(ctx, h, &machines[i], preflight.Others(targets, machines[i].Host))
		gathered.Done()
		if err != nil {
			return err
		}
		gathered.Wait()
		return preflight.GatherClock(ctx, h, &machines[i], now)
	})
	for i, err := range errs {
		if err != nil {
			m := &machines[i]
			*m = preflight.Machine{Host: m.Host, Address: m.Address, Addresses: m.Addresses, OSDs: m.OSDs, Unread: err.Error()}
		}
	}
	return machines
}

// addressesOf returns the addresses that the inventory gives a host.
func addressesOf(h *inventory.Host) []string {
	var all []string
	add := func(address string) {
		if _, err := netip.ParseAddr(address); err == nil && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	add(h.Address)
	var names []string
	for name := range h.Vars {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if v, _ := h.Vars[name].Unmark(); strings.HasSuffix(name, "address") && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			add(v.AsString())
		}
	}
	return all
}

// osdsOf returns the number of disks that the inventory gives to Ceph on a host.
func osdsOf(h *inventory.Host) int {
	v, _ := h.Vars["osd_devices"].Unmark()
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || !v.CanIterateElements() {
		return 0
	}
	return v.LengthInt()
}
