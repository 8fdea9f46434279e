package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/modules"
)

// KeepPeriods are what a setting that prunes backups may name: keep-last, keep-hourly, ….
var KeepPeriods = []string{"last", "hourly", "daily", "weekly", "monthly", "yearly"}

// CheckKeep returns an error if an argument says for something other than such a period how many backups are kept, or keeps
// none.
func CheckKeep(argument string, keep map[string]int) error {
	for _, period := range slices.Sorted(maps.Keys(keep)) {
		if !slices.Contains(KeepPeriods, period) || keep[period] < 1 {
			return &modules.ArgumentError{Argument: argument + "." + period, Problem: fmt.Sprintf("%s = %d keeps nothing", period, keep[period]), Want: "a number above 0 of: " + strings.Join(KeepPeriods, ", ")}
		}
	}
	return nil
}
