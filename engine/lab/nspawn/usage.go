//go:build linux

package nspawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time that all of the node's processes have used since it was started, as accounted by its
// cgroup (cpuacct.usage or, in v2, cpu.stat).
func (node *Node) CPU() (time.Duration, error) {
	for _, h := range node.nodes.reaper.hierarchies {
		group := filepath.Join(h, filepath.Base(node.nodes.Dir), node.Name)
		if text, err := os.ReadFile(filepath.Join(group, "cpuacct.usage")); err == nil {
			nanoseconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return time.Duration(nanoseconds), err
		}
		text, err := os.ReadFile(filepath.Join(group, "cpu.stat"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
				microseconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				return time.Duration(microseconds) * time.Microsecond, err
			}
		}
	}
	return 0, fmt.Errorf("processor time of node %s: %w", node.Name, errors.New("no cgroup hierarchy accounts for it (cpuacct, or cgroup2)"))
}
