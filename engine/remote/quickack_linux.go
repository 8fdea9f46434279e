package remote

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck returns a function that acknowledges the bytes c has received. It does nothing if c is not a TCP connection.
func quickAck(c net.Conn) func() {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	var raw syscall.RawConn
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	return func() {
		// Best effort: without it, connections are only slower.
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
}
