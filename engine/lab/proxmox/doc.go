// Package proxmox simulates the programs of Proxmox VE and Ceph for rehearsal nodes, and the state of
// the clusters behind them.
//
// Three layers, each of which knows only the one below:
//
//   - State is everything that the nodes of a lab share: one pmxcfs database for each cluster, the
//     corosync membership, HA's runtime state, the Ceph maps. It is plain data (JSON) behind a Store.
//   - World answers questions about that state at a point of the lab's clock. Nothing runs in the
//     background: what takes time (a quorum, a monitor that joins, an HA service that starts) is
//     computed from the times at which it began, so the same clock gives the same answers.
//   - The programs (pvecm, pveceph, ceph, ha-manager, …) read and change the state and print what the
//     real ones print. They reach a node only through the Node interface.
//
// What the programs answer follows recordings of the real ones; a test replays those.
package proxmox
