#!/bin/sh
# Runs as process 1 of the image's first boot: QEMU has loaded the kernel, so that GRUB can be installed from within. The
# initramfs has mounted /dev, /proc, /run and /sys. The machine is switched off whatever happens.
set -eux
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
off() {
	sync
	echo u >/proc/sysrq-trigger # mounts the disk read-only
	sleep 1
	echo o >/proc/sysrq-trigger
	sleep 60
}
trap off EXIT
uuid=$(blkid -o value -s UUID /dev/vda1)
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >/etc/fstab
[ -e "/dev/disk/by-uuid/$uuid" ] || { mkdir -p /dev/disk/by-uuid && ln -s /dev/vda1 "/dev/disk/by-uuid/$uuid"; }
echo 'grub-pc grub-pc/install_devices multiselect /dev/vda' | debconf-set-selections
grub-install /dev/vda
update-grub
# Images with the modules of this machine alone are built in a fraction of the time.
echo MODULES=dep >/etc/initramfs-tools/conf.d/modules
rm -f /bootable
echo "hlplay: the boot loader is installed"
