// Package e2e tests the built program against real Debian nodes, as root. It consists of tests. Those with build tag
// e2e, which `make e2e` runs, use containers as nodes (systemd-nspawn); those with build tag machines, which `make
// e2e-machines` runs, use emulated machines with their own kernel (QEMU). The tests check the state of the nodes
// independently of hlplay.
package e2e
