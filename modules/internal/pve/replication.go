package pve

import (
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// replicationFile has a section for each job that copies a guest's disks to another node.
const replicationFile = "/etc/pve/replication.cfg"

// Replication is a job of storage replication.
type Replication struct {
	// Target is the node that the guest is copied to. Source is the node that the guest was on when the job was last
	// written.
	Target, Source string
}

// Replications observes the jobs by id, "100-0", under the empty name.
var Replications = &observe.Kind[map[string]Replication]{
	Name: "pve-replication", What: "the replication jobs",
	Shared: observe.Always,
	Ask:    func([]string) []remote.Query { return []remote.Query{readFile(replicationFile)} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]Replication, error)) {
		content, _, err := fileContent(replicationFile, answers[0])
		jobs := map[string]Replication{}
		if err == nil {
			var sections []Section
			if sections, err = ParseSections(content); err != nil {
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
