//go:build linux

package nspawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loopTries is how often a free loop device is requested: another process may take the device between the request and
// its use.
const loopTries = 20

// addDisk adds a block device of the given size in bytes to a node that has not been booted yet. The device is in
// memory, allocated as it is written, and survives a reboot of the node.
func (node *Node) addDisk(size int64) error {
	loop, err := attachLoop(node.Name, size)
	if err != nil {
		return fmt.Errorf("disk of node %s: %w", node.Name, err)
	}
	node.disks = append(node.disks, loop)
	var stat unix.Stat_t
	if err := unix.Fstat(int(loop.Fd()), &stat); err != nil {
		return fmt.Errorf("disk of node %s: %w", node.Name, err)
	}
	// The node gets its own device file, so that changing its owner or mode does not affect the host's.
	device := node.device(loop)
	return node.nodes.Do(func() error {
		if err := unix.Mknod(device, unix.S_IFBLK|0o660, int(stat.Rdev)); err != nil {
			return fmt.Errorf("device file %s: %w", device, err)
		}
		return nil
	})
}

// device returns the path of the node's own device file of a disk, in the nodes' mount namespace.
func (node *Node) device(loop *os.File) string { return node.root + "." + filepath.Base(loop.Name()) }

// Disks returns the paths of the node's block devices on the node, such as /dev/loop3. As /sys is the host's, lsblk(8)
// lists the host's devices too. A device is free again when the nodes are gone. If all devices were in use, the kernel
// created another one, which remains.
func (node *Node) Disks() []string {
	var paths []string
	for _, loop := range node.disks {
		paths = append(paths, loop.Name())
	}
	return paths
}

// attachLoop attaches a loop device to memory. The kernel detaches it when the last process that has it open, this
// one or one of the node's, is gone (LO_FLAGS_AUTOCLEAR, loop(4)).
func attachLoop(name string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate("disk of "+name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, size); err != nil {
		return nil, fmt.Errorf("memory of %d bytes: %w", size, err)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (on Debian: modprobe loop)", err)
	}
	defer control.Close()
	for range loopTries {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("a free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(fd), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, fmt.Errorf("each of %d free loop devices was taken by somebody else", loopTries)
}
