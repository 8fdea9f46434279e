package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// forwards decodes an object of port forwards.
func (d *decoder) forwards(attr *hclsyntax.Attribute) map[int]string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	const want = `an object of ports and where the controller reaches them, such as { "8006" = "192.0.2.1:18006" }`
	if !value.Type().IsObjectType() {
		d.wrongType(attr, want, value)
		return nil
	}
	all := map[int]string{}
	for name, to := range value.AsValueMap() {
		port, ok := tcpPort(name)
		if !ok {
			d.errorf(attr.Expr.Range(), "No such port", "%q is not a TCP port; write %s.", name, want)
			continue
		}
		if to.IsNull() || to.Type() != cty.String {
			d.wrongType(attr, want, to)
			continue
		}
		host, at, err := net.SplitHostPort(to.AsString())
		if _, valid := tcpPort(at); err != nil || !valid || addressProblem(host) != "" {
			d.errorf(attr.Expr.Range(), "Unusable forward", "Port %d leads to %q, which is not ADDRESS:PORT; write %s.", port, to.AsString(), want)
			continue
		}
		all[port] = to.AsString()
	}
	return all
}

func tcpPort(text string) (port int, ok bool) {
	port, err := strconv.Atoi(text)
	return port, err == nil && port > 0 && port <= 65535
}

func forwardsValue(forwards map[int]string) cty.Value {
	all := make(map[string]cty.Value, len(forwards))
	for port, to := range forwards {
		all[strconv.Itoa(port)] = cty.StringVal(to)
	}
	return cty.ObjectVal(all)
}

// Dialer returns a function with which the controller connects to a TCP address. For a forwarded port of a host, it
// connects to the address in Forwards. If simulated is set, it connects to nothing else: a rehearsal must not reach
// real machines.
func Dialer(hosts []*Host, simulated bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	forwarded := map[string]string{}
	for _, h := range hosts {
		for port, to := range h.Forwards {
			for _, name := range []string{h.Name, h.Address} {
				forwarded[endpointOf(name, port)] = to
			}
		}
	}
	var dialer net.Dialer
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		name, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		number, _ := tcpPort(port) // no forwarded port
		to, ok := forwarded[endpointOf(name, number)]
		switch {
		case ok:
			return dialer.DialContext(ctx, network, to)
		case simulated:
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("a rehearsal reaches simulated nodes alone, at ports 80 and 8006")}
		}
		return dialer.DialContext(ctx, network, address)
	}
}

func endpointOf(host string, port int) string {
	return fmt.Sprintf("%s %d", strings.ToLower(host), port)
}
