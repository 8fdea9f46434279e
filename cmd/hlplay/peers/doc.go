// Package peers measures hlplay against Ansible and Mitogen on real Debian nodes: `make bench-peers`, as
// root. All of it is tests with build tag peers; docs/performance.md has the results.
package peers
