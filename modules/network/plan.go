package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/network/interfaces"
)

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	allLinks.Want(h, "")
	if m.Pin {
		linkFiles.Want(h, "")
	}
	if m.pinsAll() {
		return
	}
	observe.Files.Want(h, interfaces.Path)
	observe.Dirs.Want(h, dropIns)
	observe.Networks.Want(h, "")
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	m.Want(h)
	s := state{host: h.Name(), wants: m.all(), absent: m.Absent}
	if m.pinsAll() {
		var err error
		if s.links, err = allLinks.Observe(ctx, h, ""); err != nil {
			return modules.Plan{}, err
		}
		pins, notes, err := m.planPins(ctx, h, s)
		return modules.Plan{Steps: pins, Notes: notes}, err
	}
	text, _, err := observe.Text(ctx, h, interfaces.Path)
	if err != nil {
		return modules.Plan{}, err
	}
	others, err := readOthers(ctx, h, text)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := declaredElsewhere(others, s.wants, m.Absent); err != nil {
		return modules.Plan{}, err
	}
	after, err := edited(text, others, s.wants, m.Absent)
	if err != nil {
		return modules.Plan{}, err
	}
	if s.net, err = observe.Networks.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	if s.links, err = allLinks.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	if s.before, err = read(text, others); err != nil {
		return modules.Plan{}, err
	}
	if s.after, err = read(after, others); err != nil {
		return modules.Plan{}, err
	}
	pins, notes, err := m.planPins(ctx, h, s)
	if err != nil {
		return modules.Plan{}, err
	}
	drift := s.drift()
	if after == text && len(drift) == 0 {
		return modules.Plan{Steps: pins, Notes: notes}, nil
	}
	plan, err := m.change(ctx, h, s, after, drift, pins)
	plan.Notes = append(plan.Notes, notes...)
	return plan, err
}

func read(text string, others []interfaces.Named) (interfaces.Config, error) {
	return interfaces.Read(append([]interfaces.Named{{Path: interfaces.Path, File: interfaces.Parse(text)}}, others...))
}

// change plans the changes, after all safety checks.
func (m *Module) change(ctx context.Context, h modules.Host, s state, after string, drift []difference, pins []modules.Step) (modules.Plan, error) {
	if err := s.sound(); err != nil {
		return modules.Plan{}, err
	}
	if err := s.removable(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	address, note, err := s.reach(h.Address(), m.ReachableAt)
	if err != nil {
		return modules.Plan{}, err
	}
	doubt := safe(ctx, h)
	if doubt != nil && !observe.IsUnknown(doubt) {
		return modules.Plan{}, doubt
	}
	if err := s.corosync(ctx, h, m.CorosyncOnBond); err != nil {
		return modules.Plan{}, err
	}
	if err := s.ceph(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	neighbours, notes, err := s.neighbours(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	notes = append(notes, s.lost()...)
	notes = append(notes, s.shared()...)
	if len(pins) > 0 { // these need no guard, and rebuilding the images may take longer than the guard lasts
		return modules.Plan{Steps: pins, Partial: true, Doubt: doubt}, nil
	}
	steps, err := conffile.Write(ctx, h, interfaces.Path, after, s.summary())
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: append(steps, s.reload(drift)), Guard: m.guard(s, address, neighbours), Notes: notes, Doubt: doubt}, nil
}

// summary describes the change of the file.
func (s state) summary() string {
	var names []string
	for _, w := range s.wants {
		names = append(names, w.name)
	}
	written, gone := "write "+strings.Join(names, ", ")+" to "+interfaces.Path, strings.Join(s.removed(), ", ")
	switch {
	case gone == "":
		return written
	case len(names) == 0:
		return "remove " + gone + " from " + interfaces.Path
	}
	return written + ", and remove " + gone
}

// drift returns what a reload would change.
func (s state) drift() []difference {
	var all []difference
	for _, w := range s.wants {
		file, _ := s.after.Find(w.name)
		all = append(all, running{w, file, s.net, s.links}.drift()...)
	}
	for _, name := range s.absent {
		if _, there := s.links.ByName[name]; there {
			all = append(all, difference{name, "there", "not there"})
		}
	}
	return all
}

// lost returns notes about addresses that no interface will have any more.
func (s state) lost() []string {
	var notes []string
	for _, name := range s.names() {
		if !s.concerns(name) {
			continue
		}
		card, _ := interfaceOf(s.net, name)
		for _, p := range global(card.Addresses) {
			stays := slices.ContainsFunc(s.names(), func(name string) bool {
				return slices.ContainsFunc(s.addresses(name), func(o netip.Prefix) bool { return o.Addr() == p.Addr() })
			})
			if !stays {
				notes = append(notes, fmt.Sprintf("%s is no longer an address of %s", p.Addr(), s.host))
			}
		}
	}
	return notes
}

// shared returns notes about interfaces of the task whose subnet is also that of another interface. Routing by source, as for
// storage over several paths, can make use of that.
func (s state) shared() []string {
	var notes []string
	names := s.names()
	for n, name := range names {
		for _, other := range names[n+1:] {
			if !s.concerns(name) && !s.concerns(other) {
				continue
			}
			for _, p := range s.addresses(name) {
				if !p.IsSingleIP() && slices.ContainsFunc(s.addresses(other), func(o netip.Prefix) bool { return o.Masked() == p.Masked() }) {
					notes = append(notes, fmt.Sprintf("%s and %s are both in %s: the kernel sends everything for it through one of them, and answers ARP requests for both addresses on either; "+
						"give each its own subnet, or put their cards into one bond", name, other, p.Masked()))
				}
			}
		}
	}
	return notes
}

// reloadLimit limits the reload, since a bond may wait for its switch.
const reloadLimit = 2 * time.Minute

// reload applies the file.
func (s state) reload(drift []difference) modules.Step {
	var before, after []string
	for _, d := range drift {
		before = append(before, d.what+": "+d.is)
		after = append(after, d.what+": "+d.want)
	}
	step := modules.Step{
		Summary: "apply " + interfaces.Path + " (ifreload -a)",
		Action:  modules.Run{Argv: []string{"ifreload", "-a"}, Limit: reloadLimit, Explain: explain},
		Expect: []observe.Expectation{
			observe.Networks.Expect("", s.predictedNetwork()), allLinks.Expect("", s.predictedLinks()),
		},
		Settle: 20 * time.Second, Await: "the interfaces",
		Unmet: "ifreload succeeded, but the changes are not in effect: see the output of ifreload -a -v and ifquery --check -a",
		Exact: true,
	}
	if len(drift) > 0 {
		step.Diff = &modules.Diff{Subject: "network", Before: strings.Join(before, "\n"), After: strings.Join(after, "\n")}
	}
	return step
}

// explain extracts the errors from ifreload's output.
func explain(exit int, _, stderr []byte) error {
	var said []string
	for line := range strings.Lines(string(stderr)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "error:") {
			said = append(said, strings.TrimSpace(strings.TrimPrefix(line, "error:")))
		}
	}
	if len(said) == 0 {
		return nil
	}
	return fmt.Errorf("ifreload could not apply the configuration (exit code %d): %s", exit, strings.Join(said, "; "))
}

// guard returns the guard that undoes the change unless it is confirmed.
func (m *Module) guard(s state, address string, neighbours []neighbour) *modules.Guard {
	g := &modules.Guard{
		Within: m.Rollback, Files: []string{interfaces.Path}, Undo: [][]string{{"ifreload", "-a"}}, Address: address,
	}
	if g.Within == 0 {
		g.Within = 90 * time.Second
	}
	for _, w := range s.wants {
		for _, gateway := range w.gateways {
			most := s.mtu(w.name)
			if w.given.GatewayMTU != 0 {
				most = min(most, w.given.GatewayMTU)
			}
			g.Proofs = append(g.Proofs, ping(gateway, most, "the gateway of "+w.name+"; if it accepts no more than 1500, set gateway_mtu = 1500"))
		}
	}
	for _, n := range neighbours {
		g.Proofs = append(g.Proofs, ping(n.addr, n.most, n.host))
	}
	return g
}
