package machine

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxForwards limits the open connections of a client through a machine. sshd has no such limit; the lab has one so that
// no client makes it run out of memory.
const maxForwards = 64

// forward connects a client to another machine's sshd, as for ProxyJump (RFC 4254, 7.2). Nothing else is forwarded:
// other ports of simulated machines have no listeners.
func (m *Machine) forward(ctx context.Context, nc ssh.NewChannel) {
	var want struct {
		Host       string
		Port       uint32
		Originator string
		From       uint32
	}
	if ssh.Unmarshal(nc.ExtraData(), &want) != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	m.server.mu.Lock()
	allowed := m.server.config.forwards()
	m.server.mu.Unlock()
	if !allowed {
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	to, at, problem := m.connect(want.Host, int(want.Port))
	if problem != "" {
		_ = nc.Reject(ssh.ConnectionFailed, problem)
		return
	}
	channel, requests, err := nc.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	near, far := net.Pipe()
	var both sync.WaitGroup
	go to.serve(ctx, far, m.sourceTo(at), at) // until its programs have ended, which may outlive this connection
	both.Go(func() {
		_, _ = io.Copy(near, channel) // ends with the client or the other machine, like the copy below
		_ = near.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(channel, near)
		_ = channel.Close()
	})
	both.Wait()
}

// connect returns the machine that has a name or address and listens on a port, and its address. problem is what
// connect(2) would report if there is none. The name is resolved on this machine.
func (m *Machine) connect(name string, port int) (to *Machine, at netip.Addr, problem string) {
	problem = "Name or service not known"
	for _, a := range m.Resolve(name) {
		reached, ok := m.reachAt(a)
		switch {
		case !ok:
			problem = "No route to host"
		case port != 22 || !reached.Open(port):
			problem = "Connection refused"
		default:
			return reached, a, ""
		}
	}
	return nil, netip.Addr{}, problem
}
