package pve

import (
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// replicationFile has a section for each job that copies a guest's disks to another node.
const replicationFile = "/etc/pve/replication.cfg"

// Replication is a job of storage replication.
type Replication struct {
	// Target is the node that is copied to, Source the one that the guest was on when the job was written last.
	Target, Source string
}

// Replications observes the jobs by their ids, "100-0"; its only name is "".
var Replications = &observe.Kind[map[string]Replication]{
	Name: "pve-replication", What: "the replication jobs",
	Shared: observe.Always,
	Ask:    func([]string) []remote.Query { return []remote.Query{readFile(replicationFile)} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]Replication, error)) {
		content, _, err := fileContent(replicationFile, answers[0])
		jobs := map[string]Replication{}
		if err == nil {
			var sections []Section
			if sections, err = parseSections(content); err != nil {
				err = &FileError{replicationFile, err}
			}
			for _, s := range sections {
				jobs[s.ID] = Replication{Target: s.Options["target"], Source: s.Options["source"]}
			}
		}
		for _, name := range names {
			tell(name, jobs, err)
		}
	},
}
