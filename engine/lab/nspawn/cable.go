//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxFrame is the size of the largest segment that the kernel passes to a virtual interface (64 KiB) with its
// headers.
const maxFrame = 1<<16 + 256

// framesInFlight limits how many frames a cable holds in one direction.
const framesInFlight = 4096

// LengthenCable replaces the node's network cable by one that is long enough for a round trip to take rtt: every frame
// is delayed by half of that in each direction. Unlike a proxy, it leaves TCP between the two ends alone:
// acknowledgements, Nagle's algorithm and slow start. The cable stays until the node reboots or the nodes are closed.
func (node *Node) LengthenCable(ctx context.Context, rtt time.Duration) error {
	n := node.nodes
	// The node's end stays as it is; in its place, one end of another pair is plugged into the bridge, and carry
	// moves the frames between the other end and the node's.
	near, far := "vn-"+node.Name, "vf-"+node.Name
	for _, args := range [][]string{
		{"link", "set", node.plug(), "nomaster"},
		{"link", "add", near, "type", "veth", "peer", "name", far},
		{"link", "set", near, "master", bridge, "up"},
		{"link", "set", far, "up"},
	} {
		if err := n.IP(ctx, args...); err != nil {
			return err
		}
	}
	var ends [2]*os.File
	err := n.Do(func() (err error) {
		for i, name := range []string{node.plug(), far} {
			if ends[i], err = openInterface(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("long cable of node %s: %w", node.Name, err)
	}
	go carry(ends[0], ends[1], rtt/2)
	go carry(ends[1], ends[0], rtt/2)
	return nil
}

// openInterface opens a raw socket (packet(7)) for the frames that an interface receives and sends. Each frame starts
// with a virtio_net_hdr, which lists the work that the sender left to the hardware: checksums and segmentation.
func openInterface(name string) (*os.File, error) {
	card, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8) // in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: card.Index}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket of %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carry moves frames from one interface to another, delaying each by hold, until one of them is gone.
func carry(from, to *os.File, hold time.Duration) {
	type frame struct {
		bytes []byte
		due   time.Time
	}
	way := make(chan frame, framesInFlight)
	go func() {
		for f := range way {
			time.Sleep(time.Until(f.due))
			to.Write(f.bytes) // ignore errors: a cable loses frames silently, and TCP retransmits them
		}
		to.Close()
	}()
	defer close(way)
	buffer := make([]byte, maxFrame)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case way <- frame{append([]byte(nil), buffer[:n]...), time.Now().Add(hold)}:
		default: // the cable is full: drop the frame
		}
	}
}
