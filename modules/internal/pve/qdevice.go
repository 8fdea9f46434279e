package pve

import (
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// QDevice is a node's side of the cluster's QDevice.
type QDevice struct {
	// Certificates is set if corosync-qdevice has a certificate store.
	Certificates bool
	// Registered is set if corosync-qdevice runs on the node and has registered with corosync. Alive is set if it also
	// reaches corosync-qnetd, and Votes if that gives its vote to the node.
	Registered, Alive, Votes bool
}

// QDeviceStore is where corosync-qdevice keeps its certificates.
const QDeviceStore = "/etc/corosync/qdevice/net/nssdb"

// QDevices observes QDevice, under the empty name. A node whose corosync does not run has nothing registered.
var QDevices = &observe.Kind[QDevice]{
	Name: "pve-qdevice", What: "the QDevice",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `if [ -e ` + QDeviceStore + ` ]; then echo certificates; fi
timeout 10 corosync-quorumtool -s 2>/dev/null
[ $? -ne 124 ] || { echo 'corosync-quorumtool -s does not answer within 10 seconds' >&2; false; }`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, QDevice, error)) {
		a := answers[0]
		device := parseQDevice(string(a.Stdout))
		var err error
		if a.Exit != 0 {
			err = fmt.Errorf("asking corosync for the QDevice: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		for _, name := range names {
			tell(name, device, err)
		}
	},
}

// parseQDevice reads the node's own line in corosync-quorumtool's list of members, which has a column for the QDevice
// if that is registered: "A,V,NMW" means that it is alive, votes, and does not win by itself (corosync-quorumtool(8)).
func parseQDevice(text string) QDevice {
	var d QDevice
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && fields[0] == "certificates":
			d.Certificates = true
		case len(fields) == 4 && fields[0] == "Nodeid":
			d.Registered = fields[2] == "Qdevice"
		case d.Registered && len(fields) > 4 && fields[len(fields)-1] == "(local)":
			flags := strings.Split(fields[2], ",")
			d.Registered = flags[0] != "NR"
			d.Alive = flags[0] == "A"
			d.Votes = len(flags) > 1 && flags[1] == "V"
		}
	}
	return d
}
