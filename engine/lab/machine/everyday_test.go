package machine

import (
	"testing"
	"time"
)

// TestEverydayPrograms runs programs that people use in command tasks but hlplay itself does not.
func TestEverydayPrograms(t *testing.T) {
	m := bare(t, func(c *Config) { c.Disks = []Disk{{Name: "sdb", Use: "ext4"}} })
	m.Archive().Publish("https://example.com/key", []byte("a key\n"))
	m.Clock().(*VirtualClock).Advance(2*time.Hour + time.Minute)
	for _, tc := range []struct {
		line, want string
		code       int
	}{
		{line: "blkid -o value -s TYPE /dev/sdb", want: `^ext4\n$`},
		{line: "blkid -o value -s UUID /dev/sdb", want: `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`},
		{line: "findmnt -n -o SOURCE /", want: `^/dev/sda2\n$`},
		{line: "mountpoint -q / && echo mounted; mountpoint -q /etc", want: `^mounted\n$`, code: 32},
		{line: "mount | grep ' / '", want: `^/dev/sda2 on / type ext4 \(rw,`},
		{line: "df --output=avail / | tail -n 1", want: `^\d+\n$`},
		{line: "df -h /", want: `/dev/sda2 62G `},
		{line: "free -m", want: `\nMem: +16384 `},
		{line: "nproc", want: `^4\n$`},
		{line: "uptime -p", want: `^up 2 hours, 1 minute\n$`},
		{line: "cat /proc/cmdline; grep -c ^processor /proc/cpuinfo", want: `^BOOT_IMAGE=/boot/vmlinuz-6\S+ root=UUID=[0-9a-f-]{36} ro quiet\n4\n$`},
		{line: "curl -fsSL https://example.com/key; wget -qO- https://example.com/key", want: `^a key\na key\n$`},
		{line: `curl -fsSo /tmp/k -w '%{http_code}\n' https://example.com/key; cat /tmp/k`, want: `^200\na key\n$`},
		{line: "curl -fsS https://example.com/none", want: `^curl: \(6\) Could not resolve host: example.com\n$`, code: 6},
		{line: "ss -ltn", want: `\nLISTEN .* 0\.0\.0\.0:22 `},
		{line: "ps", want: `\d+ ps\n$`},
		{line: "cd /etc; /bin/pwd; which lsblk; whoami; groups", want: `^/etc\n/usr/bin/lsblk\nroot\nroot\n$`},
		{line: "groupadd g && groupdel g && getent group g", want: `^$`, code: 2},
		{line: "useradd u && usermod -L u && getent shadow u", want: `^u:!`},
		{line: "dpkg -l bash", want: `\nii  bash +5\.2\.37`},
		{line: "dpkg -L openssh-server", want: `\n/usr/lib/systemd/system/ssh\.service\n$`},
		{line: "dpkg -S /usr/lib/systemd/system/ssh.service", want: `^openssh-server: `},
		{line: "dpkg -s bash", want: `^Package: bash\nStatus: install ok installed\n`},
		{line: "dpkg -s nope", want: `'nope' is not installed`, code: 1},
		{line: "systemctl restart ssh && systemctl status ssh", want: `Active: active \(running\)`},
		{line: "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id && ssh-keygen -y -f /root/.ssh/id", want: `^ssh-ed25519 \S+\n$`},
		{line: "sshd -t && echo fine", want: `^fine\n$`},
		{line: `printf '#!/bin/sh\necho "$0" "$1"\n' >/tmp/s; chmod +x /tmp/s; /tmp/s a`, want: `^/tmp/s a\n$`},
		{line: "ssh pve2 true", want: `^ssh: not supported on simulated nodes: `, code: 2},
	} {
		t.Run(tc.line, func(t *testing.T) { expect(t, m, tc.line, tc.code, tc.want) })
	}
}
