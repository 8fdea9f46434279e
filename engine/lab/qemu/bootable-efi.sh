#!/bin/sh
# Runs as process 1 of the first boot of an image with UEFI firmware: QEMU has loaded the kernel, so that systemd-boot can be
# installed from within. The initramfs has mounted /dev, /proc, /run and /sys. The machine is switched off whatever happens.
set -eux
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
off() {
	cd /
	umount /boot/efi
	sync
	echo u >/proc/sysrq-trigger # mounts the disk read-only
	sleep 1
	echo o >/proc/sysrq-trigger
	sleep 60
}
trap off EXIT
mkfs.vfat -F 32 /dev/vda1
uuid=$(blkid -o value -s UUID /dev/vda2)
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >/etc/fstab
echo "UUID=$(blkid -o value -s UUID /dev/vda1) /boot/efi vfat umask=0077 0 1" >>/etc/fstab
mkdir -p /boot/efi
mount -t vfat /dev/vda1 /boot/efi
# The entries are named after the machine ID, so it cannot be each machine's own.
systemd-machine-id-setup
mkdir -p /etc/kernel
echo "root=UUID=$uuid rw quiet console=ttyS0 net.ifnames=0 no_timer_check" >/etc/kernel/cmdline
bootctl install --no-variables --make-entry-directory=yes --esp-path=/boot/efi
for kernel in /boot/vmlinuz-*; do
	kernel-install add "${kernel#/boot/vmlinuz-}" "$kernel"
done
ls /boot/efi/loader/entries/*.conf
# Images with the modules of this machine alone are built in a fraction of the time.
echo MODULES=dep >/etc/initramfs-tools/conf.d/modules
rm -f /bootable
echo "hlplay: the boot loader is installed"
