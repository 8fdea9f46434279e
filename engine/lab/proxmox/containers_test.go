package proxmox

import (
	"strings"
	"testing"
)

// What pct rejects and writes: PVE::API2::LXC and PVE::LXC::Config of pve-container 6.1.
func TestContainers(t *testing.T) {
	l := newLab(t, labOptions{count: 1, guests: map[string]string{"200": "ct"}})
	for _, step := range []struct {
		command string
		says    string // on standard error, if the command fails
		config  string // part of the configuration afterwards
	}{
		{"pct set 200", "no options specified", ""},
		{"pct set 200 --memory 8", "memory: value must have a minimum value of 16", ""},
		{"pct set 200 --unprivileged 1", "unable to modify read-only option: 'unprivileged'", ""},
		{"pct set 200 --delete memory", "unable to delete required option 'memory'", ""},
		{"pct set 200 --memory 1024 --digest 0000", "detected modified configuration", ""},
		{"pct set 200 --mp0 nosuch:4,mp=/srv", "storage 'nosuch' does not exist", ""},
		{"pct set 200 --tags Web,core --nameserver 1.1.1.1,9.9.9.9", "", "nameserver: 1.1.1.1 9.9.9.9\nostype: debian\n"},
		{"pct set 200 --mp0 local:4,mp=/srv", "", "mp0: local:200/vm-200-disk-1.raw,mp=/srv,size=4G\n"},
		{"pct stop 200", "CT 200 not running", ""},
		{"pct start 200", "", ""},
		{"pct start 200", "CT 200 already running", ""},
		{"pct set 200 --memory 1024 --features nesting=1 --delete nameserver", "", "\n[pve:pending]\ndelete: nameserver\nfeatures: nesting=1\n"},
		{"pct set 200 --cores 2", "", "cores: 2\n"},
		{"pct set 200 --revert nameserver", "", "\n[pve:pending]\nfeatures: nesting=1\n"},
		{"pct resize 200 rootfs 2G", "unable to shrink disk size", ""},
		{"pct resize 200 rootfs 4G", "disk is already at specified size", ""},
		{"pct resize 200 rootfs +4G", "", "rootfs: local:200/vm-200-disk-0.raw,size=8G\n"},
		{"pct resize 200 mp0 6G", "", "mp0: local:200/vm-200-disk-1.raw,mp=/srv,size=6G\n"},
		{"pct move-volume 200 mp0 local", "cannot move volumes of a running container", ""},
		{"pct shutdown 200 --timeout 60", "", "\n[pve:pending]\nfeatures: nesting=1\n"},
		{"pct start 200", "", "features: nesting=1\nhostname"},
		{"pct shutdown 200", "", ""},
		{"pct move-volume 200 mp0 nosuch", "storage 'nosuch' does not exist", ""},
		{"pct move-volume 200 mp0 local", "", "mp0: local:200/vm-200-disk-2.raw,mp=/srv,size=6G\n"},
		{"pct move-volume 200 unused0 local", "cannot move volume 'unused0', only configured volumes", "unused0: local:200/vm-200-disk-1.raw\n"},
		{"pct set 200 --lock backup", "", ""},
		{"pct start 200", "CT is locked (backup)", ""},
		{"pct create 200 local:vztmpl/x.tar.zst", "CT 200 already exists on node 'pve1'", ""},
		{"pct create 201 local:vztmpl/x.tar.zst", "unable to create CT 201 - volume 'local:vztmpl/x.tar.zst' does not exist", ""},
	} {
		r := l.run("pve1", "", strings.Fields(step.command)...)
		if (r.code != 0) != (step.says != "") || !strings.Contains(r.stderr, step.says) {
			t.Errorf("%s: exit %d, %q; want %q", step.command, r.code, r.stderr, step.says)
		}
		if config := l.read("pve1", "/etc/pve/lxc/200.conf"); !strings.Contains(config, step.config) {
			t.Errorf("after %s the configuration has no %q:\n%s", step.command, step.config, config)
		}
	}
	if got, want := l.run("pve1", "", "pct", "list").stdout, "VMID       Status     Lock         Name                \n200        stopped    backup       ct200               \n"; got != want {
		t.Errorf("pct list prints %q, want %q", got, want)
	}
}
