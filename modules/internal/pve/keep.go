package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/modules"
)

// KeepPeriods lists the periods of a retention setting: keep-last, keep-hourly, and so on.
var KeepPeriods = []string{"last", "hourly", "daily", "weekly", "monthly", "yearly"}

// CheckKeep returns an error if an argument that says how many backups to keep has a key that is not one of these periods,
// or a value below 1.
func CheckKeep(argument string, keep map[string]int) error {
	for _, period := range slices.Sorted(maps.Keys(keep)) {
		if !slices.Contains(KeepPeriods, period) || keep[period] < 1 {
			return &modules.ArgumentError{Argument: argument + "." + period, Problem: fmt.Sprintf("%s = %d keeps nothing", period, keep[period]), Want: "a number above 0 of: " + strings.Join(KeepPeriods, ", ")}
		}
	}
	return nil
}
