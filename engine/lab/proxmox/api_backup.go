package proxmox

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The cluster's backup jobs are stored, but never run.

const jobsFile = "jobs.cfg"

// backupEndpoints are the API paths below /cluster/backup.
func backupEndpoints() []endpoint {
	return []endpoint{
		change("create", "cluster/backup", jobCreate),
		change("set", "cluster/backup/{}", jobSet),
		change("delete", "cluster/backup/{}", func(_ *Command, v *view, db *Database, parts []string, _ arguments) error {
			all := db.jobs()
			i := section(all, parts[0])
			if i < 0 {
				return noSuchJob("delete", parts[0])
			}
			v.writeJobs(db, slices.Delete(all, i, i+1))
			return nil
		}),
	}
}

func (db *Database) jobs() []Section { return ParseSections(db.Text(jobsFile)) }

func (v *view) writeJobs(db *Database, all []Section) {
	db.Write(jobsFile, []byte(FormatSections(all, "schedule")), v.now)
}

func noSuchJob(verb, id string) error {
	return unverified(verb+" <api_path>", fmt.Sprintf("id: No such job '%s'", id))
}

// calendarEvent matches a schedule: a word, or weekdays, date and time.
var calendarEvent = sync.OnceValue(func() *regexp.Regexp {
	list := func(element string) string { return element + `(?:,` + element + `)*` }
	values := func(number string) string {
		return list(`(?:\*|` + number + `(?:\.\.` + number + `)?)(?:/` + number + `)?`)
	}
	const day = `(?:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)`
	hour, minute := values(`(?:[01]?[0-9]|2[0-3])`), values(`[0-5]?[0-9]`)
	days := list(day + `(?:\.\.` + day + `)?`)
	date := `(?:` + values(`[0-9]{4}`) + `-)?` + values(`(?:0?[1-9]|1[0-2])`) + `-` + values(`(?:0?[1-9]|[12][0-9]|3[01])`)
	clock := `(?:` + hour + `:` + minute + `(?::` + minute + `)?|` + minute + `)`
	return regexp.MustCompile(`^(?i:minutely|hourly|daily|weekly|monthly|quarterly|semi-?annually|yearly|annually|` + days + `(?: ` + date + `)?(?: ` + clock + `)?|` + date + `(?: ` + clock + `)?|` + clock + `)$`)
})

// checkSchedule returns an error for a schedule that is not a calendar event. Where Proxmox VE's parser says that it
// stopped is not recorded.
func checkSchedule(usage string, a arguments) error {
	if text := a.get("schedule"); a.has("schedule") && !calendarEvent().MatchString(text) {
		return unverified(usage, fmt.Sprintf("schedule: invalid format - invalid calendar event '%s' - unable to parse calendar event", text))
	}
	return nil
}

// jobKeys returns the properties of a job that a call sets, with booleans as they are stored.
func jobKeys(a arguments, keys map[string]string) {
	for key, value := range a.values {
		switch key {
		case "id", "delete", "digest", "output-format", "quiet", "noproxy":
		case "enabled", "all", "repeat-missed", "protected", "remove":
			keys[key] = fmt.Sprint(number(truth(value)))
		case "comment":
			keys[key] = encodeComment(value)
		default:
			keys[key] = value
		}
	}
}

func jobCreate(_ *Command, v *view, db *Database, _ []string, a arguments) error {
	const usage = "create <api_path>"
	switch {
	case a.has("starttime") && a.has("schedule"):
		return unverified(usage, "starttime: 'starttime' and 'schedule' cannot both be set")
	case !a.has("starttime") && !a.has("schedule"):
		return unverified(usage, "schedule: neither 'starttime' nor 'schedule' were set")
	case !a.bool("all") && !a.has("vmid") && !a.has("pool"):
		return unverified(usage, "vmid: property is missing and it is not optional")
	}
	if err := checkSchedule(usage, a); err != nil {
		return err
	}
	id := a.get("id")
	if id == "" {
		id = "backup-" + uuid("job", v.next())[:8] + "-0000"
	}
	all := db.jobs()
	if section(all, id) >= 0 {
		return failed(exitDie, "Job '%s' already exists", id)
	}
	job := Section{Type: "vzdump", ID: id, Keys: map[string]string{"enabled": "1"}}
	jobKeys(a, job.Keys)
	if start, ok := job.Keys["starttime"]; ok {
		job.Keys["schedule"] = strings.TrimSpace(job.Keys["dow"] + " " + start)
		delete(job.Keys, "starttime")
		delete(job.Keys, "dow")
	}
	v.writeJobs(db, append(all, job))
	return nil
}

func jobSet(_ *Command, v *view, db *Database, parts []string, a arguments) error {
	all := db.jobs()
	i := section(all, parts[0])
	if i < 0 {
		return noSuchJob("set", parts[0])
	}
	if err := checkSchedule("set <api_path>", a); err != nil {
		return err
	}
	before := len(a.values)
	jobKeys(a, all[i].Keys)
	for _, key := range splitList(a.get("delete")) {
		if key == "schedule" {
			return unverified("set <api_path>", "delete: unable to delete required option 'schedule'")
		}
		delete(all[i].Keys, key)
	}
	if before == 0 {
		return failed(exitDie, "no options specified")
	}
	v.writeJobs(db, all)
	return nil
}
