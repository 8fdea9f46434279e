// Package pve holds the observations of Proxmox VE that several modules share. Those of Ceph are in package ceph, which builds on
// this one.
//
// Everything is read from where it costs least: the files below /etc/pve in one bounded read, the node's own state by its shell.
// Kinds that share a source ask the same query, so that a flight carries it once. No Perl command is on the read path: it would
// cost a second or two, and its exit code proves nothing.
//
// State of the whole cluster and state of one node are kinds of their own, and state that several nodes change at the same time is
// keyed by node, so that the predictions of plans made at the same time never overwrite each other.
package pve

import ()
