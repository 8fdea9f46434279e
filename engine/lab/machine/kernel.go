package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

func buildProc(t *tree) {
	for name, value := range kernelSettings {
		t.file(settingPath(name), 0o644, value+"\n")
	}
	for _, name := range []string{"net.ipv4.route.flush", "vm.compact_memory", "vm.drop_caches"} {
		t.file(settingPath(name), 0o200, "")
	}
	t.own(settingPath("net.ipv4.tcp_available_congestion_control")).mode = 0o444
	for file, read := range map[string]func(m *Machine) string{
		"/proc/sys/kernel/random/boot_id": (*Machine).BootID,
		"/proc/sys/kernel/osrelease":      (*Machine).KernelRelease,
		"/proc/sys/kernel/hostname":       (*Machine).Name,
		"/proc/sys/kernel/ostype":         func(*Machine) string { return "Linux" },
		"/proc/sys/kernel/random/uuid":    func(*Machine) string { return newUUID() },
		"/proc/uptime": func(m *Machine) string {
			up := m.Uptime().Seconds()
			return fmt.Sprintf("%.2f %.2f", up, up*float64(m.cpus))
		},
		"/proc/loadavg": func(*Machine) string { return "0.08 0.03 0.01 1/142 1042" },
		"/proc/version": func(m *Machine) string {
			return "Linux version " + m.KernelRelease() + " (build@lab) #1 SMP PREEMPT_DYNAMIC"
		},
		"/proc/cmdline": func(m *Machine) string {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.cmdline
		},
		"/proc/meminfo": func(m *Machine) string {
			kb := m.memory / 1024
			return fmt.Sprintf("MemTotal:       %8d kB\nMemFree:        %8d kB\nMemAvailable:   %8d kB\nSwapTotal:       1048572 kB\nSwapFree:        1048572 kB", kb, kb*8/10, kb*9/10)
		},
		"/proc/cpuinfo":     (*Machine).cpuinfo,
		"/proc/interrupts":  (*Machine).interrupts,
		"/proc/filesystems": func(*Machine) string { return "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n\text4\n\tvfat\nnodev\tfuse" },
	} {
		t.computed(file, 0o444, func(m *Machine) []byte { return []byte(read(m) + "\n") })
	}
	t.computed("/proc/modules", 0o444, func(m *Machine) []byte {
		var b strings.Builder
		for _, name := range m.Modules() {
			fmt.Fprintf(&b, "%s 16384 0 - Live 0x0000000000000000\n", name)
		}
		return []byte(b.String())
	})
	mounts := func(m *Machine) []byte { return []byte(m.mountTable()) }
	t.computed("/proc/mounts", 0o444, mounts)
	t.computed("/proc/self/mounts", 0o444, mounts)
	t.computed("/proc/self/cgroup", 0o444, func(*Machine) []byte { return []byte("0::/user.slice\n") })
	// No process has a parent, or a signal that it has yet to take.
	t.computed("/proc/self/status", 0o444, func(*Machine) []byte {
		return []byte("Name:\tsh\nPPid:\t0\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n")
	})
	t.file("/sys/module/kvm_intel/parameters/nested", 0o444, "Y\n")
	t.file("/sys/kernel/mm/transparent_hugepage/enabled", 0o644, "always [madvise] never\n")
	t.file("/sys/hypervisor/type", 0o444, "")
	t.file("/sys/class/dmi/id/sys_vendor", 0o444, "QEMU\n")
	t.file("/sys/class/dmi/id/product_name", 0o444, "Standard PC (Q35 + ICH9, 2009)\n")
	t.mkdirAll("/sys/block", 0o755)
	t.mkdirAll("/sys/fs/cgroup", 0o755)
}

// kernelOwned reports whether only the kernel can create and remove files at a path.
func (m *Machine) kernelOwned(p string) bool {
	return strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/")
}

// interrupts returns /proc/interrupts, with "IR-" before a controller's name if the IOMMU remaps its interrupts.
func (m *Machine) interrupts() string {
	remapped := ""
	if m.iommuOn() {
		remapped = "IR-"
	}
	var b strings.Builder
	fmt.Fprint(&b, "    ")
	for i := range m.cpus {
		fmt.Fprintf(&b, "%11s", fmt.Sprintf("CPU%d", i))
	}
	row := func(name, controller string) {
		fmt.Fprintf(&b, "\n%3s:", name)
		for range m.cpus {
			fmt.Fprintf(&b, "%11d", 0)
		}
		fmt.Fprintf(&b, "  %s", controller)
	}
	row("9", remapped+"IO-APIC   9-fasteoi   acpi")
	row("25", remapped+"PCI-MSI-0000:00:1f.2   0-edge      ahci[0000:00:1f.2]")
	return b.String()
}

func (m *Machine) cpuinfo() string {
	var b strings.Builder
	for i := range m.cpus {
		fmt.Fprintf(&b, "processor\t: %d\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\nmodel name\t: Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz\ncpu MHz\t\t: 2100.000\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\nflags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2 ss syscall nx pdpe1gb rdtscp lm vmx ssse3 sse4_1 sse4_2 x2apic popcnt aes avx hypervisor avx2\n\n", i, m.cpus, i, m.cpus)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (m *Machine) rootUUID() string {
	for _, d := range m.Disks() {
		for _, p := range d.Partitions {
			if p.Mountpoint == "/" {
				return p.UUID
			}
		}
	}
	return ""
}

func uname(_ context.Context, c *Call) int {
	o, ok := c.options("asnrvmpio", "all", "kernel-name", "nodename", "kernel-release", "kernel-version", "machine", "operating-system")
	if !ok {
		return 2
	}
	version := "#1 SMP PREEMPT_DYNAMIC"
	all := o.has("a", "all")
	var parts []string
	for _, part := range []struct {
		short, long, value string
		inAll              bool
	}{
		{"s", "kernel-name", "Linux", true}, {"n", "nodename", c.Machine.Name(), true}, {"r", "kernel-release", c.Machine.KernelRelease(), true},
		{"v", "kernel-version", version, true}, {"m", "machine", "x86_64", true}, {"p", "processor", "unknown", false}, {"i", "hardware-platform", "unknown", false},
		{"o", "operating-system", "GNU/Linux", true},
	} {
		if o.has(part.short, part.long) || all && part.inAll || len(o.given) == 0 && part.short == "s" {
			parts = append(parts, part.value)
		}
	}
	c.printf("%s\n", strings.Join(parts, " "))
	return 0
}

func memoryProgram(_ context.Context, c *Call) int {
	o, ok := c.options("bkmgh", "bytes", "human", "mebi", "gibi")
	if !ok {
		return 2
	}
	unit := int64(1024)
	switch {
	case o.has("b", "bytes"):
		unit = 1
	case o.has("m", "mebi"):
		unit = 1 << 20
	case o.has("g", "gibi"):
		unit = 1 << 30
	}
	total := c.Machine.memory / unit
	c.printf("               total        used        free      shared  buff/cache   available\nMem:    %12s%12s%12s%12s%12s%12s\nSwap:   %12s%12s%12s\n",
		strconv.FormatInt(total, 10), strconv.FormatInt(total/10, 10), strconv.FormatInt(total*8/10, 10), "0", strconv.FormatInt(total/10, 10), strconv.FormatInt(total*9/10, 10),
		strconv.FormatInt(1<<30/unit, 10), "0", strconv.FormatInt(1<<30/unit, 10))
	return 0
}
