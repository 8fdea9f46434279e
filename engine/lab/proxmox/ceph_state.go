package proxmox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Ceph is one Ceph cluster: its maps and what changes them.
type Ceph struct {
	FSID    string
	Version string // of the packages that made the first monitor: "19.2.3"
	Created time.Time

	Mons        []Mon
	MonEpoch    int
	MonModified time.Time
	// InQuorum are the names of the monitors that were last seen to be the quorum.
	InQuorum      []string
	ElectionEpoch int
	QuorumSince   time.Time

	Mgrs        []Daemon
	ActiveMgr   string
	ActiveSince time.Time
	MgrEpoch    int
	MDSs        []Daemon

	OSDs         []*OSD
	OSDEpoch     int
	OSDModified  time.Time
	CrushVersion int
	Flags        []string
	Pools        []*Pool
	NextPool     int
	Rules        []*Rule
	NextRule     int
	// Hosts are the CRUSH ids of host buckets by name.
	Hosts   map[string]int
	Classes []string

	// ScaledAt is when the autoscaler last looked at the pools.
	ScaledAt time.Time

	FileSystems []*FileSystem
	FSEpoch     int
	Config      []ConfigEntry
	// Auth are the keys by entity, for entities other than client.admin.
	Auth map[string]string
}

// Mon is one monitor of the monmap, in the order of its ranks.
type Mon struct {
	Name, Host, Address string
	Added               time.Time
}

// Daemon is a manager or a metadata server.
type Daemon struct{ Name, Host string }

// OSD is one object storage daemon.
type OSD struct {
	ID           int
	UUID         string
	Host, Device string
	Size         int64
	Class        string
	// Weight is the CRUSH weight, Reweight the override; both in units of 1/65536.
	Weight, Reweight int
	In               bool
	// Booted says that it has started once, and so is placed in CRUSH; Up that it is up.
	Booted, Up bool
	// Changed is when it last came up or went down, InSince when it was last marked in.
	Changed, InSince time.Time
	UpFrom           int
	Destroyed        bool
	VG, LV           string
	Created          time.Time
}

// Pool is one pool.
type Pool struct {
	ID            int
	Name          string
	Erasure       bool
	Size, MinSize int
	PGs, PGPs     int
	// Target is the PG number asked for while no OSD is up to make it; zero means PGs.
	Target       int
	Rule         int
	Autoscale    string
	Flags        []string // beside hashpspool
	Options      map[string]string
	Applications []string
	Created      time.Time
	// Moved is when its PGs last had to peer again: created, or another size, rule or PG number.
	Moved      time.Time
	LastChange int
}

// Rule is one replicated CRUSH rule.
type Rule struct {
	ID                        int
	Name, Root, Domain, Class string
}

// FileSystem is one CephFS.
type FileSystem struct {
	ID             int
	Name           string
	Metadata, Data int // pool ids
	Created        time.Time
	Active         string // the MDS of rank 0, empty for none
	ActiveSince    time.Time
	Failed         bool
}

// ConfigEntry is one entry of the configuration database.
type ConfigEntry struct{ Who, Name, Value string }

// How long the daemons take. Recorded on a LAN; a busy host takes longer.
const (
	electionDelay = 4 * time.Second  // monitors elect anew when the monmap changes
	monSyncDelay  = 8 * time.Second  // the third and further monitors synchronise first
	leaseTimeout  = 14 * time.Second // a monitor that went away is missed
	mgrDelay      = 5 * time.Second  // a manager becomes active
	standbyDelay  = 8 * time.Second  // and another standby
	osdDelay      = 6 * time.Second  // an OSD boots
	osdGrace      = 20 * time.Second // an OSD whose host is gone is reported by its peers
	mdsDelay      = 3 * time.Second
	outAfter      = 10 * time.Minute // mon_osd_down_out_interval
	stuckAfter    = time.Minute      // mon_pg_stuck_threshold
	peerDelay     = 4 * time.Second  // PGs peer
)

func unit(kind, name string) string { return "ceph-" + kind + "@" + name + ".service" }

func newCeph(fsid, version string, now time.Time) *Ceph {
	return &Ceph{FSID: fsid, Version: version, Created: now, NextPool: 1, NextRule: 1, OSDEpoch: 1, CrushVersion: 1, OSDModified: now, FSEpoch: 1, MgrEpoch: 1,
		Rules: []*Rule{{ID: 0, Name: "replicated_rule", Root: "default", Domain: "host"}}, Hosts: map[string]int{}, Auth: map[string]string{}}
}

// major is the release number: 19 for squid.
func (c *Ceph) major() int {
	var n int
	fmt.Sscanf(c.Version, "%d.", &n)
	return n
}

// cephRelease is what distinguishes the builds.
type cephRelease struct{ name, commit string }

var cephReleases = map[string]cephRelease{
	"16.2.15": {"pacific", "618f440892089921c3e944a991122ddc44e60516"},
	"17.2.8":  {"quincy", "f817ceb7f187defb1d021d6328fa833eb8e943b3"},
	"18.2.7":  {"reef", "6b0e988052ec84cf2d4a54ff9bbbc5e720b621ad"},
	"19.2.3":  {"squid", "2f03f1cd83e5d40cdf1393cb64a662a8e8bb07c6"},
	"20.2.0":  {"tentacle", "69f84cc2651aa259a15bc192ddaabd3baba07489"},
}

// versionLine is `ceph --version`.
func versionLine(version string) string {
	r := cephReleases[version]
	return fmt.Sprintf("ceph version %s (%s) %s (stable)", version, r.commit, r.name)
}

func (c *Ceph) releaseName() string { return cephReleases[c.Version].name }

// uuid makes a UUID out of a number, the same in every run.
func uuid(space string, n int) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", space, n)))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// newKey is a cephx key: type, time, length and sixteen bytes.
func newKey(now time.Time) string {
	b := make([]byte, 12, 28)
	binary.LittleEndian.PutUint16(b, 1)
	binary.LittleEndian.PutUint32(b[2:], uint32(now.Unix()))
	binary.LittleEndian.PutUint16(b[10:], 16)
	return base64.StdEncoding.EncodeToString(append(b, randomBytes(16)...))
}

// fixed turns a weight into CRUSH's fixed point.
func fixed(weight float64) int { return int(weight * 65536) }

func (o *OSD) weight() float64   { return float64(o.Weight) / 65536 }
func (o *OSD) reweight() float64 { return float64(o.Reweight) / 65536 }

// crushWeight is the weight that an OSD gives itself: its size in TiB, with four decimals cut.
func crushWeight(size int64) int {
	return fixed(math.Floor(float64(size)/float64(1<<40)*10000+0.5) / 10000)
}

func (c *Ceph) mapChanged(now time.Time) {
	c.OSDEpoch++
	c.OSDModified = now
}

func (c *Ceph) pool(name string) *Pool {
	i := slices.IndexFunc(c.Pools, func(p *Pool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return c.Pools[i]
}

func (c *Ceph) poolByID(id int) *Pool {
	i := slices.IndexFunc(c.Pools, func(p *Pool) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return c.Pools[i]
}

func (c *Ceph) rule(name string) *Rule {
	i := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return c.Rules[i]
}

func (c *Ceph) ruleByID(id int) *Rule {
	i := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return c.Rules[i]
}

func (c *Ceph) osd(id int) *OSD {
	i := slices.IndexFunc(c.OSDs, func(o *OSD) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	return c.OSDs[i]
}

func (c *Ceph) addPool(name string, size, minSize, pgs, rule int, autoscale string, now time.Time) *Pool {
	c.mapChanged(now)
	p := &Pool{ID: c.NextPool, Name: name, Size: size, MinSize: minSize, PGs: pgs, PGPs: pgs, Rule: rule, Autoscale: autoscale,
		Options: map[string]string{}, Created: now, Moved: now, LastChange: c.OSDEpoch}
	c.NextPool++
	c.Pools = append(c.Pools, p)
	return p
}

// refreshCeph brings the daemons' states up to now.
func (v *view) refreshCeph(c *Ceph) {
	v.refreshMons(c)
	v.refreshMgrs(c)
	if !v.monQuorum(c) {
		return // without monitors nobody changes a map
	}
	v.refreshOSDs(c)
	v.makePGs(c)
	v.autoscale(c)
	v.refreshSystemPool(c)
	v.refreshMDSs(c)
}

// monIn says whether a monitor takes part in the quorum.
func (v *view) monIn(c *Ceph, i int) bool {
	m := c.Mons[i]
	delay := electionDelay
	if i >= 2 {
		delay = monSyncDelay
	}
	if len(c.Mons) == 1 {
		delay = 0
	}
	if v.runs(m.Host, unit("mon", m.Name), 0) {
		return !v.now.Before(m.Added.Add(delay)) && (v.runs(m.Host, unit("mon", m.Name), 3*time.Second) || slices.Contains(c.InQuorum, m.Name) || len(c.Mons) == 1)
	}
	n := v.Nodes[m.Host]
	if n == nil {
		return false
	}
	until, stopped := n.Until[unit("mon", m.Name)]
	return stopped && v.now.Before(until.Add(leaseTimeout)) && slices.Contains(c.InQuorum, m.Name)
}

func (v *view) refreshMons(c *Ceph) {
	var in []string
	for i := range c.Mons {
		if v.monIn(c, i) {
			in = append(in, c.Mons[i].Name)
		}
	}
	if !slices.Equal(in, c.InQuorum) {
		c.InQuorum, c.QuorumSince = in, v.now
		if formed := c.MonModified.Add(electionDelay); len(c.Mons) > 1 && len(in) == len(c.Mons) && formed.Before(v.now) {
			c.QuorumSince = formed
		}
		c.ElectionEpoch += 2
		if len(c.Mons) == 1 {
			c.ElectionEpoch = 3
		}
	}
}

// monQuorum says whether the monitors answer.
func (v *view) monQuorum(c *Ceph) bool { return len(c.InQuorum)*2 > len(c.Mons) }

// electing says how long the monitors still elect.
func (v *view) electing(c *Ceph) time.Duration {
	if len(c.Mons) < 2 {
		return 0
	}
	return c.MonModified.Add(electionDelay).Sub(v.now)
}

func (v *view) refreshMgrs(c *Ceph) {
	if c.ActiveMgr != "" {
		i := slices.IndexFunc(c.Mgrs, func(d Daemon) bool { return d.Name == c.ActiveMgr })
		if i >= 0 && v.runs(c.Mgrs[i].Host, unit("mgr", c.ActiveMgr), 0) {
			return
		}
		c.ActiveMgr = ""
		c.MgrEpoch++
	}
	if !v.monQuorum(c) {
		return
	}
	for _, d := range c.Mgrs {
		if v.runs(d.Host, unit("mgr", d.Name), mgrDelay) {
			c.ActiveMgr, c.ActiveSince = d.Name, v.Nodes[d.Host].Since[unit("mgr", d.Name)].Add(mgrDelay)
			c.MgrEpoch++
			return
		}
	}
}

// standbyMgrs are the managers that wait.
func (v *view) standbyMgrs(c *Ceph) []string {
	var names []string
	for _, d := range c.Mgrs {
		if d.Name != c.ActiveMgr && v.runs(d.Host, unit("mgr", d.Name), standbyDelay) {
			names = append(names, d.Name)
		}
	}
	return names
}

func (v *view) refreshOSDs(c *Ceph) {
	for _, o := range c.OSDs {
		name := unit("osd", fmt.Sprint(o.ID))
		running := v.runs(o.Host, name, osdDelay)
		switch {
		case running && !o.Up && !o.Destroyed:
			o.Up, o.Changed = true, v.Nodes[o.Host].Since[name].Add(osdDelay)
			c.mapChanged(v.now)
			o.UpFrom = c.OSDEpoch
			if !o.Booted {
				o.Booted = true
				c.CrushVersion++
				if _, ok := c.Hosts[o.Host]; !ok {
					c.Hosts[o.Host] = -3 - 2*len(c.Hosts)
				}
				if !slices.Contains(c.Classes, o.Class) {
					c.Classes = append(c.Classes, o.Class)
				}
			}
			if !o.In {
				o.In, o.Reweight, o.InSince = true, 65536, o.Changed
			}
			c.peer(o.Changed)
		case !running && o.Up && !v.runs(o.Host, name, 0):
			gone := v.Nodes[o.Host].Until[name]
			if !v.up[o.Host] {
				gone = gone.Add(osdGrace) // nobody said goodbye: the peers have to miss it
			}
			if v.now.Before(gone) {
				continue
			}
			o.Up, o.Changed = false, gone
			c.mapChanged(v.now)
			c.peer(gone)
		case !o.Up && o.In && o.Booted && v.now.Sub(o.Changed) > outAfter && !slices.Contains(c.Flags, "noout"):
			o.In, o.Reweight = false, 0
			c.mapChanged(v.now)
			c.peer(v.now)
		}
	}
}

// peer lets the PGs of all pools peer again.
func (c *Ceph) peer(now time.Time) {
	for _, p := range c.Pools {
		p.Moved = now
	}
}

// makePGs brings PG numbers to their targets once there are OSDs.
func (v *view) makePGs(c *Ceph) {
	if len(c.upOSDs(v)) == 0 {
		return
	}
	for _, p := range c.Pools {
		if p.Target > 0 {
			p.PGs, p.PGPs, p.Target, p.Moved = p.Target, p.Target, 0, v.now
		}
	}
}

func (c *Ceph) upOSDs(*view) []*OSD {
	var up []*OSD
	for _, o := range c.OSDs {
		if o.Up {
			up = append(up, o)
		}
	}
	return up
}

func (c *Ceph) rawBytes(*view) int64 {
	var total int64
	for _, o := range c.OSDs {
		if o.Booted {
			total += o.Size
		}
	}
	return total
}

// refreshSystemPool makes the pool of the mgr modules once there are OSDs enough for it.
func (v *view) refreshSystemPool(c *Ceph) {
	name, application := ".mgr", "mgr"
	if c.major() < 17 {
		name, application = "device_health_metrics", "mgr_devicehealth"
	}
	if c.ActiveMgr == "" || len(c.upOSDs(v)) < 3 || c.pool(name) != nil {
		return
	}
	when := c.ActiveSince
	for _, o := range c.upOSDs(v)[:3] {
		if o.Changed.After(when) {
			when = o.Changed
		}
	}
	p := c.addPool(name, 3, 2, 1, 0, "on", when)
	p.Options["pg_num_max"], p.Options["pg_num_min"] = "32", "1"
	p.Applications = []string{application}
}

// standbyMDSs are the metadata servers that wait for work.
func (v *view) standbyMDSs(c *Ceph) []Daemon {
	var waiting []Daemon
	for _, d := range c.MDSs {
		active := slices.ContainsFunc(c.FileSystems, func(f *FileSystem) bool { return f.Active == d.Name })
		if !active && v.runs(d.Host, unit("mds", d.Name), mdsDelay) {
			waiting = append(waiting, d)
		}
	}
	return waiting
}

func (v *view) refreshMDSs(c *Ceph) {
	for _, f := range c.FileSystems {
		if f.Active != "" {
			i := slices.IndexFunc(c.MDSs, func(d Daemon) bool { return d.Name == f.Active })
			if i < 0 || !v.runs(c.MDSs[i].Host, unit("mds", f.Active), 0) {
				f.Active = ""
				c.FSEpoch++
			}
		}
		if f.Active != "" || f.Failed || v.now.Before(f.Created.Add(2*time.Second)) || len(c.upOSDs(v)) == 0 {
			continue
		}
		if waiting := v.standbyMDSs(c); len(waiting) > 0 {
			f.Active, f.ActiveSince = waiting[0].Name, f.Created.Add(2*time.Second)
			if since := v.Nodes[waiting[0].Host].Since[unit("mds", f.Active)].Add(mdsDelay); since.After(f.ActiveSince) {
				f.ActiveSince = since
			}
			c.FSEpoch++
		}
	}
}

// mdsState is the state of a metadata server: empty while it is not in the map.
func (v *view) mdsState(c *Ceph, d Daemon) string {
	for _, f := range c.FileSystems {
		if f.Active == d.Name {
			if v.now.Before(f.ActiveSince.Add(2 * time.Second)) {
				return "up:creating"
			}
			return "up:active"
		}
	}
	if v.runs(d.Host, unit("mds", d.Name), mdsDelay) {
		return "up:standby"
	}
	return ""
}

// domains counts the failure domains that a rule can place copies on.
func (c *Ceph) domains(r *Rule) int {
	hosts := map[string]bool{}
	osds := 0
	for _, o := range c.OSDs {
		if !o.Up || !o.In || o.Weight == 0 || r.Class != "" && o.Class != r.Class {
			continue
		}
		osds++
		hosts[o.Host] = true
	}
	switch r.Domain {
	case "osd":
		return osds
	case "root":
		return min(osds, 1)
	}
	return len(hosts)
}

// pgState is the state that a pool's PGs are in, and since when.
func (c *Ceph) pgState(p *Pool, now time.Time) (string, time.Time) {
	rule := c.ruleByID(p.Rule)
	placed := 0
	if rule != nil {
		placed = min(c.domains(rule), p.Size)
	}
	switch age := now.Sub(p.Created); {
	case placed == 0:
		return "unknown", p.Created
	case age < time.Second:
		return "unknown", p.Created
	case age < peerDelay:
		return "creating+peering", p.Created
	}
	settled := p.Moved.Add(peerDelay)
	switch {
	case now.Before(settled) && p.Moved.After(p.Created):
		return "peering", p.Moved
	case placed == p.Size:
		return "active+clean", settled
	case placed < p.MinSize:
		return "undersized+peered", settled
	}
	return "active+undersized", settled
}

// ConfigValue is the value of an option in the configuration database, or another.
func (c *Ceph) configValue(name, other string) string {
	for _, e := range c.Config {
		if e.Name == name {
			return e.Value
		}
	}
	return other
}

// keyOf takes the key out of a keyring file.
func keyOf(keyring string) string {
	for line := range strings.Lines(keyring) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "key" {
			return strings.TrimSpace(line[strings.IndexByte(line, '=')+1:])
		} else {
			_ = value
		}
	}
	return ""
}
