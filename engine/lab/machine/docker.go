package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"
)

// docker is the state of a machine's Docker daemon. All images were pulled, and all containers were created by Compose.
type docker struct {
	mu         sync.Mutex
	images     map[string]bool // by reference
	volumes    map[string]bool
	networks   map[string]bool
	containers []*container // in the order of their creation
}

// container is a container. Its program is assumed to work and to keep running, unless it is true(1) or false(1), which
// end at once.
type container struct {
	id, name string
	labels   map[string]string
	service  composeService
	// wanted is set until the container is stopped on request.
	wanted            bool
	started, finished time.Time
}

// dockerKey is the key of the daemon's state in a machine's values.
type dockerKey struct{}

// docker returns the daemon's state, or nil if its package is not installed.
func (m *Machine) docker() *docker {
	d, _ := m.Value(dockerKey{}).(*docker)
	return d
}

// dockerState is a container's state, with the keys in the order of docker inspect.
type dockerState struct {
	Status                                       string
	Running, Paused, Restarting, OOMKilled, Dead bool
	Pid, ExitCode                                int
	Error                                        string
	StartedAt, FinishedAt                        time.Time
	Health                                       *dockerHealth `json:",omitempty"`
}

type dockerHealth struct {
	Status        string
	FailingStreak int
	Log           []dockerProbe
}

type dockerProbe struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// state returns the container's state at a time, and how often it has been restarted.
func (c *container) state(now time.Time) (s dockerState, restarts int) {
	s = dockerState{Status: "running", Running: true, Pid: 1000, StartedAt: c.started, FinishedAt: c.finished}
	switch {
	case c.started.IsZero():
		s.Status, s.Running, s.Pid = "created", false, 0
	case !c.wanted:
		s.Status, s.Running, s.Pid = "exited", false, 0
	case c.service.ends && c.service.restart != "always" && c.service.restart != "unless-stopped" && (c.service.exit == 0 || c.service.restart != "on-failure"):
		s.Status, s.Running, s.Pid, s.ExitCode, s.FinishedAt = "exited", false, 0, c.service.exit, c.started
	case c.service.ends:
		// The first restart happens after 100 ms. Each further one takes twice as long, up to a minute.
		for wait, at := 100*time.Millisecond, c.started; at.Before(now) && restarts < 1000; wait = min(2*wait, time.Minute) {
			restarts++
			at = at.Add(wait)
		}
		s.Status, s.Restarting, s.Pid, s.ExitCode = "restarting", true, 0, c.service.exit
	default:
		s.Health = c.service.health.at(c.started, now)
	}
	return s, restarts
}

func (c *container) start(now time.Time) { c.wanted, c.started = true, now }

// stop stops a container. It is not restarted.
func (c *container) stop(now time.Time) {
	if c.wanted {
		c.wanted, c.finished = false, now
	}
}

// boot starts the containers that are to start with the daemon.
func (d *docker) boot(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.containers {
		switch {
		case c.wanted && (c.service.restart == "always" || c.service.restart == "unless-stopped"):
			c.start(now)
		case c.wanted:
			c.stop(now)
		}
	}
}

// of returns the containers of a Compose project.
func (d *docker) of(project string) []*container {
	return slices.DeleteFunc(slices.Clone(d.containers), func(c *container) bool { return c.labels[labelProject] != project })
}

func (d *docker) remove(c *container) {
	d.containers = slices.DeleteFunc(d.containers, func(other *container) bool { return other == c })
}

const (
	composePlugin = "/usr/libexec/docker/cli-plugins/docker-compose"
	noDaemon      = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
)

// daemon calls fn with the daemon's state, holding its lock, unless the daemon is not running or the user may not use
// it.
func (c *Call) daemon(fn func(d *docker) int) int {
	d := c.Machine.docker()
	if d == nil || !c.Machine.units.Active("docker") {
		fmt.Fprint(c.Stderr, noDaemon)
		return 1
	}
	if c.User != "root" {
		return notSimulated(c, "another user than root")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return fn(d)
}

// dockerProgram implements docker(1): compose, and the commands that list, inspect and stop containers.
func dockerProgram(ctx context.Context, c *Call) int {
	args := c.Argv[1:]
	take := func(words ...string) bool {
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			return false
		}
		args = args[len(words):]
		return true
	}
	switch {
	case take("compose"):
		if info, err := c.Machine.FS().Stat(composePlugin); err != nil || info.IsDir() {
			if !slices.Equal(args, []string{"version", "--short"}) {
				return notSimulated(c, "compose without its plugin")
			}
			fmt.Fprint(c.Stderr, "unknown flag: --short\nSee 'docker --help'.\n")
			return 125
		}
		return compose(ctx, c, args)
	case take("ps", "--all", "--quiet", "--no-trunc", "--filter") && len(args) == 1 && strings.HasPrefix(args[0], "label=") && strings.Count(args[0], "=") == 2:
		return c.daemon(func(d *docker) int {
			label, value, _ := strings.Cut(strings.TrimPrefix(args[0], "label="), "=")
			for _, one := range slices.Backward(d.containers) {
				if one.labels[label] == value {
					c.printf("%s\n", one.id)
				}
			}
			return 0
		})
	case take("inspect", "--format") && len(args) > 1:
		return c.daemon(func(d *docker) int { return c.inspect(d, args[0], args[1:]) })
	case take("image", "inspect", "--format", "{{.Id}}") && len(args) > 0:
		return c.daemon(func(d *docker) int {
			code := 0
			for _, image := range args {
				if d.images[image] {
					c.printf("%s\n", imageID(image))
					continue
				}
				fmt.Fprintf(c.Stderr, "Error response from daemon: No such image: %s\n", image)
				code = 1
			}
			return code
		})
	case take("stop") && len(args) > 0:
		return c.daemon(func(d *docker) int {
			for _, name := range args {
				one := d.find(name)
				if one == nil {
					fmt.Fprintf(c.Stderr, "Error response from daemon: No such container: %s\n", name)
					return 1
				}
				one.stop(c.Machine.clock.Now())
				c.Machine.Record("docker", "stop "+one.name)
				c.printf("%s\n", name)
			}
			return 0
		})
	}
	return notSimulated(c, strings.Join(c.Argv[1:min(3, len(c.Argv))], " "))
}

// find returns the container with a name or an ID, or nil.
func (d *docker) find(name string) *container {
	if at := slices.IndexFunc(d.containers, func(c *container) bool { return c.name == name || c.id == name }); at >= 0 {
		return d.containers[at]
	}
	return nil
}

// inspect prints containers through a Go template, as Docker does.
func (c *Call) inspect(d *docker, format string, names []string) int {
	t, err := template.New("").Funcs(template.FuncMap{"json": func(v any) (string, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(v)
		return strings.TrimSuffix(b.String(), "\n"), err
	}}).Option("missingkey=error").Parse(format)
	if err != nil {
		return notSimulated(c, "the format "+format)
	}
	for _, name := range names {
		one := d.find(name)
		if one == nil {
			if len(names) > 1 {
				return notSimulated(c, "inspect with a container that is not there among others")
			}
			fmt.Fprintf(c.Stderr, "Error: No such object: %s\n", name)
			c.printf("\n")
			return 1
		}
		state, restarts := one.state(c.Machine.clock.Now())
		err := t.Execute(c.Stdout, map[string]any{
			"Id": one.id, "Name": "/" + one.name, "State": state, "RestartCount": restarts,
			"Config": map[string]any{"Labels": one.labels},
		})
		if err != nil {
			return notSimulated(c, "the format "+format)
		}
		c.printf("\n")
	}
	return 0
}

// imageID returns the ID of an image. In the lab an image consists of nothing but its name.
func imageID(reference string) string { return "sha256:" + hexSum(reference) }

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// dockerPackages returns the packages of Docker in a Debian release. Debian 12 does not have Compose 2.
func dockerPackages(codename string) []Package {
	daemon := Package{Name: "docker.io", Depends: []string{"containerd"},
		Units: []Unit{{Name: "docker", Enabled: true, Active: true, Start: func(m *Machine) error { m.docker().boot(m.clock.Now()); return nil }}},
		Installed: func(m *Machine, _ io.Writer) error {
			if m.docker() == nil {
				m.SetValue(dockerKey{}, &docker{images: map[string]bool{}, volumes: map[string]bool{}, networks: map[string]bool{}})
				m.Serve(80, m.caddyRuns)
			}
			return nil
		}}
	runtime := Package{Name: "containerd", Units: []Unit{{Name: "containerd", Enabled: true, Active: true}}}
	client := map[string]Program{"docker": dockerProgram}
	if codename == "bookworm" {
		daemon.Version, daemon.Programs, runtime.Version = "20.10.24+dfsg1-1+deb12u1+b6", client, "1.6.20~ds1-1+deb12u1"
		return []Package{daemon, runtime, {Name: "docker-compose", Version: "1.29.2-3", Programs: map[string]Program{"docker-compose": unsupported}}}
	}
	daemon.Version, runtime.Version = "26.1.5+dfsg1-9+deb13u1+b1", "1.7.24~ds1-6+deb13u1"
	return []Package{
		daemon, runtime,
		{Name: "docker-cli", Version: "26.1.5+dfsg1-9+deb13u1+b1", Programs: client},
		{Name: "docker-compose", Version: "2.26.1-4", Files: map[string]string{composePlugin: ""},
			Programs: map[string]Program{"docker-compose": func(ctx context.Context, c *Call) int { return compose(ctx, c, c.Argv[1:]) }}},
	}
}
