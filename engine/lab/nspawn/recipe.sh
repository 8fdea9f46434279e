set -eu
root=$1
# Where packages came from is the building host's affair; a node has the sources that a test gives it.
rm -rf "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/resolv.conf "$root"/etc/hostname
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"
echo 'de_DE.UTF-8 UTF-8' >"$root/etc/locale.gen"
chroot "$root" locale-gen >/dev/null
chroot "$root" systemctl --quiet enable systemd-networkd
# systemd-networkd-wait-online: nothing here waits for a way to the outside.
chroot "$root" systemctl --quiet mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer
chroot "$root" useradd --create-home --shell /bin/bash admin
chroot "$root" useradd --create-home --shell /bin/bash deploy
printf 'admin ALL=(ALL:ALL) NOPASSWD: ALL\ndeploy ALL=(ALL:ALL) ALL\n' >"$root/etc/sudoers.d/accounts"
chmod 0440 "$root/etc/sudoers.d/accounts"
for home in root home/admin home/deploy; do
	mkdir -m 0700 -p "$root/$home/.ssh"
	chown --reference="$root/$home" "$root/$home/.ssh"
done
