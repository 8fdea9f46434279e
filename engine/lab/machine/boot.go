package machine

import (
	"slices"
	"strings"
	"time"
)

// On reports whether the machine is up.
func (m *Machine) On() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on
}

// BootID returns /proc/sys/kernel/random/boot_id, which changes with every boot.
func (m *Machine) BootID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bootID
}

// KernelRelease returns the release of the running kernel, as uname -r prints it.
func (m *Machine) KernelRelease() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kernel
}

// Uptime returns how long the machine has been up.
func (m *Machine) Uptime() time.Duration {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Sub(m.bootedAt)
}

// newestKernel returns the kernel in /boot that the boot loader would start: the newest Proxmox kernel if there is
// one, the newest one otherwise.
func (m *Machine) newestKernel() string {
	releases := m.kernels()
	slices.SortFunc(releases, func(a, b string) int {
		switch {
		case strings.HasSuffix(a, "-pve") == strings.HasSuffix(b, "-pve"):
			return CompareVersions(a, b)
		case strings.HasSuffix(b, "-pve"):
			return -1
		}
		return 1
	})
	if len(releases) == 0 {
		return ""
	}
	return releases[len(releases)-1]
}

// PowerOff shuts the machine down: units stop, connections are dropped, processes end.
func (m *Machine) PowerOff() {
	if m.goDown() {
		m.units.halt()
	}
}

// Crash turns the machine off as a power failure does, without stopping units.
func (m *Machine) Crash() {
	if m.goDown() {
		m.units.lose()
	}
}

func (m *Machine) goDown() bool {
	m.mu.Lock()
	was := m.on
	m.on, m.leaving = false, false
	m.mu.Unlock()
	if was {
		m.processes.killAll()
		m.server.drop()
	}
	return was
}

// PowerOn boots a machine that is off and returns when it is up.
func (m *Machine) PowerOn() {
	m.mu.Lock()
	if m.on {
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	m.clearVolatile()
	kernel := m.newestKernel()
	line := m.commandLine(kernel)
	now := m.clock.Now()
	m.mu.Lock()
	m.on, m.bootID, m.bootedAt, m.kernel, m.cmdline = true, newUUID(), now, kernel, line
	m.modules = map[string]bool{}
	m.mu.Unlock()
	for _, t := range m.tunnels() {
		m.setTunnel(t.name, nil)
	}
	m.SetValue(nftKey{}, nil)
	m.nameCards(kernel)
	m.networkUp()
	m.bindPCI()
	m.loadModulesAtBoot()
	m.applySysctlFiles()
	m.readTables()
	m.mountAtBoot()
	m.units.boot()
	m.networkUp() // a unit may have restored the files before
}

// Reboot shuts the machine down and boots it again, which takes its boot time.
func (m *Machine) Reboot() {
	m.PowerOff()
	m.clock.Pass(m.bootTime, m.PowerOn)
}

// clearVolatile empties the directories that do not survive a boot.
func (m *Machine) clearVolatile() {
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, dir := range []string{"/run", "/tmp", "/dev/shm"} {
		n := t.newNode(t.lookup(dir).mode)
		_ = t.put(dir, n) // the directory has existed since the machine was made
	}
	furnishRun(t)
}
