package pve

import (
	"strings"
)

// Refusal is an error printed by a command of Proxmox VE. It has advice if the cluster file system was lost while the
// command was running: Writable is checked before it begins.
type Refusal struct{ text string }

// Refused returns the failure of a command of Proxmox VE that printed text on standard error, on one line. It returns
// nil if the command printed nothing.
func Refused(text string) error {
	if text == "" {
		return nil
	}
	return &Refusal{text}
}

func (e *Refusal) Error() string { return e.text }

// Hint says what to do.
func (e *Refusal) Hint() string {
	for _, lost := range []struct {
		hint  string
		texts []string
	}{
		{"bring the missing members back (pvecm status on the host lists them), then run again: without quorum, nobody can write to /etc/pve, " +
			"and part of the step may be done", noQuorum},
		{"start pve-cluster.service on the host (systemctl start pve-cluster.service), which serves /etc/pve, then run again", noCluster},
	} {
		for _, text := range lost.texts {
			if strings.Contains(e.text, text) {
				return lost.hint
			}
		}
	}
	if strings.Contains(e.text, "/etc/pve") && (strings.Contains(e.text, "Permission denied") || strings.Contains(e.text, "Read-only file system")) {
		return "check whether the cluster has quorum (pvecm status on the host): without it, nobody can write to /etc/pve"
	}
	return ""
}

// noQuorum lists what commands print without a quorum, noCluster what they print if nothing serves /etc/pve.
var (
	noQuorum  = []string{"no quorum"}
	noCluster = []string{"ipcc_send_rec[", "Unable to load access control list: Connection refused", "Transport endpoint is not connected"}
)

// Explain is the Explain of a modules.Run of Proxmox VE that has nothing to add to what the command printed.
func Explain(_ int, _, stderr []byte) error {
	return Refused(Complaint(stderr))
}
