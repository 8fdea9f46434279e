// Package network is the module for bridges, bonds, VLANs, addresses and routes in /etc/network/interfaces.
package network

import (
	"time"

	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "network",
	Summary: "Bridges, bonds, VLANs, addresses and MTU, changed as a transaction",
	Doc: `Writes the named interfaces to /etc/network/interfaces and applies them with a single ` + "`ifreload -a`" + ` of
ifupdown2, which leaves unchanged interfaces and the guests on a bridge alone. Other interfaces, comments, the order of the
lines and unknown options are kept. Ports and members lose their addresses and are brought up.

The change is guarded: before it is made, the host is told to restore the old file and reload after the rollback time. Then hlplay
must log in over a new connection, and the gateway and the play's other hosts on the same subnets must answer
packets of the full MTU sent without fragmentation. Only then does the change stay. Whatever interrupts the run, the host returns
to its former state. Hosts are changed one at a time.

Nothing is changed unless all of these hold:

- ifupdown2 is installed, /etc/network/interfaces.new holds no pending changes, and NetworkManager is not running;
- ports and members exist and are in no other bond or bridge, no bridge is in another, and no VLAN is on a member of a bond;
- no named interface is declared in another file;
- a bridge has the MTU of its ports, a bond that of its members, a VLAN at most that of its parent, and none more than the card supports;
- gateways, including those of routes, are in a subnet of their interface, and there is at most one default gateway each for IPv4 and IPv6;
- no address is used twice: in the task, on another interface, on another host of the play, or as the address of any host in
  the inventory;
- the address that this session came in on stays, or reachable_at gives the new one; and there is still a route back to
  the controller;
- high availability is not armed, because the watchdog resets a node that loses the others;
- corosync keeps its addresses, and not only on bonds, unless corosync_on_bond is set;
- Ceph's daemons on the host keep an address in Ceph's networks, and a monitor its own.

Interfaces named in absent must have been declared in /etc/network/interfaces, with nothing on them: no other interface, and no
network card of a guest, running or not.

Arguments that are left out keep what the file says: an MTU, a gateway, or the addresses of a block that gives none.
Routes are written as ` + "`up`" + ` commands; a route that is no longer listed is kept.

A task with nothing but ` + "`pin = true`" + ` pins the names of all network cards, and needs no ifupdown2: write it before the task that
installs a new kernel, which may name the cards differently and so leave the host without network. The names are kept in .link
files (systemd.link(5)), which are copied into the initramfs images. Names that were pinned by other means stay pinned, as with Proxmox VE's installer
and ` + "`pve-network-interface-pinning`" + `; two cards with the same MAC address are refused. SR-IOV virtual functions are not pinned, nor are
cards whose MAC address is random, copied from another interface, or set by an administrator (addr_assign_type in
/sys/class/net): a note names them. A name that systemd derives from the MAC address (enx…) needs no pin.`,
	Example: `task "G1.14 G1.15 G1.17 bridge on a bond, jumbo frames" {
  network {
    bond "bond0" {
      members   = ["ens18", "ens19"]
      mode      = "802.3ad"
      hash      = "layer3+4"
      lacp_rate = "fast"
    }
    bridge "vmbr0" {
      ports       = ["bond0"]
      address     = "${host.address}/24"
      gateway     = "192.168.1.1"
      gateway_mtu = 1500
    }
    mtu      = 9000
    rollback = "90s"
  }
}

task "keep the names of the network cards" {
  network {
    pin = true
  }
}`,
	Placed: linkPlaced,
	New:    func() modules.Module { return &Module{} },
}

// Module is the desired state of some interfaces of a host.
type Module struct {
	Bonds      []Bond      `hcl:"bond,block" doc:"A bond: several network cards used as one."`
	Bridges    []Bridge    `hcl:"bridge,block" doc:"A bridge, which guests are connected to."`
	VLANs      []VLAN      `hcl:"vlan,block" doc:"A VLAN on another interface."`
	Interfaces []Interface `hcl:"interface,block" doc:"A network card or another existing interface, with addresses of its own. Ports and members need no block."`

	Absent []string `hcl:"absent,optional" doc:"Bonds, bridges and VLANs to remove: their lines are removed from the file, and the interfaces from the host."`

	MTU            int           `hcl:"mtu,optional" doc:"MTU of all named interfaces, including ports and members, unless their block gives one."`
	Rollback       time.Duration `hcl:"rollback,optional" default:"\"90s\"" doc:"Time after which the host undoes the change unless it was confirmed. It must be long enough for the reload, a new connection and the proofs."`
	ReachableAt    string        `hcl:"reachable_at,optional" doc:"The IP address to connect to after the change, if it is a new one. Then update the inventory."`
	Pin            bool          `hcl:"pin,optional" doc:"Pin the names of the named network cards, including ports and members, to their MAC addresses in /etc/systemd/network/10-NAME.link, so that a new kernel cannot rename them. Without blocks: of all network cards."`
	CorosyncOnBond bool          `hcl:"corosync_on_bond,optional" doc:"Accept that all of corosync's links are on bonds."`
}

// Addressing holds the arguments of all blocks that may have addresses.
type Addressing struct {
	Address    string            `hcl:"address,optional" doc:"Address with the prefix length of its subnet: 192.168.1.10/24."`
	Addresses  []string          `hcl:"addresses,optional" doc:"Several addresses, IPv4 and IPv6; the first of each family is its main one. An empty list removes all."`
	Gateway    string            `hcl:"gateway,optional" doc:"Gateway of the IPv4 default route."`
	Gateway6   string            `hcl:"gateway6,optional" doc:"Gateway of the IPv6 default route."`
	GatewayMTU int               `hcl:"gateway_mtu,optional" doc:"Largest packet that the gateways accept, if smaller than the MTU. The proof pings them with packets of this size."`
	Routes     map[string]string `hcl:"routes,optional" doc:"Gateways by destination: { \"10.0.0.0/8\" = \"192.168.1.254\" }."`
	MTU        int               `hcl:"mtu,optional" doc:"MTU of the interface."`
}

type Bond struct {
	Name     string   `hcl:"name,label" doc:"the name of the bond"`
	Members  []string `hcl:"members" doc:"The network cards."`
	Mode     string   `hcl:"mode" enum:"802.3ad,active-backup,balance-xor,balance-rr,balance-tlb,balance-alb,broadcast" doc:"How they share the load. 802.3ad (LACP) must also be configured on the switch."`
	Hash     string   `hcl:"hash,optional" doc:"How the card for a packet is selected, with 802.3ad and balance-xor: layer2, layer2+3 or layer3+4."`
	LACPRate string   `hcl:"lacp_rate,optional" enum:"slow,fast" doc:"How often the switch sends LACP packets, with 802.3ad: every 30 seconds, or every second, which detects a dead link sooner."`
	Primary  string   `hcl:"primary,optional" doc:"The preferred member, used whenever it is up, with active-backup."`
	// The following are in milliseconds, as in the kernel.
	MIIMon    *int `hcl:"miimon,optional" doc:"How often the links are checked, in milliseconds; 100 in a new bond."`
	UpDelay   *int `hcl:"updelay,optional" doc:"How long a link must be up before it is used, in milliseconds: a multiple of miimon."`
	DownDelay *int `hcl:"downdelay,optional" doc:"How long a link must be down before it is disabled, in milliseconds: a multiple of miimon."`
	Addressing
}

type Bridge struct {
	Name      string   `hcl:"name,label" doc:"the name of the bridge"`
	Ports     []string `hcl:"ports" doc:"Its ports: a bond, a network card or a VLAN; an empty list for a bridge that only guests use."`
	VLANAware *bool    `hcl:"vlan_aware,optional" doc:"Whether the bridge is VLAN-aware, so that each guest can have its own VLAN."`
	VIDs      string   `hcl:"vids,optional" doc:"The VLANs of a VLAN-aware bridge: 2-4094."`
	Addressing
}

type VLAN struct {
	Name   string `hcl:"name,label" doc:"the name of the interface, as in bond0.20"`
	Parent string `hcl:"parent,optional" doc:"The interface that carries it. The default comes from the name: bond0.20 is on bond0."`
	ID     int    `hcl:"id,optional" doc:"VLAN ID, 1 to 4094. The default comes from the name: bond0.20 is VLAN 20."`
	Addressing
}

type Interface struct {
	Name string `hcl:"name,label" doc:"the name of the interface"`
	Addressing
}

// Scope implements modules.Scoped. A mistake should cut off one host and not all of them; a name that is pinned cuts off none.
func (m *Module) Scope() modules.Scope {
	if m.pinsAll() {
		return modules.EachHost
	}
	return modules.OneByOne
}
