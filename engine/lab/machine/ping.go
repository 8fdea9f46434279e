package machine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

func ping(_ context.Context, c *Call) int {
	o, ok := c.options("c:W:w:i:qn46I:s:M:", "count=")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("usage error: Destination address required")
	}
	target := o.rest[0]
	addrs := c.Machine.Resolve(target)
	if len(addrs) == 0 {
		c.Errorf("%s: Name or service not known", target)
		return 2
	}
	count, err := strconv.Atoi(cmp.Or(o.value("c", "count"), "4"))
	if err != nil || count < 1 {
		return c.Errorf("invalid argument: '%s'", o.value("c", "count"))
	}
	size, err := strconv.Atoi(cmp.Or(o.value("s"), "56"))
	if err != nil || size < 0 {
		return c.Errorf("invalid argument: '%s'", o.value("s"))
	}
	header := 28
	if addrs[0].Is6() {
		header = 48
	}
	c.printf("PING %s (%s) %d(%d) bytes of data.\n", target, addrs[0], size, size+header)
	to, reached := c.Machine.Reach(addrs[0].String())
	if !reached { // a router is outside the lab and accepts any size
		reached = slices.ContainsFunc(c.Machine.routes(), func(r kernelRoute) bool { return r.Dst == "default" && r.Gateway == addrs[0].String() }) && c.Machine.sends(addrs[0])
	}
	if o.value("M") == "do" && reached {
		own, other := c.Machine.mtuTo(addrs[0]), 1500
		if to != nil {
			other = to.mtuTo(addrs[0])
		}
		if size+header > own {
			fmt.Fprintf(c.Stderr, "ping: local error: message too long, mtu=%d\n", own)
		}
		reached = size+header <= min(own, other)
	}
	interval, err := strconv.ParseFloat(cmp.Or(o.value("i"), "1"), 64)
	if err != nil || interval < 0.002 {
		return c.Errorf("bad timing interval: '%s'", o.value("i"))
	}
	pause := time.Duration(interval * float64(time.Second))
	got := 0
	for i := range count {
		if reached {
			got++
			if !o.has("q") {
				c.printf("64 bytes from %s: icmp_seq=%d ttl=64 time=0.321 ms\n", addrs[0], i+1)
			}
		}
		if i+1 < count && !c.Spend(pause) {
			return 130
		}
	}
	if !reached {
		c.Spend(time.Second)
	}
	c.printf("\n--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss, time %dms\n", target, count, got, (count-got)*100/count, time.Duration(count-1)*pause/time.Millisecond)
	if got == 0 {
		c.printf("\n")
		return 1
	}
	c.printf("rtt min/avg/max/mdev = 0.301/0.321/0.344/0.017 ms\n")
	return 0
}

// mtuTo returns the MTU of the interface that has an address or through which the address is reached.
func (m *Machine) mtuTo(to netip.Addr) int {
	for _, i := range m.interfaces() {
		for _, a := range i.Addrs {
			if p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", a.Local, a.Prefix)); err == nil && p.Contains(to) {
				return i.MTU
			}
		}
	}
	return 1500
}
