// Package e2e tests the built program against real Debian nodes, as root. All of it is tests: those with build tag e2e, which
// `make e2e` runs, have containers as nodes (systemd-nspawn); those with build tag machines, which `make e2e-machines` runs, have
// emulated machines with a kernel of their own (QEMU). What the tests assert,
// they read from the nodes by other means than hlplay.
package e2e
