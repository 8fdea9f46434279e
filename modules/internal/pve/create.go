package pve

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// CreateOn returns the host on which a guest is to be created, by its name in the inventory, and the node that it is.
func CreateOn(ctx context.Context, h *observe.Host, name string) (target *observe.Host, node string, err error) {
	if target, err = h.Peer(name); err != nil {
		return nil, "", fmt.Errorf("node: %w", err)
	}
	is, err := Nodes.Observe(ctx, target, "")
	if err != nil {
		return nil, "", err
	}
	if err := Writable(ctx, target); err != nil {
		return nil, "", fmt.Errorf("node: %w", err)
	}
	return target, is.Name, nil
}

// Create returns the step that creates a guest on a host. guests are those that are there before. Proxmox VE names the volumes, so
// only their storage is compared.
func Create(summary string, h, target *observe.Host, id int, config GuestConfig, guests map[int]Guest, argv []string) modules.Step {
	all := maps.Clone(guests)
	all[id], config.Exists = config.Guest, true
	return modules.Step{
		Summary: summary,
		Action:  run(10*time.Minute, argv...),
		Expect:  Everywhere(h, GuestLists.Expect("", all), GuestConfigs.Expect(strconv.Itoa(id), config)),
		Settle:  20 * time.Second,
		Await:   fmt.Sprintf("%s %d in /etc/pve", kinds[config.Type].kind, id),
		Wide:    true,
		On:      Elsewhere(h, target),
	}
}
