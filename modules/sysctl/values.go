package sysctl

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
)

// written returns a value in the form in which it is written: numbers are separated by single spaces, text keeps its
// spaces.
func written(value string) string {
	fields := strings.Fields(value)
	for _, f := range fields {
		if _, ok := number(f); !ok {
			return strings.TrimSpace(value)
		}
	}
	return strings.Join(fields, " ")
}

// equal reports whether the kernel, which currently has is for a setting, would have the same value after want was
// written.
func equal(name, want, is string) bool {
	want, is = observe.NormalSysctl(want), observe.NormalSysctl(is)
	return want == is || sameNumbers(want, is) || sameRanges(want, is) || strings.Contains(name, "bitmap") && sameBits(want, is)
}

// sameNumbers compares numbers in the notations of C. If fewer numbers are written than the kernel has, the others do
// not change.
func sameNumbers(want, is string) bool {
	wanted, have := strings.Fields(want), strings.Fields(is)
	if len(wanted) == 0 || len(wanted) > len(have) {
		return false
	}
	for i, text := range have {
		n, ok := number(text)
		if !ok {
			return false
		}
		if i >= len(wanted) {
			continue
		}
		if m, ok := number(wanted[i]); !ok || m != n {
			return false
		}
	}
	return true
}

// kernelForm returns how the kernel, which currently has is for a setting, will show it after want was written:
// numbers in decimal, followed by those that were not given, and ranges sorted and joined.
func kernelForm(want, is string) string {
	if joined, ok := ranges(want); ok && strings.ContainsAny(want, ",-") {
		var all []string
		for _, r := range joined {
			text := strconv.FormatUint(r[0], 10)
			if r[1] > r[0] {
				text += "-" + strconv.FormatUint(r[1], 10)
			}
			all = append(all, text)
		}
		return strings.Join(all, ",")
	}
	wanted, have := strings.Fields(want), strings.Fields(is)
	for i, text := range wanted {
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil || strings.Contains(text, "_") {
			return want
		}
		wanted[i] = strconv.FormatInt(n, 10)
	}
	for _, text := range have {
		if _, ok := number(text); !ok {
			return want
		}
	}
	if len(have) > len(wanted) {
		wanted = append(wanted, have[len(wanted):]...)
	}
	return strings.Join(wanted, " ")
}

// number parses a whole number: 0x10, 010 or 16. A negative number is returned in the unsigned form in which the
// kernel keeps it.
func number(text string) (uint64, bool) {
	if strings.Contains(text, "_") { // allowed only by Go
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(n), true
	}
	n, err := strconv.ParseUint(text, 0, 64)
	return n, err == nil
}

// sameRanges compares lists of numbers and ranges, which the kernel sorts and joins: "8082,8080-8081".
func sameRanges(want, is string) bool {
	a, ok := ranges(want)
	b, good := ranges(is)
	return ok && good && slices.Equal(a, b)
}

// ranges returns the sorted ranges of a list; adjacent ranges are joined.
func ranges(list string) (joined [][2]uint64, ok bool) {
	var all [][2]uint64
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err != nil || err2 != nil || last < first {
			return nil, false
		}
		all = append(all, [2]uint64{first, last})
	}
	slices.SortFunc(all, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	for _, r := range all {
		if n := len(joined); n > 0 && r[0] <= joined[n-1][1]+1 {
			joined[n-1][1] = max(joined[n-1][1], r[1])
		} else {
			joined = append(joined, r)
		}
	}
	return joined, true
}

// sameBits compares bitmaps of the kernel: hexadecimal, in groups of eight digits separated by commas.
func sameBits(want, is string) bool {
	bits := func(text string) (string, bool) {
		text = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(text, "0x"), ",", ""))
		return strings.TrimLeft(text, "0"), text != "" && strings.Trim(text, "0123456789abcdef") == ""
	}
	a, ok := bits(want)
	b, good := bits(is)
	return ok && good && a == b
}
