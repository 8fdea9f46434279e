package pve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Disarmed returns an error if high availability would reset the node while it is cut off from the others.
func Disarmed(ctx context.Context, h modules.Host) error {
	const agent = "pve-ha-lrm.service"
	observe.Units.Want(h, agent)
	ha, err := HAs.Observe(ctx, h, "")
	if err != nil || ha.Disarmed {
		return err
	}
	var active []string
	for sid, r := range ha.Resources {
		if r.State != "ignored" {
			active = append(active, sid)
		}
	}
	if len(active) == 0 {
		return nil
	}
	unit, err := observe.Units.Observe(ctx, h, agent)
	if err != nil || !unit.Active() {
		return err
	}
	slices.Sort(active)
	way := "stop the agents on all nodes (systemctl stop pve-ha-lrm), then the managers (systemctl stop pve-ha-crm), and start them again afterwards, managers last"
	if major, err := Major(ctx, h); err == nil && major >= 9 {
		way = "`ha-manager crm-command disarm-ha freeze`, wait until `ha-manager status` says disarmed, and `ha-manager crm-command arm-ha` afterwards"
	}
	return fmt.Errorf("high availability is armed (%s): the watchdog resets a node that is cut off for a minute. Disarm it first: %s", strings.Join(active, ", "), way)
}
