package machine

import "testing"

// TestRename boots another kernel, which gives a network card another name. The configuration under the old name no
// longer applies, and the machine is cut off, unless a .link file keeps the name.
func TestRename(t *testing.T) {
	network := NewNetwork()
	with := func(name, address, second string) *Machine {
		return bare(t, func(c *Config) {
			c.Name, c.Address, c.Addresses, c.Network = name, address, []string{second}, network
			c.Renames = []Rename{{"ens18", "*-pve", "enp6s18"}}
		})
	}
	m, other := with("a", "192.168.1.11/24", "10.0.0.11/24"), with("b", "192.168.1.12/24", "10.0.0.12/24")
	reboot := func() {
		m.PowerOff()
		m.PowerOn()
	}
	answers := func(how string, first, second bool) {
		t.Helper()
		for address, want := range map[string]bool{"192.168.1.11": first, "10.0.0.11": second} {
			code := map[bool]int{true: 0, false: 1}[want]
			expect(t, other, "ping -c 1 -q "+address, code, "packets transmitted")
		}
		if m.connected() != first {
			t.Errorf("%s: reached from outside: %v, want %v", how, !first, first)
		}
	}
	reboot()
	answers("the kernel of the installer", true, true)
	expect(t, m, "touch /boot/vmlinuz-6.14.11-4-pve /boot/initrd.img-6.14.11-4-pve", 0, "^$")
	reboot()
	answers("another name", false, true)
	expect(t, m, "ls /sys/class/net; ip -br addr show enp6s18; ip route", 0, `^enp6s18\nens19\nlo\nenp6s18 +UP +\n10.0.0.0/24 dev ens19`)
	expect(t, m, "ip link show ens18", 1, "does not exist")
	expect(t, m, "ping -c 1 -q 192.168.1.12", 1, "0 received")
	expect(t, m, "sed -i 's/ens18/enp6s18/' /etc/network/interfaces", 0, "^$")
	reboot()
	answers("another name, in the file too", true, true)
	expect(t, m, "mkdir -p /etc/systemd/network && printf '[Match]\nMACAddress=bc:24:11:A8:01:0B\nType=ether\n\n[Link]\nName=lan0\n' >/etc/systemd/network/10-lan0.link && sed -i 's/enp6s18/lan0/' /etc/network/interfaces", 0, "^$")
	reboot()
	answers("a name of a .link file, and the file with it", true, true)
	expect(t, m, "rm /etc/systemd/network/10-lan0.link; sed -i 's/lan0/ens18/' /etc/network/interfaces; rm /boot/vmlinuz-6.14.11-4-pve", 0, "^$")
	reboot()
	answers("the former kernel", true, true)

	// A bridge without its port has its address, but no packet leaves it.
	expect(t, m, "printf 'auto lo\niface lo inet loopback\nauto vmbr0\niface vmbr0 inet static\n address 192.168.1.11/24\n gateway 192.168.1.1\n bridge-ports ens18\nauto ens18\niface ens18 inet manual\n"+
		"auto vmbr0.7\niface vmbr0.7 inet static\n address 10.7.0.11/24\n' >/etc/network/interfaces && apt-get -y install ifupdown2 && ifreload -a; touch /boot/vmlinuz-6.14.11-4-pve", 0, "")
	answers("a bridge", true, true)
	expect(t, other, "ping -c 1 -q 10.7.0.11", 0, "1 received") // the router knows its subnet
	reboot()
	answers("a bridge without its port", false, true)
	expect(t, other, "ping -c 1 -q 10.7.0.11", 1, "0 received")
	expect(t, m, "ip -br addr show vmbr0", 0, `^vmbr0 +DOWN +192.168.1.11/24 \n$`)
	expect(t, m, "ping -c 1 -q 192.168.1.11", 0, "1 received") // its own address
	expect(t, m, "sed -i 's/ens18/enp6s18/' /etc/network/interfaces && ifreload -a", 0, "^$")
	answers("a bridge with the card's other name", true, true)
}
