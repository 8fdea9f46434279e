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

// Ceph is a Ceph cluster: its maps and the states of its daemons.
type Ceph struct {
	// Unbalanced is set while the balancer is off.
	Unbalanced bool
	FSID       string
	Version    string // of the packages when the first monitor was created: "19.2.3"
	Created    time.Time

	Mons        []Mon
	MonEpoch    int
	MonModified time.Time
	// InQuorum are the names of the monitors in the last known quorum.
	InQuorum      []string
	ElectionEpoch int
	QuorumSince   time.Time

	Mgrs        []Daemon
	ActiveMgr   string
	ActiveSince time.Time
	MgrEpoch    int
	MDSs        []Daemon
	// NoModules is set if the managers cannot load their modules: then there is no autoscaler and no pool for the
	// modules.
	NoModules bool

	OSDs         []*OSD
	OSDEpoch     int
	OSDModified  time.Time
	CrushVersion int
	Flags        []string
	// NodeFlags and ClassFlags are flags of hosts and of device classes, by name.
	NodeFlags, ClassFlags map[string][]string
	Pools                 []*Pool
	NextPool              int
	Rules                 []*Rule
	NextRule              int
	// Hosts maps hosts to the CRUSH IDs of their buckets.
	Hosts   map[string]int
	Classes []string

	// ScaledAt is when the autoscaler last checked the pools.
	ScaledAt time.Time

	FileSystems []*FileSystem
	FSEpoch     int
	Config      []ConfigEntry
	// Auth are the keys of entities other than client.admin.
	Auth map[string]string
}

// Mon is a monitor in the monmap. The monitors are in the order of their ranks.
type Mon struct {
	Name, Host, Address string
	Added               time.Time
}

// Daemon is a manager or a metadata server.
type Daemon struct{ Name, Host string }

// OSD is an object storage daemon.
type OSD struct {
	ID           int
	UUID         string
	Host, Device string
	Size         int64
	Class        string
	// Weight is the CRUSH weight, Reweight the override weight, in units of 1/65536.
	Weight, Reweight int
	In               bool
	// Booted reports whether it has ever started and is therefore in the CRUSH map, Up whether it is up.
	Booted, Up bool
	// Changed is when it last went up or down, InSince when it was last marked in.
	Changed, InSince time.Time
	UpFrom           int
	Destroyed        bool
	Flags            []string // flags of this OSD only
	VG, LV           string
	Created          time.Time
	// Shared are the volumes with its database ("db") and write-ahead log ("wal") on other disks.
	Shared    map[string]SharedVolume
	Encrypted bool
}

// SharedVolume is a logical volume of an OSD on a disk that other OSDs may share.
type SharedVolume struct{ Device, VG, LV string }

// Pool is a pool.
type Pool struct {
	ID            int
	Name          string
	Erasure       bool
	Size, MinSize int
	PGs, PGPs     int
	// Target is the PG number that was requested while no OSD was up to create the PGs; zero means PGs.
	Target       int
	Rule         int
	Autoscale    string
	Flags        []string // other than hashpspool
	Options      map[string]string
	Applications []string
	// FS is the file system that the pool belongs to and FSRole its role there, "data" or "metadata"; both are empty if
	// there is none.
	FSRole, FS string
	// Split is the epoch in which its number of PGs last grew; zero means never.
	Split   int
	Created time.Time
	// Moved is when its PGs last had to peer again: after its creation or a change of size, rule or PG number.
	Moved      time.Time
	LastChange int
}

// Rule is a replicated CRUSH rule.
type Rule struct {
	ID                        int
	Name, Root, Domain, Class string
	PerDomain                 int // OSDs to choose in each domain; 0 means one leaf
}

// FileSystem is a CephFS.
type FileSystem struct {
	ID             int
	Name           string
	Metadata, Data int // pool IDs
	Created        time.Time
	Active         string // the MDS with rank 0, or ""
	ActiveSince    time.Time
	Failed         bool
}

// ConfigEntry is an entry of the configuration database.
type ConfigEntry struct{ Who, Name, Value string }

// Delays of the daemons, as recorded on a LAN. A busy host takes longer.
const (
	electionDelay = 4 * time.Second  // of an election after a change to the monmap
	monSyncDelay  = 8 * time.Second  // the third and further monitors have to synchronize first
	leaseTimeout  = 14 * time.Second // until a failed monitor is noticed
	mgrDelay      = 5 * time.Second  // until a manager becomes active
	standbyDelay  = 8 * time.Second  // until another one is standby
	mgrGrace      = 30 * time.Second // mon_mgr_beacon_grace: until a silent manager is noticed
	osdDelay      = 6 * time.Second  // until an OSD has booted
	osdGrace      = 20 * time.Second // until the peers report an OSD whose host is gone
	mdsDelay      = 3 * time.Second
	outAfter      = 10 * time.Minute // mon_osd_down_out_interval
	stuckAfter    = time.Minute      // mon_pg_stuck_threshold
	peerDelay     = 4 * time.Second  // until PGs have peered
)

func unit(kind, name string) string { return "ceph-" + kind + "@" + name + ".service" }

func newCeph(fsid, version string, now time.Time) *Ceph {
	return &Ceph{FSID: fsid, Version: version, Created: now, NextPool: 1, NextRule: 1, OSDEpoch: 1, CrushVersion: 1, OSDModified: now, FSEpoch: 1, MgrEpoch: 1,
		Rules: []*Rule{{ID: 0, Name: "replicated_rule", Root: "default", Domain: "host"}}, Hosts: map[string]int{}, Auth: map[string]string{}}
}

// major returns the major version: 19 for Squid.
func (c *Ceph) major() int {
	var n int
	fmt.Sscanf(c.Version, "%d.", &n)
	return n
}

// cephRelease describes a build of Ceph.
type cephRelease struct{ name, commit string }

var cephReleases = map[string]cephRelease{
	"16.2.15": {"pacific", "618f440892089921c3e944a991122ddc44e60516"},
	"17.2.8":  {"quincy", "f817ceb7f187defb1d021d6328fa833eb8e943b3"},
	"18.2.7":  {"reef", "6b0e988052ec84cf2d4a54ff9bbbc5e720b621ad"},
	"19.2.3":  {"squid", "2f03f1cd83e5d40cdf1393cb64a662a8e8bb07c6"},
	"20.2.0":  {"tentacle", "69f84cc2651aa259a15bc192ddaabd3baba07489"},
}

// versionLine returns the output of `ceph --version`.
func versionLine(version string) string {
	r := cephReleases[version]
	return fmt.Sprintf("ceph version %s (%s) %s (stable)", version, r.commit, r.name)
}

func (c *Ceph) releaseName() string { return cephReleases[c.Version].name }

// uuid derives a UUID from a number, so that it is the same in every run.
func uuid(space string, n int) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", space, n)))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// newKey returns a cephx key: type, time, length and sixteen bytes.
func newKey(now time.Time) string {
	b := make([]byte, 12, 28)
	binary.LittleEndian.PutUint16(b, 1)
	binary.LittleEndian.PutUint32(b[2:], uint32(now.Unix()))
	binary.LittleEndian.PutUint16(b[10:], 16)
	return base64.StdEncoding.EncodeToString(append(b, randomBytes(16)...))
}

// fixed converts a weight to CRUSH's fixed-point representation.
func fixed(weight float64) int { return int(weight * 65536) }

func (o *OSD) weight() float64   { return float64(o.Weight) / 65536 }
func (o *OSD) reweight() float64 { return float64(o.Reweight) / 65536 }

// crushWeight returns the initial weight of an OSD: its size in TiB, truncated to four decimals.
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

// pgState returns the state of a PG and when it entered it.
func (c *Ceph) pgState(p *Pool, pg int, now time.Time) (string, time.Time) {
	placed := len(c.acting(p, pg))
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

// configValue returns the value of an option in the configuration database, or other if it is not set.
func (c *Ceph) configValue(name, other string) string {
	for _, e := range c.Config {
		if e.Name == name {
			return e.Value
		}
	}
	return other
}

// keyOf returns the key in a keyring file.
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

func (c *Ceph) setConfig(who, name, value string) {
	c.Config = slices.DeleteFunc(c.Config, func(e ConfigEntry) bool { return e.Who == who && e.Name == name })
	c.Config = append(c.Config, ConfigEntry{who, name, value})
}
