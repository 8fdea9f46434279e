// Package hostname sets a host's name.
package hostname

import (
	"context"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "hostname",
	Summary: "The host's name, now and after a reboot",
	Doc: `Writes /etc/hostname and sets the kernel's host name. /etc/hosts, in which the name should resolve, is left to the module file.
Running services keep the old name until they restart.

A Proxmox VE node is not renamed: the configuration of its guests is in a directory named after it, and the cluster, Ceph and
the certificates know it by that name.`,
	Example: `task "the name that the inventory gives it" {
  hostname {
    name = host.name
  }
}`,
	New: func() modules.Module { return &hostname{} },
}

// hostname holds the module's arguments.
type hostname struct {
	Name string `hcl:"name" doc:"The name without a domain: lower-case letters, digits and hyphens, such as pve1."`
}

const (
	static  = "/etc/hostname"             // hostname(5), read at boot
	running = "/proc/sys/kernel/hostname" // uname -n
)

// label matches a host name as defined in RFC 1123, in the normalized form used for comparison.
var label = pattern.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate rejects names that are not a single label.
func (m *hostname) Validate() error {
	if !label.MatchString(m.Name) {
		return &modules.ArgumentError{Argument: "name", Problem: fmt.Sprintf("%q is not a host name without a domain", m.Name),
			Want: "expected at most 63 lower-case letters, digits and hyphens, such as pve1"}
	}
	return nil
}

// Want announces what Plan reads.
func (m *hostname) Want(h modules.Host) { observe.Files.Want(h, static, running) }

// Plan compares the names set for the next boot and in the kernel with the desired one.
func (m *hostname) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	files, err := observe.Files.ObserveAll(ctx, h, []string{static, running})
	if err != nil {
		return modules.Plan{}, err
	}
	steps, err := m.persist(ctx, h, files[static])
	if err != nil {
		return modules.Plan{}, err
	}
	kernel := files[running]
	is := strings.TrimSpace(string(kernel.Content))
	if is != m.Name {
		kernel.Content = []byte(m.Name + "\n")
		kernel.Size = int64(len(kernel.Content))
		steps = append(steps, modules.Step{
			Summary: "set the host name to " + m.Name,
			Action:  modules.Run{Argv: []string{"hostname", m.Name}, Brief: true},
			Diff:    &modules.Diff{Subject: "host name", Before: is, After: m.Name},
			Expect:  []observe.Expectation{observe.Files.Expect(running, kernel)},
		})
	}
	if len(steps) == 0 {
		return modules.Plan{}, nil
	}
	return modules.Plan{Steps: steps}, m.renamable(ctx, h, is)
}

// persist plans the name that the host has after a reboot. A file written by hand may contain spaces and comments.
func (m *hostname) persist(ctx context.Context, h modules.Host, file observe.File) ([]modules.Step, error) {
	for line := range strings.Lines(string(file.Content)) {
		if line = strings.TrimSpace(line); line == m.Name {
			return nil, nil
		} else if line != "" && !strings.HasPrefix(line, "#") {
			break // hostname(5): the first line that is neither empty nor a comment counts
		}
	}
	return conffile.Write(ctx, h, static, m.Name+"\n", "keep the host name "+m.Name+" in "+static)
}

// renamable returns an error if the host is a node of Proxmox VE, which cannot be renamed.
func (m *hostname) renamable(ctx context.Context, h modules.Host, is string) error {
	pve, err := observe.Packages.Observe(ctx, h, "pve-cluster")
	if err != nil {
		return err
	}
	if pve.Installed() {
		return fmt.Errorf("%s is a Proxmox VE node with its guests in /etc/pve/nodes/%[1]s: it is not renamed to %s; migrate its guests, remove it from the cluster and reinstall it under that name", is, m.Name)
	}
	return nil
}
