package pbs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/modules/internal/pve"
)

// differing returns the names of the properties that differ from the wanted ones, sorted. An empty value means that the
// property must not be set.
func differing(have, want map[string]string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !pve.Scalar.Same(have[key], want[key]) {
			keys = append(keys, key)
		}
	}
	return keys
}

// merged returns a section with the wanted properties set.
func merged(have, want map[string]string) map[string]string {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, want)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// options returns the arguments that set the named properties. Properties without a value are deleted, each with an option
// of its own, because proxmox-backup-manager takes a list as a repeated option.
func options(want map[string]string, keys []string) []string {
	var args []string
	for _, key := range keys {
		if want[key] == "" {
			args = append(args, "--delete", key)
		} else {
			args = append(args, "--"+key, want[key])
		}
	}
	return args
}

// lines formats properties as in a configuration file of the server.
func lines(properties map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&b, "%s %s\n", key, properties[key])
	}
	return b.String()
}

func list[T any](m map[string]T) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
