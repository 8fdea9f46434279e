// Package ceph contains the observations of a Ceph cluster on Proxmox VE that several modules share.
//
// Everything that the monitors know is read by starting ceph once, with a time limit; each kind takes its part of the
// output. The configuration is read together with the other files in /etc/pve, and the state of a node by its shell.
//
// State that several nodes change at the same time (OSDs, managers) is keyed by node, so that predictions of plans
// made at the same time never overwrite each other.
package ceph

import ()
