package machine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// iperfPackage is iperf3, which measures the speed of the network cards.
func iperfPackage(version string) Package {
	return Package{Name: "iperf3", Version: version, Component: "main", Programs: map[string]Program{"iperf3": iperf3}}
}

// iperf3 serves one measurement in the background (-s -1 -D), or measures (-c).
func iperf3(_ context.Context, c *Call) int {
	o, ok := c.options("s1Dc:B:p:t:O:P:f:", "idle-timeout=")
	if !ok {
		return 1
	}
	port, err := strconv.Atoi(cmp.Or(o.value("p"), "5201"))
	if err != nil {
		return iperfError(c, "bad port number")
	}
	switch {
	case o.has("s") && o.has("1") && o.has("D"):
		c.Machine.Serve(port, func() bool { return true }) // in the background it reports no errors
		return 0
	case o.has("c"):
		return c.measure(o, port)
	}
	return notSimulated(c, "anything but -s -1 -D, and -c")
}

func iperfError(c *Call, text string) int {
	fmt.Fprintf(c.Stderr, "iperf3: error - %s\niperf3: exiting\n", text)
	return 1
}

func (c *Call) measure(o options, port int) int {
	target := o.value("c")
	if err := c.connect(target, strconv.Itoa(port)); err != nil {
		return iperfError(c, "unable to connect to server: "+err.Error())
	}
	to, _ := c.Machine.Reach(target)
	streams, err := strconv.Atoi(cmp.Or(o.value("P"), "1"))
	if err != nil || streams < 1 || streams > 128 {
		return iperfError(c, "number of parallel streams too large (maximum = 128)")
	}
	seconds, err := strconv.Atoi(cmp.Or(o.value("t"), "10"))
	if err != nil || o.value("f") != "m" {
		return notSimulated(c, "anything but whole seconds, and -f m")
	}
	omitted, _ := strconv.Atoi(cmp.Or(o.value("O"), "0"))
	if !c.Spend(time.Duration(seconds+omitted) * time.Second) {
		return 130
	}
	to.Serve(port, func() bool { return false })
	address := c.Machine.Resolve(target)[0]
	rate := min(c.Machine.speedTo(address), to.speedTo(address)) * 94 / 100 // what TCP's headers leave
	c.printf("Connecting to host %s, port %d\n", target, port)
	c.printf("- - - - - - - - - - - - - - - - - - - - - - - - -\n[ ID] Interval           Transfer     Bitrate         Retr\n")
	line := func(id string, rate int) {
		transfer := float64(rate) * float64(seconds) / 8 / 1.048576 / 1000
		c.printf("[%3s]   0.00-%d.00   sec  %.2f GBytes  %d Mbits/sec    0             sender\n", id, seconds, transfer, rate)
		c.printf("[%3s]   0.00-%d.00   sec  %.2f GBytes  %d Mbits/sec                  receiver\n", id, seconds, transfer, rate)
	}
	for i := range streams {
		line(strconv.Itoa(5+2*i), rate/streams)
	}
	if streams > 1 {
		line("SUM", rate)
	}
	c.printf("\niperf Done.\n")
	return 0
}

// speedTo returns the speed in Mbit/s of the interface that has an address or through which the address is reached.
func (m *Machine) speedTo(to netip.Addr) int {
	for _, i := range m.interfaces() {
		for _, a := range i.Addrs {
			if p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", a.Local, a.Prefix)); err == nil && p.Contains(to) {
				if n, err := strconv.Atoi(strings.Join(m.lines("/sys/class/net/"+i.Name+"/speed"), "")); err == nil {
					return n
				}
			}
		}
	}
	return 10000
}
