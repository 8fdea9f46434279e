package machine

import (
	"context"
	"strconv"
	"time"
)

func networkPrograms() map[string]Program {
	return map[string]Program{"ip": ipProgram, "/usr/sbin/ip": ipProgram, "ping": ping, "ss": ss, "curl": curl, "wget": wget, "/usr/sbin/ifreload": accept("", ""),
		"/usr/sbin/ifup": accept("", ""), "openssl": openssl}
}

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
	count, err := strconv.Atoi(cmpOr(o.value("c", "count"), "4"))
	if err != nil || count < 1 {
		return c.Errorf("invalid argument: '%s'", o.value("c", "count"))
	}
	c.printf("PING %s (%s) 56(84) bytes of data.\n", target, addrs[0])
	_, reached := c.Machine.Reach(addrs[0].String())
	got := 0
	for i := range count {
		if reached {
			got++
			if !o.has("q") {
				c.printf("64 bytes from %s: icmp_seq=%d ttl=64 time=0.321 ms\n", addrs[0], i+1)
			}
		}
		if i+1 < count && !c.Spend(time.Second) {
			return 130
		}
	}
	if !reached {
		c.Spend(time.Second)
	}
	c.printf("\n--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss, time %dms\n", target, count, got, (count-got)*100/count, (count-1)*1000)
	if got == 0 {
		return 1
	}
	return 0
}
