package lvm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// group is a volume group as LVM reports it.
type group struct {
	Name, UUID string
	// Extent is the size of an extent in bytes, Extents the number of extents, and Free how many of them are unused.
	Extent, Extents, Free int64
	// Partial is set if a physical volume is missing. Exported and Shared are set if the group does not belong to this host
	// alone, and Fixed if its metadata cannot be changed.
	Partial, Exported, Shared, Fixed bool
	// Spare is the number of extents that LVM reserves to repair the metadata of thin pools.
	Spare   int64
	Disks   []physical
	Volumes []logical
}

// physical is a physical volume of a group.
type physical struct {
	// Device is its path, or "[unknown]" if it is missing.
	Device string
	// Extents is the number of extents, and Used how many of them are allocated.
	Extents, Used int64
	// Size is the size of the device in bytes.
	Size int64
}

// logical is a logical volume for use, or a thin pool.
type logical struct {
	Name string
	// Layout is in LVM's words: "linear", "thin,pool", "thin,sparse", ….
	Layout string
	// Pool is the name of the thin pool that a thin volume is in.
	Pool string
	// Extents is the size in extents of the group. Metadata is the size of a thin pool's metadata.
	Extents, Metadata int64
	// Active is set if the volume has a device, and Open if something has that device open.
	Active, Open bool
	// Origin is set if the volume has snapshots, which are removed with it.
	Origin bool
}

// The layouts of volumes that the module creates.
const (
	linear     = "linear"
	thinPool   = "thin,pool"
	thinVolume = "thin,sparse"
)

// volumeGroups observes the volume groups of a host, sorted by name. Its only name is "".
var volumeGroups = &observe.Kind[[]group]{
	Name: "volume-groups", What: "the volume groups",
	Ask: func([]string) []remote.Query {
		query := func(program, columns string) remote.Query {
			return remote.Query{Script: "LC_ALL=C LVM_SUPPRESS_FD_WARNINGS=1 timeout 60 " + program + " --reportformat json --units b --nosuffix -o " + columns}
		}
		return []remote.Query{
			query("vgs", "vg_uuid,vg_name,vg_attr,vg_extent_size,vg_extent_count,vg_free_count"),
			query("pvs", "vg_uuid,pv_name,pv_pe_count,pv_pe_alloc_count,dev_size"),
			query("lvs -a", "vg_uuid,lv_name,lv_size,lv_layout,lv_role,pool_lv,lv_metadata_size,lv_active,lv_device_open"),
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []group, error)) {
		all, err := parseGroups(answers)
		for _, name := range names {
			tell(name, all, err)
		}
	},
	Complete: complete,
}

// row is a line of a report: its values by column.
type row map[string]string

// number returns the value of a column that holds a number; an empty one is 0.
func (r row) number(column string) (int64, error) {
	if r[column] == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(r[column], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("LVM reports %s as %q: expected a number", column, r[column])
	}
	return n, nil
}

// rows parses a report in LVM's JSON. kind is "vg", "pv" or "lv".
func rows(program, kind string, a remote.Answer) ([]row, error) {
	if a.Err != nil {
		return nil, a.Err
	}
	if a.Exit != 0 {
		return nil, fmt.Errorf("%s: %s: %s", program, remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	var out struct {
		Report []map[string][]row `json:"report"`
	}
	if err := json.Unmarshal(a.Stdout, &out); err != nil {
		return nil, fmt.Errorf("%s printed what is not its JSON: %w", program, err)
	}
	if len(out.Report) == 0 {
		return nil, fmt.Errorf("%s printed no report", program)
	}
	var all []row
	for _, report := range out.Report {
		all = append(all, report[kind]...)
	}
	return all, nil
}

func parseGroups(answers []remote.Answer) ([]group, error) {
	vgs, err := rows("vgs", "vg", answers[0])
	if err != nil {
		return nil, err
	}
	pvs, err := rows("pvs", "pv", answers[1])
	if err != nil {
		return nil, err
	}
	lvs, err := rows("lvs", "lv", answers[2])
	if err != nil {
		return nil, err
	}
	all := make([]group, 0, len(vgs))
	for _, r := range vgs {
		g, err := r.group()
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	byID := func(r row) *group {
		at := slices.IndexFunc(all, func(g group) bool { return g.UUID == r["vg_uuid"] })
		if at < 0 {
			return nil // a physical volume without a group, or a group that was created in between
		}
		return &all[at]
	}
	for _, r := range pvs {
		if g := byID(r); g != nil {
			p, err := r.physical()
			if err != nil {
				return nil, err
			}
			g.Disks = append(g.Disks, p)
		}
	}
	for _, r := range lvs {
		if g := byID(r); g != nil {
			if err := r.logical(g); err != nil {
				return nil, err
			}
		}
	}
	for _, g := range all {
		slices.SortFunc(g.Disks, func(a, b physical) int { return strings.Compare(a.Device, b.Device) })
		slices.SortFunc(g.Volumes, func(a, b logical) int { return strings.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(all, func(a, b group) int { return strings.Compare(a.Name+a.UUID, b.Name+b.UUID) })
	return all, nil
}

func (r row) group() (g group, err error) {
	g.Name, g.UUID = r["vg_name"], r["vg_uuid"]
	attributes := r["vg_attr"] // vgs(8): writeable, resizeable, exported, partial, allocation policy, clustered or shared
	if len(attributes) < 6 || g.Name == "" || g.UUID == "" {
		return g, fmt.Errorf("vgs reports a volume group %q (%s) with the attributes %q: expected six letters", g.Name, g.UUID, attributes)
	}
	g.Fixed = attributes[0] != 'w' || attributes[1] != 'z'
	g.Exported, g.Partial, g.Shared = attributes[2] == 'x', attributes[3] == 'p', attributes[5] != '-'
	for column, value := range map[string]*int64{"vg_extent_size": &g.Extent, "vg_extent_count": &g.Extents, "vg_free_count": &g.Free} {
		if *value, err = r.number(column); err != nil {
			return g, err
		}
	}
	if g.Extent <= 0 {
		return g, fmt.Errorf("vgs reports extents of %q bytes in %s", r["vg_extent_size"], g.Name)
	}
	return g, nil
}

func (r row) physical() (p physical, err error) {
	p.Device = r["pv_name"]
	for column, value := range map[string]*int64{"pv_pe_count": &p.Extents, "pv_pe_alloc_count": &p.Used, "dev_size": &p.Size} {
		if *value, err = r.number(column); err != nil {
			return p, err
		}
	}
	return p, nil
}

// logical adds a logical volume to its group. lvs prints the names of LVM's internal volumes in brackets.
func (r row) logical(g *group) error {
	size, err := r.number("lv_size")
	if err != nil {
		return err
	}
	metadata, err := r.number("lv_metadata_size")
	if err != nil {
		return err
	}
	roles := strings.Split(r["lv_role"], ",")
	switch {
	case slices.Contains(roles, "spare"):
		g.Spare = g.extents(size)
	case !strings.HasPrefix(r["lv_name"], "["):
		g.Volumes = append(g.Volumes, logical{
			Name: r["lv_name"], Layout: r["lv_layout"], Pool: r["pool_lv"], Extents: g.extents(size), Metadata: g.extents(metadata),
			Active: r["lv_active"] != "", Open: r["lv_device_open"] == "open", Origin: slices.Contains(roles, "thickorigin"),
		})
	}
	return nil
}

// extents returns how many extents hold the given number of bytes.
func (g *group) extents(bytes int64) int64 { return (bytes + g.Extent - 1) / g.Extent }

// volume returns the volume with a name.
func (g *group) volume(name string) (*logical, bool) {
	at := slices.IndexFunc(g.Volumes, func(v logical) bool { return v.Name == name })
	if at < 0 {
		return nil, false
	}
	return &g.Volumes[at], true
}

// clone returns a copy that shares nothing with the group.
func (g group) clone() group {
	g.Disks, g.Volumes = slices.Clone(g.Disks), slices.Clone(g.Volumes)
	return g
}

// complete takes from found what only LVM decides, such as the UUID of a group and the extents of a volume, and which
// volumes are open.
func complete(expected, found []group) []group {
	all := make([]group, len(expected))
	for i, e := range expected {
		all[i] = e.clone()
		at := slices.IndexFunc(found, func(f group) bool { return f.Name == e.Name && (e.UUID == "" || e.UUID == f.UUID) })
		if at < 0 {
			continue
		}
		f := found[at]
		all[i].UUID = f.UUID
		if used(e.Disks) == used(f.Disks) && len(e.Disks) == len(f.Disks) {
			for j, p := range e.Disks {
				if p.Device == f.Disks[j].Device {
					all[i].Disks[j].Used = f.Disks[j].Used
				}
			}
		}
		for j, v := range e.Volumes {
			if there, ok := f.volume(v.Name); ok {
				all[i].Volumes[j].Open = there.Open
			}
		}
	}
	return all
}

// used returns how many extents of all physical volumes are allocated.
func used(disks []physical) (sum int64) {
	for _, p := range disks {
		sum += p.Used
	}
	return sum
}
