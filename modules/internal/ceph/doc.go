// Package ceph holds the observations of a Ceph cluster of Proxmox VE that several modules share.
//
// Whatever the monitors know is read in one bounded start of ceph, from which each kind takes its part. The configuration is read
// with the other files of /etc/pve, and the state of one node by its shell.
//
// State that several nodes change at the same time (OSDs, managers) is keyed by node, so that the predictions of plans made at the
// same time never overwrite each other.
package ceph

import ()
