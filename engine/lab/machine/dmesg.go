package machine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// kernelMessage is an entry in the kernel's ring buffer, with the time since boot.
type kernelMessage struct {
	at   time.Duration
	text string
}

// kernelLog returns the kernel's messages at boot: its command line, the IOMMU and the names of the network cards. The
// messages about Intel's IOMMU are those of Linux 6.8.
func (m *Machine) kernelLog() []kernelMessage {
	m.mu.Lock()
	kernel, line, cards := m.kernel, m.cmdline, m.cards
	m.mu.Unlock()
	var all []kernelMessage
	say := func(microseconds int, format string, args ...any) {
		all = append(all, kernelMessage{time.Duration(microseconds) * time.Microsecond, fmt.Sprintf(format, args...)})
	}
	words := strings.Fields(line)
	say(0, "Linux version %s (build@lab) #1 SMP PREEMPT_DYNAMIC", kernel)
	say(0, "Command line: %s", line)
	if m.iommu {
		say(8213, "ACPI: DMAR 0x0000000079F0E000 0000C8 (v01 INTEL  EDK2     00000002      01000013)")
	}
	if slices.Contains(words, "intel_iommu=on") { // printed before it looks for an IOMMU
		say(34107, "DMAR: IOMMU enabled")
	}
	if m.iommu {
		say(86541, "DMAR: Host address width 39")
		say(86543, "DMAR: DRHD base: 0x000000fed91000 flags: 0x1")
		say(86549, "DMAR: dmar0: reg_base_addr fed91000 ver 1:0 cap d2008c40660462 ecap f050da")
	}
	if m.iommuOn() {
		say(86553, "DMAR-IR: IOAPIC id 2 under DRHD base  0xfed91000 IOMMU 0")
		say(86555, "DMAR-IR: Queued invalidation will be enabled to support x2apic and Intr-remapping.")
		say(88012, "DMAR-IR: Enabled IRQ remapping in x2apic mode")
		domains := "Translated"
		if slices.Contains(words, "iommu=pt") {
			domains = "Passthrough (set via kernel command line)"
		}
		say(412007, "iommu: Default domain type: %s", domains)
		for i, d := range m.pci {
			say(453110+i*14, "pci %s: Adding to iommu group %d", d.Address, d.Group)
		}
		say(462883, "DMAR: Intel(R) Virtualization Technology for Directed I/O")
	}
	for i, name := range cards {
		say(1903411+i*1207, "virtio_net virtio%d %s: renamed from eth%d", i+1, name, i)
	}
	return all
}

// dmesg prints the kernel's messages, as util-linux does when the output is not a terminal.
func dmesg(_ context.Context, c *Call) int {
	o, ok := c.options("tTk", "notime", "ctime", "kernel")
	if !ok {
		return 1
	}
	if len(o.rest) > 0 {
		fmt.Fprintf(c.Stderr, "dmesg: bad usage\nTry 'dmesg --help' for more information.\n")
		return 1
	}
	if lines := c.Machine.lines("/proc/sys/kernel/dmesg_restrict"); c.User != "root" && slices.Equal(lines, []string{"1"}) {
		fmt.Fprintf(c.Stderr, "dmesg: read kernel buffer failed: Operation not permitted\n")
		return 1
	}
	c.Machine.mu.Lock()
	booted := c.Machine.bootedAt
	c.Machine.mu.Unlock()
	for _, k := range c.Machine.kernelLog() {
		switch {
		case o.has("t", "notime"):
			c.printf("%s\n", k.text)
		case o.has("T", "ctime"):
			c.printf("[%s] %s\n", booted.Add(k.at).Format("Mon Jan _2 15:04:05 2006"), k.text)
		default:
			c.printf("[%12.6f] %s\n", k.at.Seconds(), k.text)
		}
	}
	return 0
}
