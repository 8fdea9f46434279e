// Package proof finds what is wrong with the nodes of a cluster after they have been set up. Package preflight does so
// before.
package proof

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/modules/preflight"
)

// Node is what was read from one node.
type Node struct {
	// Host is the name in the inventory, Address the one of the web interface, and Addresses those at which the other
	// nodes must reach it.
	Host      string   `json:"host"`
	Address   string   `json:"address"`
	Addresses []string `json:"addresses"`
	// CephDeclared says that the inventory gives it an address or disks for Ceph.
	CephDeclared bool `json:"ceph_declared"`

	// Unread says why the node could not be read; the following fields are then empty.
	Unread string `json:"unread,omitempty"`

	// Packages holds the versions of Proxmox VE's and Ceph's packages that are installed.
	Packages map[string]string `json:"packages"`
	// Failed are the names of the units that have failed.
	Failed []string         `json:"failed_units"`
	Web    Web              `json:"web"`
	Links  []preflight.Link `json:"links"`
	// NoPing says that the paths were not tried, because the node has no ping.
	NoPing bool             `json:"no_ping,omitempty"`
	Paths  []preflight.Path `json:"paths"`
}

// Web is what the web interface answered to the controller.
type Web struct {
	// Status is 0 if there was no response.
	Status int `json:"status"`
	// SHA256 is the checksum of the certificate, which is the one on the node unless there is a problem.
	SHA256 string `json:"sha256"`
	// Problem is empty if the page was served with the right certificate.
	Problem string `json:"problem,omitempty"`
}

// Measurement is the throughput from a node to an address of another.
type Measurement struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Address string `json:"address"`
	// Speed is that of the slower network card, and Single and Several are what the receiver got with one stream and
	// with several, all in Mbit/s.
	Speed   int     `json:"speed"`
	Single  float64 `json:"single"`
	Several float64 `json:"several"`
	Streams int     `json:"streams"`
	// Problem says why nothing was measured.
	Problem string `json:"problem,omitempty"`
}

// Floors are the minimum throughput of a link, in percent of its speed.
type Floors struct {
	Single  int `json:"single"`
	Several int `json:"several"`
}

// Report is what was read from the nodes, and what is wrong with it.
type Report struct {
	Nodes []Node `json:"hosts"`
	// Measurements is empty unless the throughput was measured.
	Measurements []Measurement       `json:"throughput"`
	Floors       Floors              `json:"floors"`
	Findings     []preflight.Finding `json:"findings"`
}

// Stops reports whether a finding means that the cluster should not be used yet.
func (r Report) Stops() bool {
	return slices.ContainsFunc(r.Findings, func(f preflight.Finding) bool { return f.Stops })
}

// The columns of the tables that findings belong to.
const (
	aboutHost       = "host"
	aboutVersions   = "versions"
	aboutCeph       = "ceph"
	aboutUnits      = "units"
	aboutWeb        = "web"
	aboutPaths      = "paths"
	aboutMTU        = "mtu"
	aboutThroughput = "throughput"
)

// Judge finds what is wrong.
func Judge(nodes []Node, measurements []Measurement, floors Floors) Report {
	r := Report{Nodes: nodes, Measurements: measurements, Floors: floors, Findings: []preflight.Finding{}}
	if r.Measurements == nil {
		r.Measurements = []Measurement{}
	}
	for _, n := range nodes {
		if n.Unread != "" {
			r.stop(n.Host, aboutHost, "it cannot be read: "+n.Unread, "check that it is up, and that hlplay can log in over SSH")
			continue
		}
		r.versions(n)
		for _, unit := range n.Failed {
			r.stop(n.Host, aboutUnits, unit+" has failed", "systemctl status "+unit+", and systemctl reset-failed "+unit+" once it is fixed")
		}
		if n.Web.Problem != "" {
			r.stop(n.Host, aboutWeb, "https://"+n.Address+":"+webPort+"/ does not work from the controller: "+n.Web.Problem, "systemctl status pveproxy; check that no packet filter drops TCP port "+webPort)
		}
		if n.NoPing {
			r.stop(n.Host, aboutPaths, "ping is missing, so the paths to the others were not tested", "apt install iputils-ping")
		}
		r.Findings = append(r.Findings, preflight.JudgePaths(n.Host, n.Paths)...)
	}
	r.unmeasured()
	for _, m := range measurements {
		r.throughput(m)
	}
	return r
}

func (r *Report) stop(host, about, problem, mend string) {
	r.Findings = append(r.Findings, preflight.Finding{Host: host, About: about, Stops: true, Problem: problem, Mend: mend})
}

// versions compares a node with the others.
func (r *Report) versions(n Node) {
	if n.Packages["pve-manager"] == "" {
		r.stop(n.Host, aboutVersions, "Proxmox VE is not installed", "hlplay run playbooks/cluster.hcl")
		return
	}
	for _, name := range products {
		about := aboutVersions
		if name == cephPackage {
			about = aboutCeph
		}
		is, usual := n.Packages[name], r.usual(name)
		switch {
		case is == usual || is == "" && name == cephPackage && !n.CephDeclared:
		case is == "" && name == cephPackage:
			r.stop(n.Host, about, "Ceph is not installed, but on other nodes, and the inventory has a ceph_address or osd_devices for this one", "hlplay run playbooks/cluster.hcl --tags ceph")
		case is == "":
			r.stop(n.Host, about, fmt.Sprintf("%s is not installed, but %s on other nodes", name, usual), "apt install "+name)
		default:
			r.stop(n.Host, about, fmt.Sprintf("%s is %s, but %s on most nodes", name, is, usual), "upgrade node by node: hlplay run playbooks/upgrade.hcl")
		}
	}
}

// usual returns the version of a package that most nodes have, of those that have it, or "".
func (r *Report) usual(name string) string {
	var all []string
	for _, n := range r.Nodes {
		if version := n.Packages[name]; version != "" {
			all = append(all, version)
		}
	}
	return commonest(all)
}

// unmeasured reports the links that were not measured, once for each host and problem.
func (r *Report) unmeasured() {
	type reason struct{ from, problem string }
	links := map[reason][]string{}
	var reasons []reason
	for _, m := range r.Measurements {
		if m.Problem == "" {
			continue
		}
		why := reason{m.From, m.Problem}
		if links[why] == nil {
			reasons = append(reasons, why)
		}
		links[why] = append(links[why], m.to())
	}
	for _, why := range reasons {
		r.stop(why.from, aboutThroughput, "not measured to "+strings.Join(links[why], ", ")+": "+why.problem, "fix that, and measure again")
	}
}

func (m Measurement) to() string { return fmt.Sprintf("%s (%s)", m.To, m.Address) }

// throughput compares a measurement with the floors.
func (r *Report) throughput(m Measurement) {
	if m.Problem != "" {
		return
	}
	for _, c := range []struct {
		streams string
		got     float64
		floor   int
	}{{"one stream", m.Single, r.Floors.Single}, {fmt.Sprintf("%d streams", m.Streams), m.Several, r.Floors.Several}} {
		if percent := c.got * 100 / float64(m.Speed); percent < float64(c.floor) {
			r.stop(m.From, aboutThroughput, fmt.Sprintf("%s to %s carried %.0f Mbit/s, %.0f%% of %d Mbit/s, expected at least %d%%", c.streams, m.to(), c.got, percent, m.Speed, c.floor),
				"check the negotiated speed of the cards (ethtool), errors (ip -s link), the MTU, and what else uses the link")
		}
	}
}

// failures returns the text of a node in the column UNITS.
func (n Node) failures() string {
	if len(n.Failed) == 0 {
		return "none failed"
	}
	return strings.Join(n.Failed, " ") + " failed"
}
