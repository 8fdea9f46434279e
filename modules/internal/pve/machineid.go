package pve

import (
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// MachineIDFile holds the UUID that the firmware of a host reports. For a virtual machine, that is the UUID in its
// configuration. Only root can read the file.
const MachineIDFile = "/sys/class/dmi/id/product_uuid"

// MachineIDs observes the UUIDs of the cluster's virtual machines, in lower case, with the guests' ids; under the empty name.
var MachineIDs = &observe.Kind[map[string]int]{
	Name: "pve-machine-ids", What: "the UUIDs of the cluster's virtual machines",
	Shared: observe.Always,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `timeout 10 grep -aH '^smbios1:' -- /etc/pve/nodes/*/qemu-server/*.conf`}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]int, error)) {
		ids, err := parseMachineIDs(answers[0])
		for _, name := range names {
			tell(name, ids, err)
		}
	},
}

// machineID is a line of a virtual machine's configuration behind the path of its file.
var machineID = pattern.New(`^/etc/pve/nodes/[^/]+/qemu-server/([0-9]{3,9})\.conf:smbios1:.*\buuid=([0-9A-Fa-f-]{36})\b`)

func parseMachineIDs(a remote.Answer) (map[string]int, error) {
	if complaint := observe.LastLine(a.Stderr); a.TimedOut() || a.Exit > 1 && !strings.Contains(complaint, "No such file or directory") {
		return nil, fmt.Errorf("reading the configurations of virtual machines: %s: %s", remote.Ending(a.Exit), complaint)
	}
	ids := map[string]int{}
	for line := range strings.Lines(string(a.Stdout)) {
		if found := machineID.FindStringSubmatch(line); found != nil {
			id, err := strconv.Atoi(found[1])
			if err != nil {
				return nil, err
			}
			ids[strings.ToLower(found[2])] = id
		}
	}
	return ids, nil
}
