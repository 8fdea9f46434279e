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

// packages lists what a machine has besides the essential packages: a Debian server with its kernel, ifupdown2 and
// disk tools.
var packages = []string{
	"apt", "btrfs-progs", "ca-certificates", "cron", "dbus", "debconf", "e2fsprogs", "ethtool", "ifupdown2", "init", "initramfs-tools",
	"iproute2", "iputils-ping", "kmod", "libpam-systemd", "linux-image-cloud-amd64", "lvm2", "mdadm", "openssh-server", "pci.ids", "pciutils", "procps",
	"systemd-sysv", "tzdata", "udev",
}

// recipe turns a fresh root file system ($1) into that of a machine. It runs once per image.
//
//go:embed recipe.sh
var recipe string

// The inits of an image's first boot, which install its boot loader.
var (
	//go:embed bootable.sh
	bootable string
	//go:embed bootable-efi.sh
	bootableEFI string
)

// firmware is what depends on how a machine boots.
type firmware struct {
	packages []string
	init     string // of the image's first boot
	table    string // the system disk's partitions, for sfdisk
	root     int    // the number of the root partition
	// start and end are where the root partition starts and ends, in MiB.
	start, end int
	args       []string // of QEMU
}

// ovmf precedes the names of the files with UEFI firmware.
const ovmf = "/usr/share/OVMF/OVMF_"

var (
	// GRUB is installed in the space before the root partition.
	bios = firmware{
		packages: []string{"grub-pc"}, init: bootable,
		table: "label: dos\nstart=1MiB, type=83, bootable\n", root: 1, start: 1, end: systemMiB,
	}
	// The last MiB has the second copy of the partition table.
	uefi = firmware{
		packages: []string{"dosfstools", "systemd-boot"}, init: bootableEFI,
		table: "label: gpt\nstart=1MiB, size=255MiB, type=uefi\nstart=256MiB, type=linux\n", root: 2, start: 256, end: systemMiB - 1,
		args: []string{
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + ovmf + "CODE_4M.fd",
			"-drive", "if=pflash,unit=1,format=raw,snapshot=on,file=" + ovmf + "VARS_4M.fd",
		},
	}
)

// firmware returns that of the machines.
func (o Options) firmware() firmware {
	if o.UEFI {
		return uefi
	}
	return bios
}

// systemMiB is the size of the system disk.
const systemMiB = 3 << 10

// installLimit limits the boot that installs the boot loader.
const installLimit = 20 * time.Minute

// image returns the path of a bootable disk image, building it if it is not cached.
func image(ctx context.Context, o Options) (string, error) {
	cache, err := rootfs.CacheDir("")
	if err != nil {
		return "", err
	}
	f := o.firmware()
	all := slices.Concat(packages, f.packages, o.Packages)
	ingredients := []string{rootfs.Suite, strings.Join(all, ","), recipe, f.init, f.table}
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
		if err := makeBootable(ctx, path, root, f); err != nil {
			return err
		}
		o.Log("the image took %s", time.Since(began).Round(time.Second))
		return nil
	})
}

// makeBootable turns a root file system into a disk image and boots it once, with QEMU's own loader, to install the boot
// loader.
func makeBootable(ctx context.Context, path, root string, f firmware) error {
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
	if err := os.WriteFile(filepath.Join(root, "bootable"), []byte(f.init), 0o755); err != nil {
		return err
	}
	disk, err := os.Create(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.Truncate(systemMiB << 20); err != nil {
		return err
	}
	if err := command(ctx, f.table, "sfdisk", "-q", path); err != nil {
		return err
	}
	size := fmt.Sprintf("%dM", f.end-f.start)
	if err := command(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-E", fmt.Sprintf("offset=%d", f.start<<20), "-d", root, path, size); err != nil {
		return err
	}
	console := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(emulation(memory),
		"-no-reboot", "-serial", "stdio", "-monitor", "none", "-kernel", kernel, "-initrd", initrd,
		"-append", fmt.Sprintf("root=/dev/vda%d rw console=ttyS0 net.ifnames=0 no_timer_check quiet panic=1 init=/bootable", f.root),
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

// installed is printed by these inits when they are done.
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
