package machine

import (
	"context"
	"fmt"
	"net"
)

// Publish makes a TCP port of the machine reachable from outside of the lab, at the address that it returns, until ctx ends.
// If nothing listens on the port, nftables does not admit it or the machine is cut off, connections are reset. serve serves a
// listener until that is closed.
func (m *Machine) Publish(ctx context.Context, port int, serve func(net.Listener) error) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("port %d of machine %s cannot be published: %w", port, m.name, err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() }) // nothing depends on the listener any more
	go func() {
		_ = serve(&gate{listener, func() bool { return m.Open(port) && m.connected() && m.admits(m.controller(), port) }})
	}()
	return listener.Addr(), nil
}

// gate is a listener that resets connections while it is not open.
type gate struct {
	net.Listener
	open func() bool
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || g.open() {
			return conn, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset is all that is wanted, and so is closing
		}
		_ = conn.Close()
	}
}
