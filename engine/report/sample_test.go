package report

import (
	"time"

	"hlplay/modules"
)

// sample returns the events of a run in which nearly everything happens.
func sample(check bool) []Event {
	const file = "playbooks/cluster.hcl"
	hosts := []string{"pve1", "pve2", "knöt-三"}
	events := []Event{
		RunStarted{Playbook: file, Inventory: "inventory", Check: check, Hosts: hosts},
		PlayStarted{Play: "prepare the hosts", Hosts: hosts, Batch: 1, Batches: 1},
		TaskStarted{"prepare the hosts", "names resolve to the LAN address", false},
	}
	result := func(r TaskResult) { events = append(events, r) }
	for _, host := range []string{"knöt-三", "pve1", "pve2"} { // not in the play's order
		result(TaskResult{Play: "prepare the hosts", Task: "names resolve to the LAN address", Host: host, Module: "assert", Status: OK, File: file, Line: 4, Duration: 30 * time.Millisecond})
	}
	events = append(events, TaskStarted{"prepare the hosts", "kernel settings for Ceph", false})
	for _, host := range []string{"pve1", "knöt-三"} {
		result(TaskResult{
			Play: "prepare the hosts", Task: "kernel settings for Ceph", Host: host, Module: "sysctl", Status: Changed, File: file, Line: 9,
			Steps: []string{"set vm.swappiness to 10", "write /etc/sysctl.d/80-hlplay.conf"},
			Diffs: []modules.Diff{
				{Subject: "vm.swappiness", Before: "60", After: "10"},
				{Subject: "/etc/sysctl.d/80-hlplay.conf", Before: "# managed\nvm.swappiness = 60\n", After: "# managed\nvm.swappiness = 10\nvm.overcommit_memory = 1"},
			},
			Duration: 7 * time.Second,
		})
	}
	result(TaskResult{Play: "prepare the hosts", Task: "kernel settings for Ceph", Host: "pve2", Module: "sysctl", Status: OK, File: file, Line: 9, Notes: []string{"fs.aio-max-nr is also set in /etc/sysctl.conf, which is read later"}})
	events = append(events, TaskStarted{"prepare the hosts", "guests' console", false})
	for _, host := range hosts {
		result(TaskResult{Play: "prepare the hosts", Task: "guests' console", Host: host, Module: "file", Status: Skipped, Message: "when is false", File: file, Line: 20})
	}
	events = append(events,
		Note{"pve2 has guests: nothing that restarts its network is run while they are there."},
		PlayStarted{Play: "form the cluster", Hosts: hosts, Batch: 1, Batches: 2},
		TaskStarted{"form the cluster", "OSDs on blank disks", false},
		Progress{Host: "pve1", Task: "OSDs on blank disks", What: "pveceph osd create /dev/sdb"},
		Progress{Host: "pve1", Task: "OSDs on blank disks"},
	)
	items := []ItemResult{
		{Key: "/dev/sdb", Status: Changed, Steps: []string{"create an OSD on /dev/sdb (1 TB)"}},
		{Key: "/dev/sdc", Status: OK},
	}
	result(TaskResult{Play: "form the cluster", Task: "OSDs on blank disks", Host: "pve1", Module: "pveceph", Status: Changed, Items: items, File: file, Line: 31})
	if check {
		result(TaskResult{Play: "form the cluster", Task: "OSDs on blank disks", Host: "pve2", Module: "pveceph", Status: Uncertain, Message: "ceph:osds on pve2 cannot be known before the run: the package may bring a configuration", File: file, Line: 31})
	} else {
		result(TaskResult{
			Play: "form the cluster", Task: "OSDs on blank disks", Host: "pve2", Module: "pveceph", Status: Failed,
			Steps:   []string{"make the directory /var/lib/ceph/bootstrap-osd"},
			Message: "expected /dev/sdb to be blank, found an ext4 file system on it", Hint: "choose another disk, or wipe this one by hand: wipefs -a /dev/sdb",
			Output: "\x1b[31merror\x1b[0m: device is in use\n 10%\r 90%\r100%\nlast words\n", File: file, Line: 31, Duration: time.Second,
		})
	}
	result(TaskResult{Play: "form the cluster", Task: "OSDs on blank disks", Host: "knöt-三", Module: "pveceph", Status: Unreachable, Unfinished: []string{"create an OSD on /dev/sdb"}, Message: "knöt-三 (10.0.0.3): no route to host", Hint: "is it switched on?", File: file, Line: 31})
	events = append(events, TaskStarted{"form the cluster", "pools", false})
	result(TaskResult{
		Play: "form the cluster", Task: "pools", Host: "pve1", Module: "pveceph", Status: Failed, File: file, Line: 36,
		Steps: []string{"vm: create pool vm (size 4)"}, Message: "ct: pool ct has size 2, expected 4",
		Items: []ItemResult{
			{Key: "vm", Status: Changed, Steps: []string{"create pool vm (size 4)"}},
			{Key: "ct", Status: Failed, Message: "pool ct has size 2, expected 4"},
		},
	})
	events = append(events, TaskStarted{"form the cluster", "an optional thing with a name that is a good deal longer than its column", false})
	result(TaskResult{Play: "form the cluster", Task: "an optional thing with a name that is a good deal longer than its column", Host: "pve1", Module: "command", Status: Failed, Ignored: true, Message: "exit code 1, expected 0", File: file, Line: 40})
	events = append(events, TaskStarted{"form the cluster", "try the new link", false})
	result(TaskResult{Play: "form the cluster", Task: "try the new link", Host: "pve1", Module: "command", Status: Failed, Rescued: true, Steps: []string{"set link1"}, Unfinished: []string{"restart corosync"}, Message: "restart corosync: exit code 1", Hint: "look at its journal", File: file, Line: 44})
	events = append(events, TaskStarted{"form the cluster", "restart chrony", true})
	result(TaskResult{Play: "form the cluster", Task: "restart chrony", Host: "pve1", Module: "service", Handler: true, Status: Changed, Steps: []string{"restart chrony.service"}, File: file, Line: 50})
	recap := Recap{
		Order: hosts, Check: check, Duration: 83 * time.Second,
		Hosts: map[string]Counts{
			"pve1": {OK: 2, Changed: 3, Skipped: 1, Ignored: 1, Rescued: 1}, "pve2": {OK: 2, Skipped: 1, Failed: 1}, "knöt-三": {OK: 1, Changed: 1, Skipped: 1, Unreachable: 1, Unfinished: 1},
		},
		Costs: map[string]Cost{"pve1": {RoundTrips: 14, Flights: 3, Sent: 5120, Received: 11_000_000}, "pve2": {RoundTrips: 12, Flights: 2, Sent: 900, Received: 20_000}},
	}
	if check {
		recap.Hosts["pve2"] = Counts{OK: 2, Skipped: 1, Uncertain: 1}
	}
	return append(events, recap)
}
