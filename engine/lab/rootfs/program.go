//go:build linux

package rootfs

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// Missing returns an error if this machine lacks any of the programs, which are given with the Debian packages that
// contain them. The error says what is missing and how to install it.
func Missing(programs map[string]string) error {
	var names, packages []string
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if _, err := exec.LookPath(name); err != nil {
			names, packages = append(names, name), append(packages, programs[name])
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("real nodes need %s; on Debian: apt-get install --no-install-recommends %s", strings.Join(names, ", "), strings.Join(packages, " "))
}
