// Package pve holds the observations of Proxmox VE and Ceph that several modules share.
//
// Everything is read from where it costs least: the files below /etc/pve all in one bounded read, what the monitors
// know in one bounded start of ceph, the node's own state by its shell. Kinds that have a source in common ask
// the same query, so that a flight carries it once. No Perl command is on the read path: one costs a
// second or two, and its exit code proves nothing.
//
// What is true of the whole cluster and what is true of one node are different kinds, and state
// that several nodes change at the same time (OSDs, managers) is keyed by node: so that the
// predictions of plans that are made at the same time never overwrite each other.
package pve
