package mount

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const table = "# what the installer wrote\nUUID=root /  ext4\terrors=remount-ro 0 1\n\n/dev/sdz /with\\040blank xfs defaults 0 0\n"

func TestEdit(t *testing.T) {
	bulk := entry{"UUID=1", "/srv/bulk", "ext4", "nofail", "0", "2"}
	line := "UUID=1 /srv/bulk ext4 nofail 0 2\n"
	for name, test := range map[string]struct {
		text string
		e    entry
		want string
	}{
		"appended":             {table, bulk, table + line},
		"empty":                {"", bulk, line},
		"no line end":          {"# x", bulk, "# x\n" + line},
		"replaced":             {"/dev/sdb /srv/bulk ext4 defaults 0 0\n" + table, bulk, line + table},
		"slash at its end":     {"/dev/sdb /srv/bulk/ ext4 defaults 0 0\n" + table, bulk, line + table},
		"slash, as it is":      {"UUID=1 /srv//bulk/ ext4 nofail 0 2\n" + table, bulk, "UUID=1 /srv//bulk/ ext4 nofail 0 2\n" + table},
		"as it is":             {"UUID=1\t\t/srv/bulk   ext4 nofail 0 2\n" + table, bulk, "UUID=1\t\t/srv/bulk   ext4 nofail 0 2\n" + table},
		"short":                {"/dev/sdb /srv/bulk\n", bulk, line},
		"escaped":              {table, entry{"/dev/sdz", "/with blank", "xfs", "defaults", "0", "0"}, table},
		"escaped, new":         {"", entry{"UUID=1", "/a b", "xfs", "defaults", "0", "0"}, "UUID=1 /a\\040b xfs defaults 0 0\n"},
		"a comment is none":    {"#/dev/sdb /srv/bulk ext4\n", bulk, "#/dev/sdb /srv/bulk ext4\n" + line},
		"line ends of Windows": {"# x\r\n/dev/sdb / ext4 errors=remount-ro 0 1\r\n", bulk, "# x\r\n/dev/sdb / ext4 errors=remount-ro 0 1\r\nUUID=1 /srv/bulk ext4 nofail 0 2\r\n"},
		"theirs, replaced":     {"/dev/sdb /srv/bulk ext4 defaults 0 0\r\n# x\r\n", bulk, "UUID=1 /srv/bulk ext4 nofail 0 2\r\n# x\r\n"},
		"theirs, as it is":     {"UUID=1 /srv/bulk ext4 nofail 0 2\r\n# x\n", bulk, "UUID=1 /srv/bulk ext4 nofail 0 2\r\n# x\n"},
		"theirs on the mount":  {"UUID=1 /srv/bulk ext4 nofail\r\n", bulk, "UUID=1 /srv/bulk ext4 nofail 0 2\r\n"},
		"another's beginning":  {"UUID=2 /srv/bulk2 xfs defaults 0 0\n", bulk, "UUID=2 /srv/bulk2 xfs defaults 0 0\n" + line},
	} {
		got, err := test.e.put(test.text)
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
		if again, err := test.e.put(got); err != nil || again != got {
			t.Errorf("%s: put again: %q, %v", name, again, err)
		}
	}
	if got, err := take(table+line, "/srv/bulk"); err != nil || got != table {
		t.Errorf("taken: %q, %v", got, err)
	}
	if _, err := bulk.put(line + "# x\n" + line); err == nil || !strings.Contains(err.Error(), "on lines 1 and 3") {
		t.Errorf("two lines for a directory: %v", err)
	}
}

// plain returns a text without carriage returns, whose last line has an end.
func plain(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return strings.ReplaceAll(text, "\r", "")
}

// FuzzEdit checks that only the line for the directory is changed in fstab.
func FuzzEdit(f *testing.F) {
	f.Add(table)
	f.Add("a /srv/bulk\nb /srv/bulk x y z 0 0 #\n")
	f.Add("\n\r\r")
	e := entry{"UUID=1", "/srv/bulk", "ext4", "nofail", "0", "2"}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := e.put(text)
		if err != nil {
			return
		}
		if again, err := e.put(got); err != nil || again != got {
			t.Errorf("%q became %q, and then %q: %v", text, got, again, err)
		}
		rest, err := take(got, e.path)
		if err != nil {
			t.Errorf("%q: %v", got, err)
		}
		without, err := take(text, e.path)
		if err != nil || plain(rest) != plain(without) {
			t.Errorf("%q: the other lines became %q, from %q: %v", text, rest, without, err)
		}
	})
}

// host returns a host with a file system on a disk. It is mounted at the directory at unless that is empty, and listed in
// fstab if listed is set.
func host(at string, listed bool) modules.Host {
	d := observe.BlockDevice{Name: "sdb", Path: "/dev/sdb", Type: "disk", Size: 8e12, Filesystem: "ext4", UUID: "1", Links: []string{"/dev/disk/by-id/x"}}
	other := observe.BlockDevice{Name: "sdc", Path: "/dev/sdc", Type: "disk", Size: 8e12, Filesystem: "xfs", UUID: "2"}
	text, mounted := table, observe.Mount{}
	if listed {
		text += "UUID=1 /srv/bulk ext4 nofail 0 2\n"
	}
	if at != "" {
		d.Mountpoints = []string{at}
		mounted = observe.Mount{Source: "/dev/sdb", Type: "ext4"}
	}
	return observe.NewRecorded("pve1",
		observe.Disks.Expect("", []observe.BlockDevice{d, other}),
		observe.Mounts.Expect("/srv/bulk", mounted),
		observe.Files.Expect("/srv/bulk", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/srv", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/etc", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect(fstab, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(text), Size: int64(len(text))}),
	)
}

// What is mounted is not empty because the directory is: a new ext4 holds lost+found.
func TestMountedNotListed(t *testing.T) {
	h := host("", false)
	h.Predict([]observe.Expectation{observe.Files.Expect("/srv/bulk", observe.File{})})
	modulestest.Converges(t, &mount{Path: "/srv/bulk", Source: "/dev/sdb"}, h)
	if listing, err := observe.Dirs.Observe(t.Context(), h, "/srv/bulk"); !observe.IsUnknown(err) {
		t.Errorf("the directory is expected to hold %+v, %v", listing, err)
	}
}

func TestPlan(t *testing.T) {
	list := "list UUID=1 at /srv/bulk in /etc/fstab\nreload systemd for /etc/fstab\n"
	for name, test := range map[string]struct {
		m    mount
		host modules.Host
		want string
	}{
		"new":              {mount{Source: "/dev/disk/by-id/x"}, host("", false), list + "mount /dev/disk/by-id/x at /srv/bulk"},
		"by its UUID":      {mount{Source: "UUID=1", Type: "ext4"}, host("", false), list + "mount UUID=1 at /srv/bulk"},
		"not mounted":      {mount{Source: "/dev/sdb"}, host("", true), "mount /dev/sdb at /srv/bulk"},
		"not listed":       {mount{Source: "/dev/sdb"}, host("/srv/bulk", false), "remount /srv/bulk with the options nofail\n" + strings.TrimSpace(list)},
		"as desired":       {mount{Source: "/dev/sdb"}, host("/srv/bulk", true), ""},
		"other options":    {mount{Source: "/dev/sdb", Options: []string{"ro"}}, host("/srv/bulk", true), "remount /srv/bulk with the options ro,nofail\n" + strings.TrimSpace(list)},
		"absent":           {mount{State: "absent"}, host("/srv/bulk", true), "unmount /dev/sdb from /srv/bulk\nremove /srv/bulk from /etc/fstab\nreload systemd for /etc/fstab"},
		"absent, as it is": {mount{State: "absent"}, host("", false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := test.m
			m.Path, m.Nofail = "/srv/bulk", true
			if m.State == "" {
				m.State = "mounted"
			}
			plan := modulestest.Converges(t, &m, test.host)
			if got := strings.ReplaceAll(strings.TrimSpace(modulestest.Summaries(plan)), "\n  ", "\n"); got != test.want {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		m    mount
		want string
	}{
		{mount{Source: "/dev/sdc"}, "/dev/sdb is mounted at /srv/bulk on pve1, expected /dev/sdc"},
		{mount{Source: "/dev/sdb", Type: "xfs"}, "contains ext4, expected xfs"},
		{mount{Source: "/dev/sdx"}, "pve1 has no device /dev/sdx"},
		{mount{Source: "nas:/x", Type: "nfs4"}, "expected nas:/x"},
	} {
		m := test.m
		m.Path, m.State = "/srv/bulk", "mounted"
		plan, err := m.Plan(context.Background(), host("/srv/bulk", true))
		if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
			t.Errorf("%+v: %d steps, %v; expected %q", test.m, len(plan.Steps), err, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		m  mount
		ok bool
	}{
		{mount{Path: "/srv/a b", Source: "/dev/sdb", State: "mounted"}, true},
		{mount{Path: "/srv/x", State: "absent"}, true},
		{mount{Path: "/srv/x", Source: "tmpfs", Type: "tmpfs", Options: []string{"size=1G"}, State: "mounted"}, true},
		{mount{Path: "/srv/x", State: "mounted"}, false},
		{mount{Path: "srv", Source: "/dev/sdb", State: "mounted"}, false},
		{mount{Path: "/srv/", Source: "/dev/sdb", State: "mounted"}, false},
		{mount{Path: "/", State: "absent"}, false},
		{mount{Path: "/usr", State: "absent"}, false},
		{mount{Path: "/proc/x", State: "absent"}, false},
		{mount{Path: "/srv/x", Source: "tmpfs", State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "/dev/sdb", Options: []string{"ro,noexec"}, State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "/dev/sdb", Options: []string{"nofail"}, State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "/dev/sdb\n/dev/sdc /", State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "x", Type: "a b", State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "/srv/y", Type: "none", Options: []string{"bind"}, State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "//nas/x", Type: "cifs", Options: []string{"password=geheim"}, State: "mounted"}, false},
		{mount{Path: "/srv/x", Source: "//nas/x", Type: "cifs", Options: []string{"credentials=/etc/nas.credentials"}, State: "mounted"}, true},
		{mount{Path: "/srv/x", Source: "LABEL=bulk", Type: "ext4", State: "mounted"}, false},
	} {
		if err := test.m.Validate(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.m, err)
		}
	}
}

// TestReadOnly tests file systems that the kernel has made read-only or read-write, contrary to the task.
func TestReadOnly(t *testing.T) {
	const line = "UUID=1 /srv/bulk ext4 nofail 0 2\n"
	for name, test := range map[string]struct {
		options []string
		listed  string
		is      bool
		want    string // the first step, or part of the error
	}{
		"after errors":       {nil, line, true, "mounted read-only on pve1, but neither the task nor /etc/fstab asks for that"},
		"as desired":         {[]string{"ro"}, "UUID=1 /srv/bulk ext4 ro,nofail 0 2\n", true, ""},
		"no longer":          {nil, "UUID=1 /srv/bulk ext4 ro,nofail 0 2\n", true, "remount /srv/bulk with the options rw,nofail"},
		"made writable":      {[]string{"ro"}, "UUID=1 /srv/bulk ext4 ro,nofail 0 2\n", false, "remount /srv/bulk with the options ro,nofail"},
		"from now on":        {[]string{"ro"}, line, false, "remount /srv/bulk with the options ro,nofail"},
		"other options only": {[]string{"noatime"}, line, false, "remount /srv/bulk with the options noatime,nofail"},
	} {
		h := observe.NewRecorded("pve1",
			observe.Disks.Expect("", []observe.BlockDevice{{Name: "sdb", Path: "/dev/sdb", Type: "disk", Filesystem: "ext4", UUID: "1", Mountpoints: []string{"/srv/bulk"}}}),
			observe.Mounts.Expect("/srv/bulk", observe.Mount{Source: "/dev/sdb", Type: "ext4", ReadOnly: test.is}),
			observe.Files.Expect("/srv/bulk", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			observe.Files.Expect("/srv", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			observe.Files.Expect("/", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			observe.Files.Expect("/etc", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			observe.Files.Expect(fstab, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(test.listed), Size: int64(len(test.listed))}),
		)
		m := &mount{Path: "/srv/bulk", Source: "/dev/sdb", Options: test.options, Nofail: true, State: "mounted"}
		plan, err := m.Plan(t.Context(), h)
		said := ""
		if err != nil {
			said = err.Error()
		} else if len(plan.Steps) > 0 {
			said = plan.Steps[0].Summary
			modulestest.Converges(t, m, h)
		}
		if !strings.Contains(said, test.want) || test.want == "" && said != "" {
			t.Errorf("%s: %q, want %q", name, said, test.want)
		}
	}
}

// The directory of a server is the same with and without a trailing slash, which the kernel does not always show.
func TestSlashOfSource(t *testing.T) {
	for _, source := range []string{"//nas/share/", "//nas/share"} {
		s := &state{mount: &mount{Source: source}, mounted: observe.Mount{Source: "//nas/share"}}
		if !s.same(entry{source: source}, nil) {
			t.Errorf("%s is not taken for the mounted %s", source, s.mounted.Source)
		}
	}
}

// A directory that another user can replace by a link is not passed to mount(8).
func TestWhereOthersMayReplaceTheDirectory(t *testing.T) {
	mounted := observe.Mount{Source: "/dev/sdb", Type: "ext4"}
	for name, test := range map[string]struct {
		m    mount
		at   observe.Mount
		line string
		want string
	}{
		"mounted":       {mount{Source: "/dev/sdb", State: "mounted"}, observe.Mount{}, "", "alice can replace /home/alice/bulk on pve1"},
		"remounted":     {mount{Source: "/dev/sdb", State: "mounted", Options: []string{"ro"}}, mounted, "UUID=1 /home/alice/bulk ext4 defaults 0 2\n", "alice can replace"},
		"unmounted":     {mount{State: "absent"}, mounted, "", "alice can replace"},
		"as it is":      {mount{Source: "/dev/sdb", State: "mounted"}, mounted, "UUID=1 /home/alice/bulk ext4 defaults 0 2\n", ""},
		"no longer due": {mount{State: "absent"}, observe.Mount{}, "", ""},
	} {
		directory := func(path, owner string) observe.Expectation {
			return observe.Files.Expect(path, observe.File{Type: observe.Directory, Mode: 0o755, Owner: owner, Group: owner})
		}
		h := observe.NewRecorded("pve1",
			observe.Disks.Expect("", []observe.BlockDevice{{Name: "sdb", Path: "/dev/sdb", Type: "disk", Filesystem: "ext4", UUID: "1"}}),
			observe.Mounts.Expect("/home/alice/bulk", test.at),
			directory("/", "root"), directory("/etc", "root"), directory("/home", "root"), directory("/home/alice", "alice"), directory("/home/alice/bulk", "root"),
			observe.Files.Expect(fstab, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(test.line), Size: int64(len(test.line))}),
		)
		m := test.m
		m.Path = "/home/alice/bulk"
		plan, err := m.Plan(context.Background(), h)
		if test.want == "" && (err != nil || len(plan.Steps) > 0) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0) {
			t.Errorf("%s: %d steps, %v; expected %q", name, len(plan.Steps), err, test.want)
		}
	}
}

// TestFlags checks the remount for flags that the mount point lacks. Options that the kernel would otherwise keep must be
// set explicitly.
func TestFlags(t *testing.T) {
	for _, test := range []struct{ options, has, lacking, remount string }{
		{"defaults", "", "", "defaults"},
		{"noexec,nosuid", "", "nosuid,noexec", "noexec,nosuid"},
		{"noexec,nosuid", "nosuid,noexec", "", "noexec,nosuid"},
		{"noexec,nosuid", "noexec", "nosuid", "noexec,nosuid"},
		{"noexec,exec", "", "", "noexec,exec"},
		{"users", "", "nosuid,nodev,noexec", "users"},
		{"users,exec", "nosuid,nodev", "", "users,exec"},
		{"noexec,defaults", "", "", "noexec,defaults"},
		{"nofail", "nosuid,nodev", "", "nofail"}, // some file systems set such flags themselves
		{"nofail", "noatime", "", "nofail,relatime"},
		{"nofail", "noatime,nodiratime", "", "nofail,relatime"},
		{"noatime", "noatime,nodiratime", "", "noatime"},
		{"strictatime", "noatime", "", "strictatime"},
		{"noatime", "", "noatime", "noatime"},
	} {
		is := observe.Mount{Source: "x", Flags: test.has}
		if got := strings.Join(lacking(test.options, is), ","); got != test.lacking {
			t.Errorf("%s of one with %q: %q is lacking, want %q", test.options, test.has, got, test.lacking)
		}
		if got := remounting(test.options, false, is); got != test.remount {
			t.Errorf("%s of one with %q: remounted with %q, want %q", test.options, test.has, got, test.remount)
		}
	}
}

// TestOtherFlags tests a file system whose line in fstab is right, but which was mounted with other options.
func TestOtherFlags(t *testing.T) {
	for name, test := range map[string]struct {
		mounted observe.Mount
		want    string
	}{
		"as listed":        {observe.Mount{Source: "/dev/sdb", Type: "ext4", Flags: "noexec"}, ""},
		"somebody's":       {observe.Mount{Source: "/dev/sdb", Type: "ext4"}, "  remount /srv/bulk with the options noexec,x-systemd.automount,nofail\n"},
		"when it is asked": {observe.Mount{Source: "systemd-1", Type: "autofs"}, ""},
	} {
		h := host("/srv/bulk", false)
		line := "UUID=1 /srv/bulk ext4 noexec,x-systemd.automount,nofail 0 2\n"
		h.Predict([]observe.Expectation{observe.Mounts.Expect("/srv/bulk", test.mounted),
			observe.Files.Expect(fstab, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(line), Size: int64(len(line))})})
		plan := modulestest.Converges(t, &mount{Path: "/srv/bulk", Source: "/dev/sdb", Options: []string{"noexec", "x-systemd.automount"}, Nofail: true, State: "mounted"}, h)
		if got := modulestest.Summaries(plan); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestThroughALink tests a path that the kernel would report under another name, so that it would be mounted again in
// every run.
func TestThroughALink(t *testing.T) {
	h := host("", false)
	h.Predict([]observe.Expectation{observe.Files.Expect("/srv", observe.File{Type: observe.Symlink, Mode: 0o777, Owner: "root", Group: "root", Target: "/data"})})
	for _, m := range []mount{{Source: "/dev/sdb", State: "mounted"}, {State: "absent"}} {
		m.Path = "/srv/bulk"
		if plan, err := m.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "/srv on pve1 is a symbolic link to /data: name the directory") || len(plan.Steps) > 0 {
			t.Errorf("%s: %d steps, %v", m.State, len(plan.Steps), err)
		}
	}
}
