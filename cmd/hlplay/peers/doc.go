// Package peers compares hlplay with Ansible and Mitogen on real Debian nodes: `make bench-peers`, as root. It consists
// of tests with build tag peers; docs/performance.md has the results.
package peers
