package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// location says where a project is. Encoded as JSON, it is the name of an observation of projects.
type location struct {
	Name      string `json:"name"`
	Directory string `json:"directory"`
	File      string `json:"file,omitempty"` // the path of the file that describes it, unless it is to be absent
}

func (s location) key() string {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return err.Error()
	}
	return string(b)
}

// project is the state of a project on the host.
type project struct {
	// Missing is the program that the host lacks: "docker" or "docker compose". If it is set, nothing else is known.
	Missing string
	// Refused is Compose's error if it rejects the file on the host.
	Refused string
	// Elsewhere is the directory of a different project with the same name.
	Elsewhere string
	// Services holds the services that have containers.
	Services map[string]containers
}

// containers are the containers of a service.
type containers struct {
	// Current is set if all of them match the file on the host.
	Current bool
	// Problem says why not all of them are running and healthy. It is empty if they are, or if they have completed
	// successfully and End is set.
	Problem string
	// Stopped is set if one of them is not running and will not restart by itself. End is set if all of them have exited with
	// code 0.
	Stopped, End bool
	// Started is when the first of them was started.
	Started time.Time
}

// steady is how long a container without a health check runs until it counts as running: one that fails is started
// again at once.
const steady = 5 * time.Second

// inspection is the format in which docker inspect prints what is needed of a container. The rest, such as its
// environment, may hold secrets.
const inspection = `{"service":{{json (index .Config.Labels "com.docker.compose.service")}},"hash":{{json (index .Config.Labels "com.docker.compose.config-hash")}},` +
	`"directory":{{json (index .Config.Labels "com.docker.compose.project.working_dir")}},"oneoff":{{json (index .Config.Labels "com.docker.compose.oneoff")}},` +
	`"state":{{json .State}},"restarts":{{.RestartCount}}}`

// ask prints what project holds, as lines of a word and its value. Docker prints its own errors.
const ask = `command -v docker >/dev/null || { echo 'missing docker'; exit 0; }
docker compose version --short >/dev/null 2>&1 || { echo 'missing docker compose'; exit 0; }
ids=$(docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$1") || exit 1
echo "now $(date +%s)"
if [ -n "$ids" ]; then
docker inspect --format "container $4" $ids || exit 1
fi
if [ -f "$3" ]; then
if hashes=$(docker compose --project-name "$1" --project-directory "$2" --file "$3" config --hash '*' 2>&1); then
printf '%s\n' "$hashes" | sed 's/^/hash /'
else
printf '%s\n' "$hashes" | sed 's/^/refused /'
fi
fi`

// projects observes projects by location.key.
var projects = &observe.Kind[project]{
	Name: "compose", What: "the containers of a Docker Compose project",
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			var s location
			if json.Unmarshal([]byte(name), &s) == nil { // Parse reports the error
				queries = append(queries, remote.Query{Script: ask, Args: []string{s.Name, s.Directory, s.File, inspection}})
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, project, error)) {
		for _, name := range names {
			var s location
			if err := json.Unmarshal([]byte(name), &s); err != nil {
				tell(name, project{}, fmt.Errorf("%q does not name a project", name))
				continue
			}
			a := answers[0]
			answers = answers[1:]
			if a.Err != nil || a.Exit != 0 {
				tell(name, project{}, refusal(a))
				continue
			}
			p, err := parseProject(s, string(a.Stdout))
			tell(name, p, err)
		}
	},
	// The time at which a container starts is not known beforehand.
	Complete: func(expected, found project) project {
		if expected.Services == nil {
			return expected
		}
		all := map[string]containers{}
		for name, c := range expected.Services {
			c.Started = found.Services[name].Started
			all[name] = c
		}
		expected.Services = all
		return expected
	},
}

func refusal(a remote.Answer) error {
	if a.Err != nil {
		return a.Err
	}
	said, _, _ := strings.Cut(strings.TrimSpace(string(a.Stderr)), "\n")
	if strings.Contains(said, "Cannot connect to the Docker daemon") {
		return fmt.Errorf("docker: %s; start docker.service first (systemctl status docker.service shows why it is not running)", said)
	}
	return fmt.Errorf("docker: %s", said)
}

// inspected is a container as inspection prints it.
type inspected struct {
	Service, Hash, Directory, Oneoff string
	State                            struct {
		Status    string
		ExitCode  int
		StartedAt time.Time
		Health    *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	Restarts int
}

// parseProject parses the output of ask.
func parseProject(s location, text string) (project, error) {
	p := project{Services: map[string]containers{}}
	hashes := map[string]string{}
	var all []inspected
	var now int64
	for line := range strings.Lines(text) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var err error
		switch word {
		case "missing":
			return project{Missing: value}, nil
		case "now":
			now, err = strconv.ParseInt(value, 10, 64)
		case "container":
			var c inspected
			if err = json.Unmarshal([]byte(value), &c); err == nil && c.Oneoff != "True" {
				all = append(all, c)
			}
		case "hash":
			service, hash, ok := strings.Cut(value, " ")
			if ok && len(hash) == 64 { // warnings have other forms
				hashes[service] = hash
			}
		case "refused":
			p.Refused = strings.TrimPrefix(p.Refused+"; "+value, "; ")
		default:
			err = fmt.Errorf("unexpected word %q", word)
		}
		if err != nil {
			return project{}, fmt.Errorf("reading the project %s: %w", s.Name, err)
		}
	}
	for _, c := range all {
		if c.Directory != s.Directory {
			p.Elsewhere = c.Directory
			continue
		}
		have, more := p.Services[c.Service]
		if !more {
			have = containers{Current: true, Started: c.State.StartedAt}
		}
		have.Current = have.Current && c.Hash == hashes[c.Service]
		if c.State.StartedAt.Before(have.Started) {
			have.Started = c.State.StartedAt
		}
		if problem, stopped := c.problem(now); problem != "" {
			have.Problem, have.Stopped = problem, have.Stopped || stopped
		}
		have.End = (have.End || !more) && c.State.Status == "exited" && c.State.ExitCode == 0
		p.Services[c.Service] = have
	}
	return p, nil
}

// problem returns why a container does not run or is not healthy, and whether it has stopped for good.
func (c inspected) problem(now int64) (problem string, stopped bool) {
	switch status := c.State.Status; {
	case status == "restarting":
		return fmt.Sprintf("keeps restarting: it has ended %d times, the last time with exit code %d", c.Restarts, c.State.ExitCode), false
	case status != "running":
		return fmt.Sprintf("is %s (exit code %d)", status, c.State.ExitCode), true
	case c.State.Health != nil && c.State.Health.Status == "healthy":
		return "", false
	case c.State.Health != nil && len(c.State.Health.Log) > 0 && c.State.Health.Status == "unhealthy":
		// The whole line: of a secret that is cut, the rest would not be recognized.
		said, _, _ := strings.Cut(strings.TrimSpace(c.State.Health.Log[len(c.State.Health.Log)-1].Output), "\n")
		return strings.TrimSuffix("is unhealthy: "+said, ": "), false
	case c.State.Health != nil:
		return "is not healthy yet", false
	case time.Unix(now, 0).Sub(c.State.StartedAt) < steady:
		return fmt.Sprintf("has been running for less than %s (%d restarts)", steady, c.Restarts), false
	}
	return "", false
}

// arrives returns what is observed once Compose is installed on a host that did not have it: no project has containers.
func arrives(context.Context, modules.Host) ([]observe.Expectation, error) {
	return []observe.Expectation{{
		Match:  func(k observe.Key) bool { return k.Kind == projects.Name },
		Values: func(observe.Key) any { return project{Services: map[string]containers{}} },
	}}, nil
}

// imagesScript prints which of the images the host has. docker exits with 1 for an image that it does not have as well as for
// any failure.
const imagesScript = `command -v docker >/dev/null || exit 0
for i; do
if _e=$(docker image inspect --format '{{.Id}}' "$i" 2>&1 >/dev/null); then
printf '%s\n' "$i"
else
case $_e in *'No such image'*) ;; *) printf '%s\n' "$_e" >&2; exit 1 ;; esac
fi
done`

// images observes whether the host has an image, by its reference.
var images = &observe.Kind[bool]{
	Name: "image", What: "whether the host has the image %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Args: names, Script: imagesScript}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		a := answers[0]
		have, err := strings.Split(string(a.Stdout), "\n"), a.Err
		if err == nil && a.Exit != 0 {
			err = fmt.Errorf("docker image inspect: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		for _, name := range names {
			tell(name, slices.Contains(have, name), err)
		}
	},
}
