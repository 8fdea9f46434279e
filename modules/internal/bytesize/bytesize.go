// Package bytesize parses the sizes of disks, partitions and volumes as playbooks write them.
package bytesize

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"sync"
)

// units are the units of sizes: powers of 1000, as disks are sold, and powers of 1024.
var units = map[string]int64{"MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}

var form = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)$`) })

// Parse parses a size with a unit, such as "1.5TiB" or "500 GB", and returns it in bytes, rounded down. A size below 1 MiB is
// an error.
func Parse(text string) (int64, error) {
	parts := form().FindStringSubmatch(text)
	if parts == nil || units[strings.ToUpper(parts[2])] == 0 {
		return 0, fmt.Errorf("%q is not a size with one of the units MB, GB, TB, MiB, GiB and TiB", text)
	}
	number, _ := new(big.Rat).SetString(parts[1]) // the pattern matches only valid numbers
	number.Mul(number, new(big.Rat).SetInt64(units[strings.ToUpper(parts[2])]))
	bytes := new(big.Int).Quo(number.Num(), number.Denom())
	if !bytes.IsInt64() || bytes.Int64() < 1<<20 {
		return 0, fmt.Errorf("%q is less than 1 MiB, or too large", text)
	}
	return bytes.Int64(), nil
}

// Format returns a size in bytes as a person reads it, in powers of 1024: "1.5 TiB", "204 MiB".
func Format(bytes int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= unit.size {
			text := fmt.Sprintf("%.2f", float64(bytes)/float64(unit.size))
			return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " " + unit.name
		}
	}
	return fmt.Sprint(bytes, " B")
}
