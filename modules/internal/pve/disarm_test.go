package pve

import (
	"testing"
)

// TestDisarmed parses the status of the manager of Proxmox VE 9 before and after it has released the watchdogs.
func TestDisarmed(t *testing.T) {
	for text, want := range map[string]bool{
		`{"node_status":{"pve1":"online"}}`:                    false,
		`{"disarm":{"mode":"freeze","state":"disarming"}}`:     false,
		`{"disarm":{"mode":"freeze","state":"disarmed"}}`:      true,
		`{"master_node":"pve1","disarm":{"state":"disarmed"}}`: true,
	} {
		ha := emptyHA()
		if err := ha.readStatus([]byte(text)); err != nil || ha.Disarmed != want || ha.Clone().Disarmed != want {
			t.Errorf("%s: disarmed is %v, %v; expected %v", text, ha.Disarmed, err, want)
		}
	}
}
