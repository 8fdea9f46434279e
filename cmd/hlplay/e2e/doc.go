// Package e2e tests the built program against real Debian nodes (systemd-nspawn). All of it is tests with build tag e2e, which
// `make e2e` runs as root.
package e2e
