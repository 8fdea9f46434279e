//go:build linux

// Package nspawn boots real Debian nodes for end-to-end tests: root file systems of Debian 12 with systemd and OpenSSH,
// in systemd-nspawn containers on a private network.
//
// Nothing is visible outside, and nothing is left behind, however a test ends. Network and mounts belong to namespaces
// of this process, which the kernel removes with the last process in them, and the nodes write to memory only. What
// outlives a process (the containers, their cgroups and a temporary directory) is removed by a small process that waits
// for this one to end or, if it is killed too, by the next Start.
//
// Programs that talk to the nodes must be in their network: Nodes.Start starts programs there, and Nodes.Listen opens
// listeners there. The rest of the test remains on the host's network.
//
// What is not real: the kernel is the host's, so modules are not loaded and settings outside of net.* are read-only;
// there is no boot loader. Block devices are loop devices without device-mapper.
package nspawn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hlplay/engine/lab/namespace"
	"hlplay/engine/lab/rootfs"
)

// Options configure the nodes. The zero value is three nodes, with base images in the user's cache.
type Options struct {
	// Cache is the directory for base images. Empty means $HLPLAY_E2E_CACHE or, if that is unset, hlplay in the
	// user's cache directory.
	Cache string
	// Suite is the Debian release of the nodes; empty means rootfs.Suite.
	Suite string
	// Names are the host names of the nodes; empty means node1, node2, node3. There may be up to 200, each with up to
	// 12 letters, digits and hyphens, because interfaces are named after them.
	Names []string
	// Packages are Debian packages of the nodes besides the usual ones. Each set has its own base image, in which no
	// service of these packages is started.
	Packages []string
	// Disks are the sizes, in bytes, of the block devices of each node: see Node.Disks.
	Disks []int64
	// Shared is the absolute path of a directory that all nodes share and that is initially empty. Empty means none.
	Shared string
	// Devices are host devices to share with the nodes, such as "/dev/fuse".
	Devices []string
	// SystemCalls are system calls, or groups of them such as "@keyring", that the nodes may make besides those that
	// systemd-nspawn permits (--system-call-filter). Docker needs "@keyring" and "bpf".
	SystemCalls []string
	// Log is called when something takes time: building an image, booting. It may be nil.
	Log func(format string, args ...any)
}

// The nodes' network is in a separate namespace and leads nowhere, so that its addresses cannot conflict with any
// others.
const (
	// Controller is the address of the test in the nodes' network.
	Controller = "10.77.0.1"
	subnet     = "10.77.0.0/24"
	firstNode  = 11
	bridge     = "nodes"
)

// bootLimit limits how long a node may take until its sshd answers, even on a slow machine.
const bootLimit = 5 * time.Minute

// Nodes are the booted nodes.
type Nodes struct {
	*namespace.Inside // the network and mounts of the nodes, for programs that talk to them

	// Dir holds the nodes' keys, known_hosts files and console logs; Close removes it.
	Dir string
	// List holds the nodes in the order of Options.Names.
	List []*Node

	suite   string   // the Debian release
	base    string   // directory of the base image
	devices []string // devices of the host
	calls   []string // Options.SystemCalls
	reaper  *reaper
	key     string // path of the private key for logins
	secret  string // password of the account Deploy
	closed  sync.Once
}

// Start boots the nodes and waits until the sshd of each of them answers. The first call builds the base image from the
// host's own apt sources, which takes about half a minute; later calls take seconds. Close ends the nodes, and so does
// the end of ctx while Start is running.
func Start(ctx context.Context, o Options) (_ *Nodes, err error) {
	if err := Check(); err != nil {
		return nil, err
	}
	for _, device := range o.Devices {
		if _, err := os.Stat(device); err != nil {
			return nil, fmt.Errorf("the nodes need the device %s: is its kernel module there? (modprobe %s): %w", device, filepath.Base(device), err)
		}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Suite == "" {
		o.Suite = rootfs.Suite
	}
	if len(o.Names) == 0 {
		o.Names = []string{"node1", "node2", "node3"}
	}
	if err := checkNames(o.Names); err != nil {
		return nil, err
	}
	base, err := image(ctx, o)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	n := &Nodes{suite: o.Suite, base: base, devices: o.Devices, calls: o.SystemCalls}
	if n.reaper, err = newReaper(); err != nil {
		return nil, err
	}
	n.Dir = n.reaper.dir
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.makeKey(ctx); err != nil {
		return nil, err
	}
	if n.Inside, err = namespace.Enter(); err != nil {
		return nil, err
	}
	if err := n.Bridge(ctx, bridge, bridgeAddress, Controller+"/24"); err != nil {
		return nil, err
	}
	disk, err := n.makeDisk(o.Shared != "")
	if err != nil {
		return nil, err
	}
	address := netip.MustParsePrefix(subnet).Addr().As4()
	for i, name := range o.Names {
		address[3] = byte(firstNode + i)
		node := &Node{Name: name, Address: netip.AddrFrom4(address), nodes: n, root: filepath.Join(disk, name), shared: o.Shared}
		n.List = append(n.List, node)
		if err := node.furnish(ctx, base); err != nil {
			return nil, fmt.Errorf("prepare node %s: %w", name, err)
		}
		for _, size := range o.Disks {
			if err := node.addDisk(size); err != nil {
				return nil, err
			}
		}
		if err := node.boot(); err != nil {
			return nil, fmt.Errorf("boot node %s: %w", name, err)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for _, node := range n.List {
		if err := node.WaitUp(bounded); err != nil {
			return nil, err
		}
	}
	o.Log("%d nodes are up after %s", len(n.List), time.Since(began).Round(10*time.Millisecond))
	return n, nil
}

// Close kills the nodes, like pulling the plug, and removes everything that was created for them except the base image.
// It may be called more than once.
func (n *Nodes) Close() (err error) {
	n.closed.Do(func() {
		for _, node := range n.List {
			err = errors.Join(err, node.kill())
			for _, disk := range node.disks {
				err = errors.Join(err, disk.Close())
			}
		}
		if n.Inside != nil {
			n.Leave()
		}
		err = errors.Join(err, n.reaper.finish())
	})
	return err
}

// Node returns the node with a name.
func (n *Nodes) Node(name string) *Node {
	for _, node := range n.List {
		if node.Name == name {
			return node
		}
	}
	return nil
}

func checkNames(names []string) error {
	if len(names) > 200 {
		return fmt.Errorf("%d nodes: at most 200 have addresses in %s", len(names), subnet)
	}
	seen := map[string]bool{}
	for _, name := range names {
		if !validName.MatchString(name) || seen[name] {
			return fmt.Errorf("node name %q: expected at most 12 small letters, digits and hyphens, each name once", name)
		}
		seen[name] = true
	}
	return nil
}
