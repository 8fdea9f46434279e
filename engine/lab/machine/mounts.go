package machine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// mounts are the file systems mounted over a machine's tree.
type mounts struct {
	mu   sync.RWMutex
	list []mount // the latest mount is the last
}

type mount struct {
	path string
	fs   afero.Fs
}

// at returns the file system that contains a resolved path and the path relative to its mount point, or nil for the
// machine's own tree.
func (s *mounts) at(p string) (afero.Fs, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := -1
	for i, m := range s.list {
		if (p == m.path || strings.HasPrefix(p, m.path+"/")) && (best < 0 || len(m.path) >= len(s.list[best].path)) {
			best = i
		}
	}
	if best < 0 {
		return nil, ""
	}
	rel := strings.TrimPrefix(p, s.list[best].path)
	if rel == "" {
		rel = "/"
	}
	return s.list[best].fs, rel
}

// busy reports whether a path is a mount point.
func (s *mounts) busy(p string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.list {
		if m.path == p {
			return true
		}
	}
	return false
}

// Mount mounts a file system on a directory, which is created if it is missing. Paths passed to fs start with "/".
// Links are followed if fs implements afero.LinkReader and afero.Lstater.
func (m *Machine) Mount(path string, fs afero.Fs) {
	m.tree.mu.Lock()
	m.tree.mkdirAll(path, 0o755)
	m.tree.mu.Unlock()
	m.mounts.mu.Lock()
	defer m.mounts.mu.Unlock()
	m.mounts.list = append(m.mounts.list, mount{strings.TrimSuffix(path, "/"), fs})
}

// Unmount undoes the last Mount at path. The files below become visible again.
func (m *Machine) Unmount(path string) {
	m.mounts.mu.Lock()
	defer m.mounts.mu.Unlock()
	for i := len(m.mounts.list) - 1; i >= 0; i-- {
		if m.mounts.list[i].path == strings.TrimSuffix(path, "/") {
			m.mounts.list = append(m.mounts.list[:i], m.mounts.list[i+1:]...)
			return
		}
	}
}

func findmnt(_ context.Context, c *Call) int {
	o, ok := c.options("no:T:rM:S:", "noheadings", "output=", "target=", "mountpoint=", "source=", "raw")
	if !ok {
		return 2
	}
	target := cmpOr(o.value("T", "target"), o.value("M", "mountpoint"))
	if len(o.rest) > 0 {
		target = o.rest[0]
	}
	columns := strings.Split(strings.ToUpper(cmpOr(o.value("o", "output"), "TARGET,SOURCE,FSTYPE,OPTIONS")), ",")
	best := -1
	lines := strings.Split(strings.TrimSpace(c.Machine.mountTable()), "\n")
	for i, line := range lines {
		at := strings.Fields(line)[1]
		under := target == at || o.has("T", "target") && (at == "/" || strings.HasPrefix(target, at+"/"))
		if under && (best < 0 || len(at) >= len(strings.Fields(lines[best])[1])) {
			best = i
		}
	}
	if target != "" {
		if best < 0 {
			return 1
		}
		lines = lines[best : best+1]
	}
	if !o.has("n", "noheadings") {
		c.printf("%s\n", strings.Join(columns, " "))
	}
	for _, line := range lines {
		f := strings.Fields(line)
		var row []string
		for _, column := range columns {
			value, known := map[string]string{"TARGET": f[1], "SOURCE": f[0], "FSTYPE": f[2], "OPTIONS": f[3]}[column]
			if !known {
				return c.Errorf("unknown column: %s", column)
			}
			row = append(row, value)
		}
		c.printf("%s\n", strings.Join(row, " "))
	}
	return 0
}

func mountpoint(_ context.Context, c *Call) int {
	o, ok := c.options("qd", "quiet")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("bad usage\nTry 'mountpoint --help' for more information.")
	}
	name := o.rest[0]
	resolved, info, err := c.view().resolve(c.Path(name), true)
	if err != nil || info == nil {
		if !o.has("q", "quiet") {
			return c.Errorf("%s: No such file or directory", name)
		}
		return 1
	}
	is := false
	for line := range strings.Lines(c.Machine.mountTable()) {
		is = is || strings.Fields(line)[1] == resolved
	}
	if !o.has("q", "quiet") {
		c.printf("%s %s\n", name, map[bool]string{true: "is a mountpoint", false: "is not a mountpoint"}[is])
	}
	if is {
		return 0
	}
	if debian := c.Machine.Debian(); debian == "bookworm" || debian == "trixie" {
		return 32 // util-linux since 2.37
	}
	return 1
}

func mountProgram(_ context.Context, c *Call) int {
	if len(c.Argv) > 1 {
		return c.mountListed()
	}
	for line := range strings.Lines(c.Machine.mountTable()) {
		f := strings.Fields(line)
		c.printf("%s on %s type %s (%s)\n", f[0], f[1], f[2], f[3])
	}
	return 0
}

func (m *Machine) mountTable() string {
	var b strings.Builder
	b.WriteString("sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\nudev /dev devtmpfs rw,nosuid,relatime 0 0\n/dev/sda2 / ext4 rw,relatime,errors=remount-ro 0 0\ntmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n")
	for _, d := range m.mountedDisks() {
		access := "rw"
		if d.ReadOnly {
			access = "ro"
		}
		fmt.Fprintf(&b, "%s %s %s %s%s 0 0\n", m.devicePath(d), fstabEscapes.Replace(d.Mountpoint), d.Use, access, cmpOr(d.mountFlags, ",relatime"))
	}
	m.mounts.mu.RLock()
	defer m.mounts.mu.RUnlock()
	for _, mounted := range m.mounts.list {
		fmt.Fprintf(&b, "/dev/fuse %s fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n", mounted.path)
	}
	return b.String()
}

// rootSize is the size of the root file system in bytes.
const rootSize = 62 << 30

// Free returns how many bytes are free on the root file system.
func (m *Machine) Free() int64 {
	m.tree.mu.RLock()
	defer m.tree.mu.RUnlock()
	if m.tree.free < 0 {
		return rootSize * 9 / 10
	}
	return m.tree.free
}

func df(_ context.Context, c *Call) int {
	o, ok := c.options("hPkTBm:i", "human-readable", "portability", "output?", "block-size=")
	if !ok {
		return 2
	}
	m := c.Machine
	total, free := int64(rootSize), m.Free()
	used := total - free
	show := func(n int64) string {
		switch {
		case o.has("h", "human-readable"):
			return human(n)
		case o.value("block-size") == "1":
			return fmt.Sprint(n)
		}
		return fmt.Sprint(n / 1024)
	}
	if o.has("output") && o.value("output") != "" {
		var head, row []string
		for _, field := range strings.Split(o.value("output"), ",") {
			values := map[string][2]string{"source": {"Filesystem", "/dev/sda2"}, "fstype": {"Type", "ext4"}, "size": {"1K-blocks", show(total)}, "used": {"Used", show(used)}, "avail": {"Avail", show(free)},
				"pcent": {"Use%", fmt.Sprintf("%d%%", used*100/total)}, "target": {"Mounted on", "/"}}
			v, known := values[field]
			if !known {
				return c.Errorf("option --output: field ‘%s’ unknown", field)
			}
			head, row = append(head, v[0]), append(row, v[1])
		}
		c.printf("%s\n%s\n", strings.Join(head, " "), strings.Join(row, " "))
		return 0
	}
	c.printf("Filesystem     1K-blocks     Used Available Use%% Mounted on\n/dev/sda2 %s %s %s %d%% /\n", show(total), show(used), show(free), used*100/total)
	return 0
}
