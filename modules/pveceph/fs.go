package pveceph

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// FS is a CephFS.
type FS struct {
	Name  string `hcl:"name,optional" default:"cephfs" doc:"Name of the file system. Its pools are NAME_data and NAME_metadata."`
	PGNum int    `hcl:"pg_num,optional" default:"128" doc:"Placement groups of the data pool, a power of two and at least 8; the metadata pool gets a quarter, but at least 8."`
}

func (f *FS) scope() modules.Scope { return modules.OncePerCluster }

func (f *FS) validate() error {
	if n := f.PGNum; n < 8 || n > 32768 || n&(n-1) != 0 {
		return &modules.ArgumentError{Argument: "fs.pg_num", Problem: fmt.Sprint(n), Want: "expected a power of two, 8 to 32768"}
	}
	return ceph.CheckName("fs.name", f.Name)
}

func (f *FS) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	systems, err := ceph.FileSystems.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	after := map[string]ceph.FileSystem{}
	for name, fs := range systems {
		after[name] = fs
	}
	after[f.Name] = ceph.FileSystem{Active: true}
	expect := pve.Everywhere(h, ceph.FileSystems.Expect("", after))
	await := "a metadata server active for " + f.Name
	if fs, exists := systems[f.Name]; exists {
		if fs.Active {
			return s.plan(), nil
		}
		return s.plan(modules.Step{
			Summary: "wait for " + await, Action: modules.Wait{}, Expect: expect,
			Settle: time.Minute, Await: await, Until: ceph.FileSystemServes(), Refresh: true,
		}), nil
	}
	pools, err := f.check(ctx, s)
	if err != nil {
		return modules.Plan{}, err
	}
	return s.plan(modules.Step{
		Summary: fmt.Sprintf("create CephFS %s (%d PGs)", f.Name, f.PGNum),
		Action:  pveceph(5*time.Minute, "fs", "create", "--name", f.Name, "--pg_num", strconv.Itoa(f.PGNum)),
		Expect:  append(expect, pve.Everywhere(h, ceph.Pools.Expect("", pools))...),
		Settle:  time.Minute,
		Await:   await,
		Until:   ceph.FileSystemServes(),
		Wide:    true, Elsewhere: elsewhere,
	}), nil
}

// metadataPGs returns the pg_num that pveceph chooses for the metadata pool.
func metadataPGs(pgs int) int { return max(8, pgs/4) }

// check rejects what pveceph would reject, and returns the pools as they will be.
func (f *FS) check(ctx context.Context, s *state) (map[string]ceph.Pool, error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	if err := f.standby(ctx, s); err != nil {
		return nil, err
	}
	pools, err := ceph.Pools.Observe(ctx, s.host, "")
	if err != nil {
		return nil, err
	}
	data, metadata := f.Name+"_data", f.Name+"_metadata"
	for _, name := range []string{data, metadata} {
		if _, exists := pools[name]; exists {
			return nil, fmt.Errorf("pool %s exists, but there is no file system %s: its creation was interrupted, or the pool belongs to something else; check it, and remove it if it is empty", name, f.Name)
		}
	}
	osds, err := s.osds(ctx)
	if err != nil {
		return nil, err
	}
	size := number(s.conf.Global("osd_pool_default_size"), 3)
	minSize := number(s.conf.Global("osd_pool_default_min_size"), 2)
	rule := ceph.CrushRule{Root: "default", FailureDomain: "host"}
	if err := fits(data, size, rule, osds); err != nil {
		return nil, err
	}
	if err := s.budget(pools, data, f.PGNum, func(pgs int) int { return (pgs + metadataPGs(pgs)) * size }, osds); err != nil {
		return nil, err
	}
	after := map[string]ceph.Pool{}
	for name, pool := range pools {
		after[name] = pool
	}
	pool := ceph.Pool{ID: -1, Size: size, MinSize: minSize, PGs: f.PGNum, Rule: "replicated_rule", Autoscale: "on", Applications: []string{"cephfs"}}
	after[data] = pool
	pool.PGs, pool.PGsMin = metadataPGs(f.PGNum), 16 // ceph fs new sets the minimum
	after[metadata] = pool
	return after, nil
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// standby requires a metadata server that stands by for the file system.
func (f *FS) standby(ctx context.Context, s *state) error {
	members, err := s.members(ctx)
	if err != nil {
		return err
	}
	servers, err := ceph.MetadataServers.ObserveAll(ctx, s.host, members)
	if err != nil {
		return err
	}
	var busy []string
	for _, name := range members {
		switch state := servers[name].State; state {
		case "up:standby":
			return nil
		case "":
		default:
			busy = append(busy, name+" ("+state+")")
		}
	}
	if len(busy) > 0 {
		return fmt.Errorf("CephFS %s needs a standby metadata server, and all are busy: %s; create one with pveceph { mds {} } on another node", f.Name, strings.Join(busy, ", "))
	}
	return fmt.Errorf("CephFS %s needs a standby metadata server: run a task with pveceph { mds {} } first", f.Name)
}
