package pve

import (
	_ "embed"

	"hlplay/engine/remote"
)

//go:embed arrived.sh
var arrivedScript string

// ServiceArrived returns the query that exits with 0 once the HA manager has brought a resource into the requested state (see
// Service.Arrived), or has given up.
func ServiceArrived(sid, state string) *remote.Query {
	if state == "ignored" {
		return nil
	}
	return &remote.Query{Script: arrivedScript, Args: []string{statusFile, sid, state}}
}
