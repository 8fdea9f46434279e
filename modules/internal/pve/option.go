package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/modules"
)

// GuestForm describes how Proxmox VE interprets the options of a type of guest, and so whether a guest differs from what a
// task says.
type GuestForm struct {
	// Defaults holds the values of options that are not set.
	Defaults map[string]string
	// DefaultKeys holds the default keys of options whose values are property strings, by the option without its number.
	DefaultKeys map[string]string
	// Sets lists the options that are lists without an order, in which case does not matter. Lists lists those whose order
	// matters.
	Sets, Lists []string
	// Disk reports whether an option is a disk.
	Disk func(key string) bool
	// Unsized lists the disks whose size Proxmox VE chooses.
	Unsized []string
	// Card returns the properties of a network device.
	Card func(value string) map[string]string
}

// Differs reports whether an option of a guest differs from the wanted value. An empty value means that the option is not
// set. Of disks and network devices, only the wanted properties are compared, because Proxmox VE chooses MAC addresses,
// names of volumes and the like.
func (f *GuestForm) Differs(key, have, want string) bool {
	kind := strings.TrimRight(key, "0123456789")
	switch {
	case key == "description":
		return strings.TrimRight(have, "\n") != strings.TrimRight(want, "\n")
	case have == "" && want == "", have == "" && Scalar.Same(f.Defaults[key], want) && f.Defaults[key] != "":
		return false
	case have == "":
		return true
	case f.Disk(key):
		return f.diskDiffers(key, have, want)
	case kind == "net":
		return lacks(f.Card(have), f.Card(want))
	case slices.Contains(f.Sets, key):
		return !Fold.Same(have, want) && !Scalar.Same(have, want)
	case slices.Contains(f.Lists, key):
		return !slices.Equal(items(have), items(want))
	}
	if fallback, ok := f.DefaultKeys[kind]; ok && (key != "numa" || strings.Contains(have+want, "=")) {
		return !maps.Equal(PropertiesOf(have, fallback), PropertiesOf(want, fallback))
	}
	return !Scalar.Same(have, want)
}

// lacks reports whether a wanted property differs. off is the value of properties that are not set.
func lacks(have, want map[string]string) bool {
	for key, value := range want {
		now, written := have[key]
		if now != value && (written || value != "0") {
			return true
		}
	}
	return false
}

// atCreation lists the properties of a disk that only say how to create it, and are not stored.
var atCreation = []string{"file", "volume", "import-from", "format", "size"}

// volumeOf returns the properties of a disk, with its volume under "file", the default key. For a container that is
// "volume".
func volumeOf(value string) map[string]string {
	parts := PropertiesOf(value, "file")
	if volume, named := parts["volume"]; named {
		parts["file"] = volume
	}
	return parts
}

func (f *GuestForm) diskDiffers(key, have, want string) bool {
	is, shall := volumeOf(have), volumeOf(want)
	now, _, _ := strings.Cut(is["file"], ":")
	then, _, _ := strings.Cut(shall["file"], ":")
	if now != then {
		return true
	}
	if _, gib, ok := NewDisk(want); ok && gib > 0 && is["size"] != "" && !slices.Contains(f.Unsized, key) {
		size, _ := strconv.ParseFloat(is["size"], 64)
		if wanted := gib * (1 << 30); size < wanted || size >= wanted+1<<30 { // storages round up; 0 means the size of what is imported
			return true
		}
	}
	for _, property := range atCreation {
		delete(shall, property)
	}
	return lacks(is, shall)
}

// Grown returns the wanted size of a disk in GiB, if the disk is on the wanted storage and smaller.
func (f *GuestForm) Grown(key, have, want string) (gib float64, larger bool) {
	is := volumeOf(have)
	storage, gib, ok := NewDisk(want)
	now, _, _ := strings.Cut(is["file"], ":")
	size, err := strconv.ParseFloat(is["size"], 64)
	return gib, ok && err == nil && now == storage && size < gib*(1<<30) && !slices.Contains(f.Unsized, key)
}

// Resized returns the value of a disk with another size.
func Resized(disk, size string) string {
	parts := strings.Split(disk, ",")
	for i, part := range parts {
		if strings.HasPrefix(part, "size=") {
			parts[i] = "size=" + size
		}
	}
	return strings.Join(parts, ",")
}

// Drift lists how a guest differs from the wanted options.
func (f *GuestForm) Drift(have GuestConfig, want map[string]string) []string {
	var drift []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if now := have.Options[key]; f.Differs(key, now, want[key]) {
			drift = append(drift, fmt.Sprintf("%s is %q, the task specifies %q", key, now, want[key]))
		}
	}
	return drift
}

var diskToAllocate = pattern.New(`^([a-zA-Z][a-zA-Z0-9._-]*):([0-9]+(\.[0-9]+)?)(,.*)?$`)

// NewDisk parses a disk that Proxmox VE allocates: "STORAGE:GIB", with properties after it. ok is false for anything else:
// an existing volume, a path, or none.
func NewDisk(value string) (storage string, gib float64, ok bool) {
	parts := diskToAllocate.FindStringSubmatch(value)
	if parts == nil {
		return "", 0, false
	}
	gib, err := strconv.ParseFloat(parts[2], 64)
	return parts[1], gib, err == nil
}

// CheckStorage returns an error about an argument if the storage that it names does not exist, is not available on the
// node, or does not accept the content. what describes the content in the error.
func CheckStorage(ctx context.Context, h modules.Host, argument, name, node, content, what string) error {
	storages, err := Storages.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	storage, ok := storages[name]
	if !ok {
		return fmt.Errorf("%s: there is no storage %s; the cluster has: %s", argument, name, strings.Join(slices.Sorted(maps.Keys(storages)), ", "))
	}
	if nodes := storage.Options["nodes"]; nodes != "" && !List(nodes)[node] {
		return fmt.Errorf("%s: storage %s is not available on node %s (it is on %s)", argument, name, node, nodes)
	}
	if accepts := storage.Options["content"]; accepts != "" && !List(accepts)[content] {
		return fmt.Errorf("%s: storage %s does not accept %s (content %s)", argument, name, what, accepts)
	}
	return nil
}
