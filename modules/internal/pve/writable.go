package pve

import (
	"context"
	"fmt"
	"strings"

	"hlplay/engine/observe"
)

// Writable returns an error if /etc/pve could not be written: without pmxcfs, or without a quorum, which the commands
// of Proxmox VE would wait for in vain.
func Writable(ctx context.Context, h *observe.Host) error {
	c, err := Clusters.Observe(ctx, h, "")
	switch {
	case err != nil:
		return err
	case !c.Mounted:
		return fmt.Errorf("%s: %w", h.Name(), ErrNotMounted)
	case !c.Quorate:
		return fmt.Errorf("cluster %s has no quorum as seen from %s, and /etc/pve cannot be written (online: %s; offline: %s): bring the members back, then run again",
			c.Name, h.Name(), names(c.Online()), names(c.Offline()))
	}
	return nil
}

func names(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// Complaint returns what a command of Proxmox VE printed on standard error, on one line. Repeated attempts to get a
// lock are mentioned only once.
func Complaint(stderr []byte) string {
	var lines []string
	for line := range strings.Lines(string(stderr)) {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" || len(lines) > 0 && lines[len(lines)-1] == line {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}
