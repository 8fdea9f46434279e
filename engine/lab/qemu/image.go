//go:build linux

package qemu

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/lab/rootfs"
)

// packages lists what a machine has besides the essential packages: a Debian server with its kernel, GRUB, ifupdown2
// and disk tools.
var packages = []string{
	"apt", "btrfs-progs", "ca-certificates", "cron", "dbus", "debconf", "e2fsprogs", "ethtool", "grub-pc", "ifupdown2", "init", "initramfs-tools",
	"iproute2", "iputils-ping", "kmod", "libpam-systemd", "linux-image-cloud-amd64", "lvm2", "mdadm", "openssh-server", "pci.ids", "pciutils", "procps",
	"systemd-sysv", "tzdata", "udev",
}

// recipe turns a fresh root file system ($1) into that of a machine. It runs once per image.
//
//go:embed recipe.sh
var recipe string

// bootable is the init of the image's first boot, which installs its boot loader.
//
//go:embed bootable.sh
var bootable string

// The system disk has one partition, which begins at 1 MiB to leave room for GRUB.
const (
	systemBytes    = 3 << 30
	partitionStart = 1 << 20
)

// installLimit limits the boot that installs the boot loader.
const installLimit = 20 * time.Minute

// image returns the path of a bootable disk image, building it if it is not cached.
func image(ctx context.Context, o Options) (string, error) {
	cache, err := rootfs.CacheDir("")
	if err != nil {
		return "", err
	}
	all := slices.Concat(packages, o.Packages)
	ingredients := []string{rootfs.Suite, strings.Join(all, ","), recipe, bootable}
	return rootfs.Cached(cache, "machine-"+rootfs.Suite, ingredients, func(path string) error {
		began := time.Now()
		o.Log("building the image %s (Debian %s, with a kernel); this happens once", path, rootfs.Suite)
		root := path + ".root"
		defer os.RemoveAll(root)
		if err := os.RemoveAll(root); err != nil {
			return err
		}
		if err := rootfs.Build(ctx, rootfs.Suite, root, all, recipe); err != nil {
			return err
		}
		if err := makeBootable(ctx, path, root); err != nil {
			return err
		}
		o.Log("the image took %s", time.Since(began).Round(time.Second))
		return nil
	})
}

// makeBootable turns a root file system into a disk image and boots it once, with QEMU's own loader, to install GRUB.
func makeBootable(ctx context.Context, path, root string) error {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	kernel, err := only(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil {
		return err
	}
	initrd, err := only(filepath.Join(root, "boot/initrd.img-*"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "bootable"), []byte(bootable), 0o755); err != nil {
		return err
	}
	disk, err := os.Create(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.Truncate(systemBytes); err != nil {
		return err
	}
	if err := command(ctx, fmt.Sprintf("label: dos\nstart=%dKiB, type=83, bootable\n", partitionStart>>10), "sfdisk", "-q", path); err != nil {
		return err
	}
	size := fmt.Sprintf("%dK", (systemBytes-partitionStart)>>10)
	if err := command(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-E", fmt.Sprintf("offset=%d", partitionStart), "-d", root, path, size); err != nil {
		return err
	}
	console := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(emulation(memory),
		"-no-reboot", "-serial", "stdio", "-monitor", "none", "-kernel", kernel, "-initrd", initrd,
		"-append", "root=/dev/vda1 rw console=ttyS0 net.ifnames=0 no_timer_check quiet panic=1 init=/bootable",
		"-drive", "file="+path+",format=raw,if=virtio,cache=unsafe")...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install the boot loader: %w\n%s", err, rootfs.LastLines(console.String(), 25))
	}
	if !strings.Contains(console.String(), installed) {
		return fmt.Errorf("install the boot loader: it did not come to its end:\n%s", rootfs.LastLines(console.String(), 25))
	}
	return nil
}

// installed is printed by bootable.sh when it is done.
const installed = "hlplay: the boot loader is installed"

// memory is the default of Options.Memory.
const memory = 1024

// emulation returns the QEMU arguments for a processor and memory in MiB, with no default devices.
func emulation(memory int) []string {
	return []string{"-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(memory)}
}

// only returns the single path that matches a pattern.
func only(pattern string) (string, error) {
	paths, err := filepath.Glob(pattern)
	if err == nil && len(paths) != 1 {
		err = fmt.Errorf("%d files match %s, expected one", len(paths), pattern)
	}
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// command runs a program. The error contains the program's output.
func command(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
