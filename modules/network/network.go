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
	Doc: `Writes the interfaces that it names to /etc/network/interfaces and puts them into effect with one ` + "`ifreload -a`" + ` of
ifupdown2, which leaves what did not change, and the guests on a bridge, alone. Other interfaces, comments, the order of the
lines and options that it does not know stay as they are. Ports and members lose their addresses and are brought up.

The change is guarded: before it is made, the host is told to put the old file back and reload once rollback is over. Then hlplay
must come in over a new connection, and the gateway and the other hosts of the play that are on the same subnets must answer
packets of the full MTU that may not be taken apart. Only then the change stays. Whatever cuts the run off meanwhile, the host is
back as it was. Hosts are changed one by one.

Nothing is touched unless all of this holds:

- ifupdown2 is there, nothing waits in /etc/network/interfaces.new, and NetworkManager does not run;
- ports and members exist, and are in no other bond or bridge; no interface that is named is declared in another file;
- a bridge has the MTU of its ports, a bond that of its members, a VLAN at most that of its parent, none more than the card can do;
- a gateway lies in a subnet of its interface, and there is one for IPv4 and one for IPv6 at most;
- no address is given twice: here, on another interface, or on another host of the play;
- the address that this session comes in by stays, or reachable_at says where the host is found afterwards; and the road back to
  the controller is still there;
- high availability is not armed: a node that is cut off from the others is reset by its watchdog;
- corosync keeps its addresses, and not on bonds alone, unless corosync_on_bond says that this is meant.

Interfaces named in absent must have been declared in /etc/network/interfaces, with nothing on them: no other interface, and no
network card of a guest, running or not.

What is not given stays as it is in the file: an MTU, a gateway, the addresses of a block with neither address nor addresses.
Routes are commands behind ` + "`up`" + `; one that is no longer named stays.`,
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
}`,
	New: func() modules.Module { return &Module{} },
}

// Module is the desired state of some interfaces of a host.
type Module struct {
	Bonds      []Bond      `hcl:"bond,block" doc:"A bond: several network cards as one."`
	Bridges    []Bridge    `hcl:"bridge,block" doc:"A bridge, to which guests are plugged."`
	VLANs      []VLAN      `hcl:"vlan,block" doc:"An interface for one VLAN of another."`
	Interfaces []Interface `hcl:"interface,block" doc:"A network card, or another interface that exists, with addresses of its own. Ports and members need no block."`

	Absent []string `hcl:"absent,optional" doc:"Bonds, bridges and VLANs that are not to be there: their lines are taken out of the file, and the interfaces removed."`

	MTU            int           `hcl:"mtu,optional" doc:"MTU of all interfaces that are named, ports and members included, where their block says none."`
	Rollback       time.Duration `hcl:"rollback,optional" default:"\"90s\"" doc:"When the host takes the change back if it is not proven by then. It must allow for the reload, a new connection and the proofs."`
	ReachableAt    string        `hcl:"reachable_at,optional" doc:"The IP address at which the host is connected to once it is changed, if that is another one than now. Write it into the inventory then."`
	Pin            bool          `hcl:"pin,optional" doc:"Keep the names of the network cards named, ports and members included, by their MAC addresses in /etc/systemd/network/10-NAME.link, whatever a new kernel would call them."`
	CorosyncOnBond bool          `hcl:"corosync_on_bond,optional" doc:"Take it that corosync has no link but on bonds."`
}

// Addressing is what all blocks have that may carry addresses.
type Addressing struct {
	Address    string            `hcl:"address,optional" doc:"Its address with the length of the subnet's prefix: 192.168.1.10/24."`
	Addresses  []string          `hcl:"addresses,optional" doc:"Several addresses, IPv4 and IPv6; the first of each family is its main one. An empty list takes all away."`
	Gateway    string            `hcl:"gateway,optional" doc:"Gateway of the IPv4 default route."`
	Gateway6   string            `hcl:"gateway6,optional" doc:"Gateway of the IPv6 default route."`
	GatewayMTU int               `hcl:"gateway_mtu,optional" doc:"Largest packet that the gateways accept, if smaller than the MTU; the proof sends them packets of this size."`
	Routes     map[string]string `hcl:"routes,optional" doc:"Gateways by destination: { \"10.0.0.0/8\" = \"192.168.1.254\" }."`
	MTU        int               `hcl:"mtu,optional" doc:"Its MTU."`
}

// Bond is several network cards as one.
type Bond struct {
	Name     string   `hcl:"name,label" doc:"the name of the bond"`
	Members  []string `hcl:"members" doc:"The network cards."`
	Mode     string   `hcl:"mode" enum:"802.3ad,active-backup,balance-xor,balance-rr,balance-tlb,balance-alb,broadcast" doc:"How they share the load. 802.3ad (LACP) needs the switch to know of it."`
	Hash     string   `hcl:"hash,optional" doc:"What chooses the card for a packet, with 802.3ad and balance-xor: layer2, layer2+3 or layer3+4."`
	LACPRate string   `hcl:"lacp_rate,optional" enum:"slow,fast" doc:"How often LACP speaks to the switch, with 802.3ad: every 30 seconds or every second, which notices a dead link sooner."`
	Primary  string   `hcl:"primary,optional" doc:"The member that carries all as long as it can, with active-backup."`
	// What follows is in milliseconds, as the kernel counts it.
	MIIMon    *int `hcl:"miimon,optional" doc:"How often the links are looked at, in milliseconds; 100 in a new bond."`
	UpDelay   *int `hcl:"updelay,optional" doc:"How long a link must be up before it is used, in milliseconds: a multiple of miimon."`
	DownDelay *int `hcl:"downdelay,optional" doc:"How long a link must be down before it is given up, in milliseconds: a multiple of miimon."`
	Addressing
}

// Bridge is a switch in the kernel.
type Bridge struct {
	Name      string   `hcl:"name,label" doc:"the name of the bridge"`
	Ports     []string `hcl:"ports" doc:"The interfaces on it: a bond, a network card, a VLAN; an empty list for a bridge of guests alone."`
	VLANAware *bool    `hcl:"vlan_aware,optional" doc:"Whether guests may choose their VLAN."`
	VIDs      string   `hcl:"vids,optional" doc:"The VLANs of a bridge that is aware of them: 2-4094."`
	Addressing
}

// VLAN is an interface for one VLAN of another.
type VLAN struct {
	Name   string `hcl:"name,label" doc:"the name of the interface, as in bond0.20"`
	Parent string `hcl:"parent,optional" doc:"The interface that carries it. Its name says it: bond0.20 is on bond0."`
	ID     int    `hcl:"id,optional" doc:"Number of the VLAN, 1 to 4094. Its name says it: bond0.20 is VLAN 20."`
	Addressing
}

// Interface is a network card, or another interface that exists.
type Interface struct {
	Name string `hcl:"name,label" doc:"the name of the interface"`
	Addressing
}

// Scope implements modules.Scoped: a mistake is to cut off one host, and not all.
func (m *Module) Scope() modules.Scope { return modules.OneByOne }
