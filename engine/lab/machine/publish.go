package machine

import (
	"context"
	"fmt"
	"net"
)

// Publish makes a TCP port of the machine reachable from outside the lab, at the address that it returns, until ctx
// ends. Connections are reset if nothing listens on the port, nftables rejects them or the machine is cut off. serve
// serves a listener until that is closed.
func (m *Machine) Publish(ctx context.Context, port int, serve func(net.Listener) error) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("port %d of machine %s cannot be published: %w", port, m.name, err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() }) // the listener is not used any more
	go func() {
		_ = serve(&gate{listener, func() bool { return m.Open(port) && m.connected() && m.admits(m.controller(), port) }})
	}()
	return listener.Addr(), nil
}

// gate is a listener that resets connections while the port is closed.
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
			_ = tcp.SetLinger(0) // the connection is to be reset, whatever happens
		}
		_ = conn.Close()
	}
}
