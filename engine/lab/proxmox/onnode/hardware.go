//go:build linux

package onnode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/machine"
	"hlplay/engine/observe"
)

const (
	osRelease = "/proc/sys/kernel/osrelease"
	// DisksFile lists a machine's disks other than the system disk, as machine.Disk.
	DisksFile = "/var/lib/proxmox-lab/disks.json"
	memory    = "/run/proxmox-lab" // cleared at boot

	loadedModules = "/sys/module"
)

// settings are kernel settings that a container cannot change, with the kernel's defaults.
var settings = map[string]string{"vm/swappiness": "60\n", "fs/aio-max-nr": "65536\n"}

// Hardware stands in for what a machine in a container lacks. It runs at every boot.
//
//   - The boot loader: the release of the newest kernel in /boot is mounted over /proc/sys/kernel/osrelease.
//   - Modules: /sys/module is replaced by a directory in which the stand-in for modprobe creates one per module, and
//     /proc/modules is empty (a kernel that was built without modules has none).
//   - Settings outside of net.*, which belong to the host: files with the kernel's defaults are mounted over them.
//   - Disks: links for those in DisksFile. There is no device behind them; the stand-in for lsblk reports what is on
//     them.
func Hardware() error {
	kernels, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil {
		return err
	}
	if len(kernels) == 0 {
		return errors.New("/boot has no kernel (vmlinuz-RELEASE)")
	}
	for i := range kernels {
		kernels[i] = strings.TrimPrefix(kernels[i], "/boot/vmlinuz-")
	}
	observe.SortReleases(kernels)
	files := map[string]string{osRelease: kernels[len(kernels)-1] + "\n"}
	if _, err := os.Stat("/proc/modules"); err == nil {
		files["/proc/modules"] = ""
	}
	if err := makeModuleList(); err != nil {
		return err
	}
	for name, value := range settings {
		files["/proc/sys/"+name] = value
	}
	for over, content := range files {
		file := filepath.Join(memory, over)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, over, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", over, err)
		}
	}
	disks, err := readDisks()
	if err != nil {
		return err
	}
	for _, d := range disks {
		link := DiskLink(d)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../../"+d.Name, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// makeModuleList mounts an empty loadedModules. systemd-nspawn gives a container a read-only /sys with few directories.
func makeModuleList() error {
	const sys, flags = "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if _, err := os.Stat(loadedModules); errors.Is(err, fs.ErrNotExist) {
		if err := unix.Mount("", sys, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			return fmt.Errorf("make %s writable: %w", sys, err)
		}
		err := os.Mkdir(loadedModules, 0o755)
		if err := errors.Join(err, unix.Mount("", sys, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", loadedModules, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount over %s: %w", loadedModules, err)
	}
	return nil
}

// DiskLink returns the stable path of a disk, as udev creates it for a SATA disk.
func DiskLink(d machine.Disk) string { return "/dev/disk/by-id/ata-" + d.Model + "_" + d.Serial }

func writeDisks(disks []machine.Disk) error {
	text, err := json.Marshal(disks)
	if err != nil {
		return err
	}
	if err := os.WriteFile(DisksFile+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(DisksFile+".new", DisksFile)
}

func readDisks() (disks []machine.Disk, err error) {
	text, err := os.ReadFile(DisksFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &disks); err != nil {
		return nil, fmt.Errorf("%s: %w", DisksFile, err)
	}
	return disks, nil
}

// Lsblk runs the rehearsal's lsblk on this machine's disks.
func Lsblk(ctx context.Context, argv []string, stdout, stderr io.Writer) int {
	disks, err := readDisks()
	if err != nil {
		fmt.Fprintln(stderr, "lsblk:", err)
		return 1
	}
	return machine.New(machine.Config{Name: "lsblk", Disks: disks}).Console(ctx, stdout, stderr, argv...)
}

// Uname implements uname(1), with the release of the kernel that Hardware has booted.
func Uname(args []string, stdout, stderr io.Writer) int {
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		fmt.Fprintln(stderr, "uname:", err)
		return 1
	}
	running, err := os.ReadFile(osRelease)
	if err != nil {
		fmt.Fprintln(stderr, "uname:", err)
		return 1
	}
	cmd := exec.Command("/bin/uname", args...)
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(stderr, "uname:", err)
		return 1
	}
	stdout.Write(bytes.Replace(out, []byte(unix.ByteSliceToString(host.Release[:])), bytes.TrimSpace(running), 1))
	return cmd.ProcessState.ExitCode()
}

// Modprobe implements modprobe(8) for module names. It loads modules that the kernel has.
func Modprobe(names []string, stderr io.Writer) int {
	release, err := os.ReadFile(osRelease)
	if err != nil {
		fmt.Fprintln(stderr, "modprobe:", err)
		return 1
	}
	dir := "/lib/modules/" + strings.TrimSpace(string(release))
	known, err := os.ReadFile(dir + "/modules.dep")
	if err != nil {
		fmt.Fprintln(stderr, "modprobe: FATAL:", err)
		return 1
	}
	for _, name := range names {
		has := slices.ContainsFunc(strings.Split(string(known), "\n"), func(line string) bool {
			file, _, _ := strings.Cut(line, ":")
			return observe.ModuleName(strings.TrimSuffix(filepath.Base(file), ".ko")) == observe.ModuleName(name)
		})
		if !has {
			fmt.Fprintf(stderr, "modprobe: FATAL: Module %s not found in directory %s\n", name, dir)
			return 1
		}
		if err := os.Mkdir(filepath.Join(loadedModules, observe.ModuleName(name)), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			fmt.Fprintln(stderr, "modprobe:", err)
			return 1
		}
	}
	return 0
}
