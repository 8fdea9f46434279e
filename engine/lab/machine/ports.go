package machine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Serve defines a TCP port of the machine; open reports whether something is listening on it.
func (m *Machine) Serve(port int, open func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ports, _ := m.values[portsKey{}].(map[int]func() bool)
	if ports == nil {
		ports = map[int]func() bool{}
	}
	ports = maps.Clone(ports)
	ports[port] = open
	m.values[portsKey{}] = ports
}

type portsKey struct{}

// Open reports whether something is listening on a TCP port: sshd on 22, otherwise as defined by Serve.
func (m *Machine) Open(port int) bool {
	if !m.On() {
		return false
	}
	if port == 22 {
		return m.units.Active("ssh")
	}
	ports, _ := m.Value(portsKey{}).(map[int]func() bool)
	return ports[port] != nil && ports[port]()
}

// openPorts returns the open ports in ascending order.
func (m *Machine) openPorts() []int {
	ports, _ := m.Value(portsKey{}).(map[int]func() bool)
	var open []int
	for port := range ports {
		open = append(open, port)
	}
	open = append(open, 22)
	slices.Sort(open)
	return slices.DeleteFunc(open, func(port int) bool { return !m.Open(port) })
}

// listeners maps ports of simulated nodes to the programs that listen on them.
var listeners = map[int]string{22: "sshd", 8006: "pveproxy"}

func ss(_ context.Context, c *Call) int {
	o, ok := c.options("tlnupaH46", "tcp", "listening", "numeric", "processes", "no-header")
	if !ok {
		return 2
	}
	protocol := ""
	if o.has("t", "tcp") && o.has("u") {
		protocol = "tcp   "
	}
	if !o.has("H", "no-header") {
		if protocol != "" {
			c.printf("Netid ")
		}
		c.printf("State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n")
	}
	for _, port := range c.Machine.openPorts() {
		program := ""
		if name, known := listeners[port]; known && o.has("p", "processes") && c.User == "root" {
			program = fmt.Sprintf(" users:((%q,pid=%d,fd=6))", name, 600+port%100)
		}
		c.printf("%sLISTEN 0      128          0.0.0.0:%d       0.0.0.0:*%s\n", protocol, port, program)
	}
	return 0
}

// connect tries to open a TCP connection to a port of another machine.
func (c *Call) connect(host, port string) error {
	addrs := c.Machine.Resolve(host)
	if len(addrs) == 0 {
		return plainError("Name or service not known")
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return plainError("invalid port number " + port)
	}
	to, ok := c.Machine.Reach(host)
	switch {
	case !ok:
		return plainError("No route to host")
	case to != c.Machine && !to.admits(c.Machine.sourceTo(addrs[0]), n):
		return plainError("Connection timed out")
	case !to.Open(n):
		return plainError("Connection refused")
	}
	return nil
}
