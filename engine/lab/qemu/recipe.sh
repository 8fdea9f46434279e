set -eu
root=$1
# Where packages came from is the building host's affair; a machine has the sources that a test gives it.
rm -rf "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/resolv.conf
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"
echo localhost >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n' >"$root/etc/hosts"
printf 'PARTUUID=none / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
mkdir -m 0700 -p "$root/root/.ssh"
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service
# On a busy host a device may take longer than the usual 90 seconds to appear, and the emulated timer may tick too late for the kernel,
# which then panics unless it is told not to check that.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultDeviceTimeoutSec=15min\n' >"$root/etc/systemd/system.conf.d/busy-host.conf"
cat >"$root/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="console=ttyS0 net.ifnames=0 no_timer_check"
GRUB_TERMINAL=serial
END
# What a machine is called, its address and its keys are a tar archive on a disk of their own, as they are not in the image.
cat >"$root/etc/systemd/system/identity.service" <<'END'
[Unit]
Description=Become the machine that the test has asked for
DefaultDependencies=no
ConditionPathExists=!/etc/identified
Requires=dev-disk-by\x2did-virtio\x2didentity.device
After=dev-disk-by\x2did-virtio\x2didentity.device systemd-remount-fs.service
Before=sysinit.target network-pre.target networking.service ssh.service

[Service]
Type=oneshot
ExecStart=/bin/sh -ec 'tar -xf /dev/disk/by-id/virtio-identity -C /; hostname -F /etc/hostname; : >/etc/identified'

[Install]
WantedBy=sysinit.target
END
chroot "$root" systemctl --quiet enable identity.service
