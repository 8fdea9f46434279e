// Package proxmox simulates the programs of Proxmox VE and Ceph for rehearsals, and the state of the
// clusters behind them.
//
// There are three layers, each of which knows only the ones before it:
//
//   - State is everything that the nodes of a lab share: a pmxcfs database per cluster, the corosync
//     membership, the runtime state of HA, the maps of Ceph. It is plain data (JSON) in a Store.
//   - World answers questions about that state at a time of the lab's clock. Nothing runs in the
//     background: what takes time (a quorum, a monitor that joins, an HA service that starts) is
//     computed from its start time, so the same time gives the same answers.
//   - The programs (pvecm, pveceph, ceph, ha-manager, …) read and change the state and print what the
//     real ones print. They access a node only through the Node interface.
//
// The output of the programs follows recordings of the real ones, which a test replays.
package proxmox
