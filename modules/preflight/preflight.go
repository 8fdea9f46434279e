// Package preflight finds what prevents hosts from forming a cluster, before anything is changed on them.
package preflight

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/plural"
)

// Machine is what was read from one host.
type Machine struct {
	// Host is the name in the inventory, Address the address that the host's own name must resolve to, and Addresses those
	// at which the other hosts must reach it.
	Host      string   `json:"host"`
	Address   string   `json:"address"`
	Addresses []string `json:"addresses"`
	// OSDs is the number of disks that the inventory gives to Ceph.
	OSDs int `json:"osds"`

	// Unread says why the host could not be read; the following fields are then empty.
	Unread string `json:"unread,omitempty"`

	Hostname string `json:"hostname"`
	// Resolved are the addresses that the host resolves its own name to.
	Resolved []string `json:"resolved"`
	// Release is the code name of the distribution.
	Release      string `json:"release"`
	Architecture string `json:"architecture"`
	MachineID    string `json:"machine_id"`
	// Ahead is the number of seconds by which the host's clock is ahead of the controller's, give or take Within seconds.
	Ahead  float64 `json:"clock_ahead"`
	Within float64 `json:"clock_within"`
	CPUs   int     `json:"cpus"`
	// KVM reports whether the processor can run guests.
	KVM bool `json:"kvm"`
	// Memory is in bytes.
	Memory int64  `json:"memory"`
	Links  []Link `json:"links"`
	// Blank is the number of Disks with nothing on them.
	Disks int  `json:"disks"`
	Blank int  `json:"blank_disks"`
	EFI   bool `json:"efi"`
	IOMMU bool `json:"iommu"`
	// NoPing says that the paths were not tried, because the host has no ping: a minimal Debian comes without it.
	NoPing bool `json:"no_ping,omitempty"`
	// Paths lead to the addresses of the other hosts.
	Paths []Path `json:"paths"`
	// Taken are ports of corosync, Ceph and Proxmox VE that other programs listen on.
	Taken []Socket `json:"taken"`
}

// Link is a network interface that has an address.
type Link struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	MTU       int      `json:"mtu"`
	// Speed is in Mbit/s; 0 if the driver does not report it.
	Speed int `json:"speed"`
}

// Path is the way from a host to an address of another.
type Path struct {
	To      string `json:"to"`
	Address string `json:"address"`
	// Size is the size of the packets in bytes, including headers. It is the MTU of the link that they left by.
	Size int `json:"size"`
	// Lost says that not even small packets were answered, Cut that only small ones were.
	Lost bool `json:"lost"`
	Cut  bool `json:"cut"`
	// Latency is the mean round-trip time in milliseconds.
	Latency float64 `json:"latency"`
}

// Socket is a socket that a program listens on.
type Socket struct {
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	// Program is empty if only root may know it.
	Program string `json:"program"`
}

// Report is what was read from the hosts, and what is wrong with it.
type Report struct {
	Machines []Machine `json:"hosts"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is wrong.
type Finding struct {
	Host string `json:"host"`
	// About is the column of the table that it belongs to.
	About string `json:"about"`
	// Stops says that the hosts cannot form a cluster, or not a reliable one.
	Stops   bool   `json:"stops"`
	Problem string `json:"problem"`
	// Mend says how to fix it.
	Mend string `json:"mend"`
}

// Stops reports whether a finding prevents a cluster.
func (r Report) Stops() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Stops })
}

// judge collects findings.
type judge struct {
	all      []Machine
	findings []Finding
}

// The columns of the table that findings belong to.
const (
	aboutHost     = "host"
	aboutName     = "name"
	aboutResolve  = "resolution"
	aboutRelease  = "release"
	aboutClock    = "clock"
	aboutID       = "machine id"
	aboutCPU      = "cpu"
	aboutMemory   = "memory"
	aboutNIC      = "nic"
	aboutDisks    = "disks"
	aboutFirmware = "firmware"
	aboutPaths    = "paths"
	aboutMTU      = "mtu"
	aboutPorts    = "ports"
)

// The limits for findings.
const (
	// With a higher latency corosync loses members; Proxmox VE asks for less than 5 ms.
	slow = 5 * time.Millisecond
	// Ceph's monitors complain about 50 ms. Clocks are read over SSH, which is less exact, and it takes seconds to break a
	// join.
	clockApart = 500 * time.Millisecond
	gib        = 1 << 30
	// The needs of the system and its guests' manager, and of each OSD at the default osd_memory_target.
	systemMemory, osdMemory = 2 * gib, 4 * gib
	// The Mbit/s that Ceph needs to recover in time, which the guide and Proxmox VE ask for.
	cephSpeed = 10_000
)

// releases are the code names of the Debian releases that Proxmox VE runs on.
var releases = []string{"bookworm", "trixie"}

// Judge finds what is wrong with machines that should form a cluster.
func Judge(machines []Machine) Report {
	j := &judge{all: machines}
	for _, m := range machines {
		if m.Unread != "" {
			j.stop(m, aboutHost, "it cannot be read: "+m.Unread, "check that it is up, and that hlplay can log in over SSH")
			continue
		}
		j.name(m)
		j.system(m)
		j.hardware(m)
		j.paths(m)
		j.ports(m)
	}
	j.together()
	return Report{Machines: machines, Findings: j.findings}
}

func (j *judge) stop(m Machine, about, problem, mend string) {
	j.findings = append(j.findings, Finding{m.Host, about, true, problem, mend})
}

func (j *judge) warn(m Machine, about, problem, mend string) {
	j.findings = append(j.findings, Finding{m.Host, about, false, problem, mend})
}

func (j *judge) name(m Machine) {
	short, _, _ := strings.Cut(m.Hostname, ".")
	if want, _, _ := strings.Cut(m.Host, "."); short != want {
		j.stop(m, aboutName, fmt.Sprintf("it is %s in the inventory, but its host name is %s", m.Host, m.Hostname), "correct the inventory, or rename the host: hostnamectl set-hostname "+want)
	}
	if _, err := netip.ParseAddr(m.Address); err != nil {
		j.stop(m, aboutName, fmt.Sprintf("its address in the inventory, %q, is a name", m.Address), "set address to its IP address on the LAN, and ssh_address to the name that SSH connects to")
		return
	}
	loopback := slices.ContainsFunc(m.Resolved, func(a string) bool { return strings.HasPrefix(a, "127.") || a == "::1" })
	if loopback || !slices.Contains(m.Resolved, m.Address) {
		is := "nothing"
		if len(m.Resolved) > 0 {
			is = strings.Join(m.Resolved, ", ")
		}
		// playbooks/cluster.hcl corrects this itself.
		j.warn(m, aboutResolve, fmt.Sprintf("its name resolves to %s, not to %s alone", is, m.Address), "playbooks/cluster.hcl writes /etc/hosts (--tags hosts); by hand: its address in place of 127.0.1.1")
	}
}

func (j *judge) system(m Machine) {
	if !slices.Contains(releases, m.Release) {
		j.stop(m, aboutRelease, fmt.Sprintf("it runs %q", m.Release), "Proxmox VE 8 needs Debian 12 (bookworm), Proxmox VE 9 Debian 13 (trixie)")
	}
	if m.Architecture != "x86_64" {
		j.stop(m, aboutCPU, "it is "+m.Architecture, "Proxmox VE needs a 64-bit PC")
	}
}

func (j *judge) hardware(m Machine) {
	if !m.KVM {
		j.stop(m, aboutCPU, "the processor has no virtualization enabled", "enable VT-x or AMD-V in the firmware; a virtual machine needs nested virtualization")
	}
	if m.CPUs < m.OSDs+1 {
		j.warn(m, aboutCPU, fmt.Sprintf("%d logical processors for %s", m.CPUs, plural.Of(m.OSDs, "OSD")), "plan one for each OSD in addition to those of the guests")
	}
	if need := int64(systemMemory + m.OSDs*osdMemory); m.Memory < need*9/10 { // the kernel reserves a part of the installed memory
		j.warn(m, aboutMemory, fmt.Sprintf("%d GiB of memory; the system and %s need %d GiB without any guest", m.Memory>>30, plural.Of(m.OSDs, "OSD"), need>>30), "add memory, use fewer disks, or lower osd_memory_target")
	}
	for _, l := range m.Links {
		if m.OSDs > 0 && l.Speed > 0 && l.Speed < cephSpeed && slices.ContainsFunc(l.Addresses, func(a string) bool { return slices.Contains(m.Addresses, bare(a)) }) {
			j.warn(m, aboutNIC, fmt.Sprintf("%s runs at %d Mbit/s", l.Name, l.Speed), "Ceph needs 10 Gbit/s to recover in time")
		}
	}
	if m.OSDs > m.Disks {
		j.stop(m, aboutDisks, fmt.Sprintf("the inventory assigns %d disks to Ceph, but the host has %d", m.OSDs, m.Disks), "check osd_devices, and hlplay facts "+m.Host+" disks")
	}
}

// bare returns an address without its prefix length.
func bare(a string) string {
	address, _, _ := strings.Cut(a, "/")
	return address
}

func (j *judge) paths(m Machine) {
	if m.NoPing {
		j.warn(m, aboutPaths, "ping is missing, so the paths to the others were not tested", "apt install iputils-ping")
	}
	j.findings = append(j.findings, JudgePaths(m.Host, m.Paths)...)
}

// JudgePaths finds what is wrong with the paths from a host.
func JudgePaths(host string, paths []Path) []Finding {
	j := &judge{}
	m := Machine{Host: host}
	for _, p := range paths {
		to := p.To + " (" + p.Address + ")"
		switch {
		case p.Lost:
			j.stop(m, aboutPaths, to+" does not answer", "check cables, VLANs, routes, and packet filters that drop ICMP")
		case p.Cut:
			j.stop(m, aboutMTU, fmt.Sprintf("packets of %d bytes to %s are lost, but small ones are not", p.Size, to), "set the same MTU on both hosts and every switch between them")
		case time.Duration(p.Latency*float64(time.Millisecond)) > slow:
			j.warn(m, aboutPaths, fmt.Sprintf("%s answers after %.1f ms", to, p.Latency), fmt.Sprintf("corosync needs less than %v", slow))
		}
	}
	return j.findings
}

func (j *judge) ports(m Machine) {
	for _, s := range m.Taken {
		by := s.Program
		if by == "" {
			by = "a program (only root can see which)"
		}
		j.stop(m, aboutPorts, fmt.Sprintf("%s uses port %d (%s), which %s needs", by, s.Port, s.Protocol, ownerOf(s)), "stop it, or change its port")
	}
}

// together judges what hosts must have in common.
func (j *judge) together() {
	var read []Machine
	for _, m := range j.all {
		if m.Unread == "" {
			read = append(read, m)
		}
	}
	if len(read) == 0 {
		return
	}
	first := read[0]
	named := map[string]Machine{}
	early := first
	for _, m := range read {
		if m.Release != first.Release && slices.Contains(releases, m.Release) {
			j.stop(m, aboutRelease, fmt.Sprintf("it runs %s, but %s runs %s", m.Release, first.Host, first.Release), "install the same release on all")
		}
		if other, twice := named[m.MachineID]; twice {
			j.stop(m, aboutID, fmt.Sprintf("it has the same machine id as %s: one is a clone of the other", other.Host), "rm /etc/machine-id && systemd-machine-id-setup on one of them, and reboot it")
		}
		named[m.MachineID] = m
		if m.EFI != first.EFI {
			j.warn(m, aboutFirmware, fmt.Sprintf("it boots with %s, but %s with %s", firmware(m), first.Host, firmware(first)), "that works, but repairing the boot loader differs between them")
		}
		if m.Ahead < early.Ahead {
			early = m
		}
	}
	for _, m := range read {
		if apart := m.Ahead - m.Within - (early.Ahead + early.Within); apart > clockApart.Seconds() {
			j.stop(m, aboutClock, fmt.Sprintf("its clock is %.1f s ahead of the clock of %s", m.Ahead-early.Ahead, early.Host), "apt install chrony, and check chronyc tracking on both")
		}
	}
	j.mtus(read)
}

// mtus compares the links in the same network.
func (j *judge) mtus(read []Machine) {
	type seen struct {
		host string
		mtu  int
	}
	networks := map[netip.Prefix]seen{}
	for _, m := range read {
		for _, l := range m.Links {
			for _, a := range l.Addresses {
				p, err := netip.ParsePrefix(a)
				if err != nil || !slices.Contains(m.Addresses, p.Addr().String()) {
					continue
				}
				other, ok := networks[p.Masked()]
				if !ok {
					networks[p.Masked()] = seen{m.Host, l.MTU}
				} else if other.mtu != l.MTU {
					j.stop(m, aboutMTU, fmt.Sprintf("%s has MTU %d, but %s has %d in the same network", l.Name, l.MTU, other.host, other.mtu), "set the same MTU on all hosts of "+p.Masked().String())
				}
			}
		}
	}
}

func firmware(m Machine) string {
	if m.EFI {
		return "EFI"
	}
	return "BIOS"
}
