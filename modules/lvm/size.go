package lvm

import (
	"fmt"
	"strconv"

	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/bytesize"
)

// allFree is the size of a volume or pool that takes all free space.
const allFree = "100%FREE"

// mostMetadata is the largest metadata of a thin pool that the kernel can use, rounded down: lvmthin(7).
const mostMetadata = 15 << 30

var shareForm = pattern.New(`^([0-9]{1,3})%VG$`)

// share returns the percentage in a size such as "50%VG", or 0.
func share(size string) int64 {
	if parts := shareForm.FindStringSubmatch(size); parts != nil {
		if n, err := strconv.ParseInt(parts[1], 10, 64); err == nil && n <= 100 {
			return n
		}
	}
	return 0
}

// checkSize checks a size. relative says whether percentages are allowed, as they are for what takes space of the group
// itself; a thin volume has an absolute size. rest is the name of the one volume or pool that takes all free space.
func checkSize(block, name, size string, relative bool, rest *string) error {
	switch {
	case relative && size == allFree:
		if *rest != "" {
			return &modules.ArgumentError{Argument: block + ".size", Problem: fmt.Sprintf("%s and %s cannot both take all that is free", *rest, name), Want: "give one of them a size, as in 500GiB or 50%VG"}
		}
		*rest = name
		return nil
	case relative && share(size) > 0:
		return nil
	}
	if _, err := bytesize.Parse(size); err != nil {
		want := "expected a size as in 500GiB; a volume in a pool does not take space of the group"
		if relative {
			want = "expected a size as in 500GiB, 50%VG or " + allFree
		}
		return &modules.ArgumentError{Argument: block + ".size", Problem: "that of " + name + ": " + err.Error(), Want: want}
	}
	return nil
}

func checkMetadata(name, size string) error {
	bytes, err := bytesize.Parse(size)
	if err == nil && (bytes < 2<<20 || bytes > mostMetadata) {
		err = fmt.Errorf("%q is not between 2MiB and 15GiB", size)
	}
	if err != nil {
		return &modules.ArgumentError{Argument: "thin_pool.metadata", Problem: "that of " + name + ": " + err.Error(), Want: "leave it out for a thousandth of the pool's size"}
	}
	return nil
}

// wanted returns a size in extents. For 100%FREE that is the present number plus free.
func (g *group) wanted(size string, present, free int64) (int64, error) {
	if size == allFree {
		return present + free, nil
	}
	if n := share(size); n > 0 {
		return g.Extents * n / 100, nil
	}
	bytes, err := bytesize.Parse(size)
	return g.extents(bytes), err
}

// format formats a number of extents as a size.
func (g *group) format(extents int64) string { return bytesize.Format(extents * g.Extent) }

// metadata returns how many extents a new pool's metadata gets, and how many extents are added to the group's spare for
// repairs, which is as large as its largest metadata.
func (g *group) metadata(p poolArgs, extents int64) (own, spare int64, err error) {
	bytes := min(max(extents*g.Extent/1000, 2<<20), mostMetadata)
	if p.Metadata != "" {
		if bytes, err = bytesize.Parse(p.Metadata); err != nil {
			return 0, 0, err
		}
	}
	own = g.extents(bytes)
	return own, max(own-g.Spare, 0), nil
}
