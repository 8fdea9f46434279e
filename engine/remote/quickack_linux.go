package remote

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck returns what acknowledges the bytes that c has received; nothing for what is not TCP.
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
		// Without it everything works, only later.
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
}
