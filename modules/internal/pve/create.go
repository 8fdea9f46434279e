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
		Wide:    true, Elsewhere: elsewhereOfCreation,
		On: Elsewhere(h, target),
	}
}

// elsewhereOfCreation is the Step.Elsewhere of the creation of a guest, which is not started: it allocates volumes on storages, which
// other nodes may see, and writes files in /etc/pve. It does not change who is in the cluster, or the other nodes' addresses.
func elsewhereOfCreation(_ modules.Host, k observe.Key) bool {
	return !slices.Contains([]string{Nodes.Name, Clusters.Name, observe.Networks.Name}, k.Kind)
}

// CheckKeyFile returns an error if the file with the public keys of a new guest is not on the host that creates it.
func CheckKeyFile(ctx context.Context, on *observe.Host, path string) error {
	found, err := observe.Exists(ctx, on, path)
	if err == nil && !found {
		err = fmt.Errorf("ssh_keys: %s has no file %s: put the public keys there first", on.Name(), path)
	}
	return err
}

// CheckNewDisks returns an error if the storage of a disk that is to be allocated does not exist, is not available on the node, or does
// not hold disks of that type of guest. Existing volumes, images, and what is no disk are not checked.
func CheckNewDisks(ctx context.Context, h *observe.Host, disks map[string]string, node, guest string) error {
	for _, slot := range slices.Sorted(maps.Keys(disks)) {
		storage, _, ok := NewDisk(disks[slot])
		if volume, _, _ := strings.Cut(disks[slot], ","); strings.HasSuffix(volume, ":cloudinit") {
			storage, ok = strings.TrimSuffix(volume, ":cloudinit"), true
		}
		if !ok {
			continue
		}
		if err := CheckDiskStorage(ctx, h, "disks."+slot, storage, node, guest); err != nil {
			return err
		}
	}
	return nil
}
