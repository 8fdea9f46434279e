package machine

import (
	"strings"
	"sync"
	"testing"
)

// A copy of the disks does not change when a program changes the disks.
func TestDisksAreCopies(t *testing.T) {
	m := bare(t, func(c *Config) { c.Disks = []Disk{{Name: "sdb", Partitions: []Disk{{Size: 1 << 30}}}} })
	whole, _ := m.Disk("/dev/sdb")
	part, _ := m.Disk("/dev/sdb1")
	all := m.Disks()
	if _, stderr, code := run(t, m, "root", "mkfs.ext4 -q /dev/sdb1"); code != 0 {
		t.Fatal(stderr)
	}
	for _, read := range []Disk{whole.Partitions[0], part, all[len(all)-1].Partitions[0]} {
		if read.Name != "sdb1" || read.Use != "" {
			t.Errorf("%s, which was blank when it was read, holds %q", read.Name, read.Use)
		}
	}
	if now, _ := m.Disk("/dev/sdb1"); now.Use != "ext4" {
		t.Errorf("the partition holds %q", now.Use)
	}
}

// Readers run while writers change what they read: with the race detector, this finds unlocked state.
func TestProgramsAtOnce(t *testing.T) {
	m := bare(t, func(c *Config) {
		c.Disks = append(c.Disks, Disk{Name: "sdc", Size: 4 << 30}, Disk{Name: "sdd", Partitions: []Disk{{Size: 1 << 30}}},
			Disk{Name: "sde"}, Disk{Name: "sdf"}, Disk{Name: "sdg"})
	})
	if _, stderr, code := run(t, m, "root", "apt-get update && apt-get install -y mdadm btrfs-progs"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var all sync.WaitGroup
	for _, line := range []string{
		"mkfs.ext4 -q /dev/sdb; echo '/dev/sdb /srv ext4 defaults 0 0' >>/etc/fstab; mkdir -p /srv; mount /srv; mount -o remount,ro /srv; umount /srv; wipefs -a -q /dev/sdb",
		"mdadm --create /dev/md/a --run --level=1 --raid-devices=2 /dev/sde /dev/sdf; mdadm --manage /dev/md/a --add /dev/sdg; mdadm --manage /dev/md/a --fail /dev/sdf; mdadm --stop /dev/md/a",
		"echo size=65536,start=4194304 | sfdisk -q --append /dev/sdd; mkfs.ext4 -q /dev/sdd2; wipefs -a /dev/sdd2; dd if=/dev/zero of=/dev/sdc bs=1M count=1",
		"systemctl stop cron; systemctl disable cron; systemctl enable --now cron; systemctl mask cron; systemctl unmask cron",
		"apt-get install -y chrony; apt-mark hold chrony; apt-mark unhold chrony; apt-get purge -y chrony",
		"useradd -m carol; usermod -aG sudo carol; userdel -r carol; groupadd staff2; groupdel staff2",
		"sysctl -w vm.swappiness=5; modprobe br_netfilter; modprobe -r br_netfilter; hostname other; timedatectl set-timezone Europe/Berlin",
		"lsblk -J -O; blkid; blkid -p /dev/sdd; sfdisk --json /dev/sdd; wipefs /dev/sdb; findmnt; mount; cat /proc/mounts; df",
		"cat /proc/mdstat /sys/block/md127/md/*; ls -l /dev/disk/by-id /dev/disk/by-uuid; cat /sys/block/*/size; swapon; cat /proc/swaps",
		"systemctl list-units; systemctl list-unit-files; systemctl show chrony cron; systemctl is-active chrony cron; systemctl --failed; journalctl -n 5 -u chrony",
		"dpkg -l; dpkg-query -W; apt-cache policy chrony; apt-mark showhold; apt-get -s upgrade",
		"id carol; getent passwd; getent group; ps -e; pgrep sh",
		"sysctl -a; cat /proc/modules /proc/cmdline /proc/cpuinfo; uname -a; hostname -f; ip -j addr; ip -j link; ss -ltn; timedatectl; date; free; nproc; uptime",
	} {
		all.Go(func() {
			for range 4 {
				if _, stderr, _ := run(t, m, "root", line); strings.Contains(stderr, "no user") {
					t.Errorf("%s: %s", line, stderr)
				}
			}
		})
	}
	all.Wait()
}
