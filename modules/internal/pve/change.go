package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// GuestChange changes options of an existing guest, and grows its disks.
type GuestChange struct {
	ID   int
	Form *GuestForm
	// Want holds the options that the task sets; an empty value deletes an option.
	Want map[string]string
	// Hot reports whether an option takes effect in the running guest at once. Proxmox VE keeps other changes pending until
	// its next start.
	Hot func(key string, have GuestConfig) bool
	// Host is the host that is planned for, and On the host of the guest's node.
	Host, On *observe.Host
	// After is the guest's configuration. Plan updates it to what it will be after the planned steps.
	After GuestConfig
	// Off is set if the guest is not running when the steps are carried out.
	Off bool
}

// Waiting lists the wanted options that take effect at the guest's next start.
func (c *GuestChange) Waiting() []string {
	var waiting []string
	for _, key := range slices.Sorted(maps.Keys(c.Want)) {
		if is, waits := c.After.Pending[key]; waits && !c.Form.Differs(key, is, c.Want[key]) {
			waiting = append(waiting, key)
		}
	}
	return waiting
}

// Waits returns a note for each option that takes effect at the guest's next start. have is the configuration until then.
func (c *GuestChange) Waits(have GuestConfig, keys []string) []string {
	var notes []string
	for _, key := range keys {
		notes = append(notes, fmt.Sprintf("%s: %s takes effect at its next start (%s reboot %d); until then it is %q",
			have.Label(c.ID), key, kinds[have.Type].program, c.ID, have.Options[key]))
	}
	return notes
}

// Plan returns the steps that set options and grow disks, and the options that take effect at the next start of the
// running guest. grow maps slots to sizes in GiB.
func (c *GuestChange) Plan(ctx context.Context, set []string, grow map[string]float64) (steps []modules.Step, later []string, err error) {
	if len(set) == 0 && len(grow) == 0 {
		return nil, nil, nil
	}
	if err := c.After.Locked(c.ID); err != nil {
		return nil, nil, err
	}
	if err := Writable(ctx, c.On); err != nil {
		return nil, nil, err
	}
	running := false
	if !c.Off {
		all, err := Running.Observe(ctx, c.On, "")
		if err != nil {
			return nil, nil, err
		}
		running = all[c.ID]
	}
	if len(set) > 0 {
		var step modules.Step
		step, later = c.set(set, running)
		steps = append(steps, step)
	}
	for _, slot := range slices.Sorted(maps.Keys(grow)) {
		steps = append(steps, c.grow(slot, grow[slot]))
	}
	return steps, later, nil
}

// Switched returns the steps of Plan together with the steps that start or stop the guest: state is "started", "stopped",
// or "" to leave it as it is. The guest is stopped before the changes and started after them, so that no change has to
// wait. notes name the changes that wait nevertheless. Switched sets On.
func (c *GuestChange) Switched(ctx context.Context, set []string, grow map[string]float64, state string, timeout time.Duration) (steps []modules.Step, notes []string, err error) {
	have, waiting := c.After, c.Waiting()
	if len(set) == 0 && len(grow) == 0 && state == "" {
		return nil, c.Waits(have, waiting), nil
	}
	if c.On, err = HostOf(ctx, c.Host, have.Node); err != nil {
		return nil, nil, fmt.Errorf("%s is on %s, where it has to be changed: %w", have.Label(c.ID), have.Node, err)
	}
	power := Power{ID: c.ID, On: state == "started", Timeout: timeout}
	if state == "stopped" {
		c.Off = true
		if steps, err = power.Plan(ctx, c.Host, c.On, have); err != nil {
			return nil, nil, err
		}
	}
	changes, later, err := c.Plan(ctx, set, grow)
	if err != nil {
		return nil, nil, err
	}
	steps = append(steps, changes...)
	if state == "started" {
		start, err := power.Plan(ctx, c.Host, c.On, c.After)
		if err != nil {
			return nil, nil, err
		}
		if len(start) > 0 { // the changes that wait take effect with it
			return append(steps, start...), nil, nil
		}
	}
	return steps, c.Waits(have, append(waiting, later...)), nil
}

// set returns the step that sets options, and those of them that a running guest gets later.
func (c *GuestChange) set(keys []string, running bool) (step modules.Step, later []string) {
	before := c.After
	after := before
	after.Options, after.Pending, after.Digest = maps.Clone(before.Options), maps.Clone(before.Pending), ""
	if after.Pending == nil {
		after.Pending = map[string]string{}
	}
	var said []string
	for _, key := range keys {
		want := c.Want[key]
		text := fmt.Sprintf("%s %s → %s", key, orNone(before.Options[key]), orNone(want))
		if key == "description" {
			text = key
		}
		delete(after.Pending, key)
		switch {
		case !c.Form.Differs(key, before.Options[key], want): // another change is pending, and this one takes it back
			text = fmt.Sprintf("%s stays %s, not %s", key, orNone(before.Options[key]), orNone(before.Pending[key]))
		case running && !c.Hot(key, before):
			after.Pending[key] = want
			later = append(later, key)
			text += ", at its next start"
		case want == "":
			delete(after.Options, key)
		default:
			after.Options[key] = want
		}
		said = append(said, text)
	}
	summary := fmt.Sprintf("change %s: %s", before.Label(c.ID), strings.Join(said, "; "))
	argv := append([]string{kinds[before.Type].program, "set", strconv.Itoa(c.ID)}, Arguments(c.Want, keys)...)
	step = c.step(summary, modules.Run{Argv: argv, Limit: time.Minute}, before, after)
	step.Await = fmt.Sprintf("%s of %s in /etc/pve", strings.Join(keys, ", "), before.Label(c.ID))
	if before.Type == "lxc" && running && slices.Contains(keys, "memory") && after.Memory() < before.Memory() {
		step.Risk = modules.Restarts // the kernel kills processes if the memory no longer suffices
	}
	return step, later
}

// grow returns the step that grows a disk.
func (c *GuestChange) grow(slot string, gib float64) modules.Step {
	size := strconv.FormatFloat(gib, 'f', -1, 64) + "G"
	before := c.After
	after := before
	after.Options, after.Digest = maps.Clone(before.Options), ""
	after.Options[slot] = Resized(before.Options[slot], size)
	summary := fmt.Sprintf("grow %s of %s to %s (%s)", slot, before.Label(c.ID), size, before.Options[slot])
	argv := append(slices.Clone(resize[before.Type]), strconv.Itoa(c.ID), slot, size)
	step := c.step(summary, modules.Run{Argv: argv, Limit: 6 * time.Hour, Long: true}, before, after)
	step.Await = fmt.Sprintf("%s of %s with %s", slot, before.Label(c.ID), size)
	return step
}

// resize holds the commands that grow a disk, by the type of the guest.
var resize = map[string][]string{"qemu": {"qm", "disk", "resize"}, "lxc": {"pct", "resize"}}

// step returns a step that changes the guest from one configuration to another.
func (c *GuestChange) step(summary string, command modules.Run, before, after GuestConfig) modules.Step {
	c.After = after
	command.Dir, command.Explain = "/root", Explain
	command.Retry, command.Patience = []string{"got lock request timeout", "can't lock file"}, time.Minute
	return modules.Step{
		Summary: summary, Action: Versioned(command, before.File, before.Digest),
		Expect: Everywhere(c.Host, GuestConfigs.Expect(strconv.Itoa(c.ID), after)),
		Settle: 20 * time.Second, Wide: true, On: Elsewhere(c.Host, c.On),
	}
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}
