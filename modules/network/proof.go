package network

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"hlplay/modules"
)

// The length of the IPv4 and IPv6 headers, each with that of ICMP.
const (
	overhead4 = 20 + 8
	overhead6 = 40 + 8
)

// ping proves that a packet of the full size arrives unfragmented.
func ping(to netip.Addr, mtu int, whose string) modules.Proof {
	overhead := overhead4
	if to.Is6() {
		overhead = overhead6
	}
	size := mtu - overhead
	return modules.Proof{
		Summary: fmt.Sprintf("%d bytes in one packet to %s (%s)", size, to, whose),
		Argv:    []string{"ping", "-n", "-q", "-c", "1", "-W", "2", "-M", "do", "-s", strconv.Itoa(size), to.String()},
		Limit:   5 * time.Second,
	}
}
