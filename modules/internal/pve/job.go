package pve

import (
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// jobsFile has a section for each scheduled job: vzdump for backups, realm-sync for users.
const jobsFile = "/etc/pve/jobs.cfg"

// BackupJobs observes the options of the cluster's backup jobs by job id, under the empty name.
var BackupJobs = &observe.Kind[map[string]map[string]string]{
	Name: "pve-backup-jobs", What: "the backup jobs of the cluster",
	Shared: observe.Always,
	Ask:    func([]string) []remote.Query { return []remote.Query{readFile(jobsFile)} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]map[string]string, error)) {
		content, _, err := fileContent(jobsFile, answers[0])
		jobs := map[string]map[string]string{}
		if err == nil {
			var sections []Section
			if sections, err = ParseSections(content); err != nil {
				err = &FileError{jobsFile, err}
			}
			for _, s := range sections {
				if s.Type == "vzdump" {
					jobs[s.ID] = s.Options
				}
			}
		}
		for _, name := range names {
			tell(name, jobs, err)
		}
	},
}
