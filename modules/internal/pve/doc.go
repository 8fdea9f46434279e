// Package pve contains the observations of Proxmox VE that several modules share. Those of Ceph are in package ceph,
// which builds on this one.
//
// Everything is read from where it costs least: the files below /etc/pve in a single bounded read, the node's own
// state by its shell. Kinds that share a source ask the same query, so that a flight carries it only once. No Perl
// command is used to read: it would take a second or two, and its exit code proves nothing.
//
// The state of the whole cluster and the state of one node are separate kinds. State that several nodes change at the
// same time is keyed by node, so that predictions of plans made at the same time never overwrite each other.
package pve

import ()
