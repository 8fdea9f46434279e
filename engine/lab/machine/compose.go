package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/afero"
	"go.yaml.in/yaml/v3"
)

// Labels by which Compose finds its containers.
const (
	labelHash      = "com.docker.compose.config-hash"
	labelProject   = "com.docker.compose.project"
	labelDirectory = "com.docker.compose.project.working_dir"
	labelService   = "com.docker.compose.service"
	labelOneOff    = "com.docker.compose.oneoff"
)

// composeService is a service of a project's file, as far as the lab simulates it.
type composeService struct {
	hash, image, restart string
	host                 bool // it uses the host's network
	needs                []string
	volumes              map[string]bool
	health               *composeHealth
	// ends is set for a program that ends at once with the exit code: true(1), false(1).
	ends bool
	exit int
	// none is set for a service scaled to zero containers.
	none bool
	// mounts are the sources of bind mounts by their targets.
	mounts map[string]string
	// command is the command line, if the file gives one.
	command []string
}

// composeHealth is a health check. Its program is assumed to succeed unless it is false(1).
type composeHealth struct {
	interval      time.Duration
	retries, exit int
}

// composeCall is a command line of docker compose.
type composeCall struct {
	*Call
	project, directory, file string
	args                     []string
}

// compose implements docker compose: config --hash, pull, up, restart, stop, down and version.
func compose(_ context.Context, c *Call, args []string) int {
	o, ok := c.parse(args, "+", "project-name=", "project-directory=", "file=")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		return notSimulated(c, "compose without a command")
	}
	p := composeCall{Call: c, project: o.value("project-name"), directory: o.value("project-directory"), file: o.value("file"), args: o.rest[1:]}
	verb := o.rest[0]
	if verb == "version" && slices.Equal(p.args, []string{"--short"}) {
		c.printf("2.26.1-4\n")
		return 0
	}
	if p.project == "" {
		return notSimulated(c, "compose without --project-name")
	}
	if verb == "down" && slices.Equal(p.args, []string{"--remove-orphans"}) {
		return c.daemon(p.down)
	}
	if p.directory == "" || p.file == "" {
		return notSimulated(c, "compose "+verb+" without --project-directory and --file")
	}
	services, code := p.load()
	if code != 0 {
		return code
	}
	switch {
	case verb == "config" && slices.Equal(p.args, []string{"--hash", "*"}):
		for _, name := range slices.Sorted(maps.Keys(services)) {
			c.printf("%s %s\n", name, services[name].hash)
		}
		return 0
	case verb == "up" && slices.Equal(p.args, []string{"--detach", "--remove-orphans", "--quiet-pull"}):
		return c.daemon(func(d *docker) int { return p.up(d, services) })
	case verb == "pull" && len(p.args) > 1 && p.args[0] == "--quiet":
		return c.daemon(func(d *docker) int {
			for _, name := range p.args[1:] {
				if code := p.fetch(d, services[name].image); code != 0 {
					return code
				}
			}
			return 0
		})
	case (verb == "restart" || verb == "stop") && len(p.args) > 0 && !strings.HasPrefix(p.args[0], "-"):
		return c.daemon(func(d *docker) int { return p.each(d, verb) })
	}
	return notSimulated(c, "compose "+strings.Join(o.rest, " "))
}

func (p composeCall) say(what, name, does string) {
	fmt.Fprintf(p.Stderr, " %s %s  %s\n", what, name, does)
}

// fetch pulls an image. The lab's registries have every image, except those in .invalid, which do not resolve.
func (p composeCall) fetch(d *docker, image string) int {
	if d.images[image] {
		return 0
	}
	host, _, _ := strings.Cut(image, "/")
	if strings.HasSuffix(host, ".invalid") {
		fmt.Fprintf(p.Stderr, "Error response from daemon: Get \"https://%s/v2/\": dial tcp: lookup %[1]s: no such host\n", host)
		return 18
	}
	d.mu.Unlock()
	goesOn := p.Spend(5 * time.Second)
	d.mu.Lock()
	if !goesOn {
		return 130
	}
	d.images[image] = true
	p.Machine.Record("docker", "pull "+image)
	return 0
}

func (p composeCall) up(d *docker, services map[string]composeService) int {
	now := p.Machine.clock.Now
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if code := p.fetch(d, services[name].image); code != 0 {
			return code
		}
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if s := services[name]; !s.host && !d.networks[p.project+"_default"] {
			d.networks[p.project+"_default"] = true
			p.say("Network", p.project+"_default", "Creating")
			p.say("Network", p.project+"_default", "Created")
		}
		for _, volume := range services[name].volumeNames(p.project) {
			if !d.volumes[volume] {
				d.volumes[volume] = true
				p.say("Volume", fmt.Sprintf("%q", volume), "Creating")
				p.say("Volume", fmt.Sprintf("%q", volume), "Created")
			}
		}
	}
	for _, c := range d.of(p.project) {
		if _, known := services[c.labels[labelService]]; !known {
			p.take(d, c)
		}
	}
	for _, name := range composeOrder(services) {
		s := services[name]
		var c *container
		for _, one := range d.of(p.project) {
			if one.labels[labelService] == name {
				c = one
			}
		}
		if s.none {
			if c != nil {
				p.take(d, c)
			}
			continue
		}
		state := dockerState{}
		if c != nil {
			state, _ = c.state(now())
		}
		switch {
		case c == nil:
			c = &container{name: p.project + "-" + name + "-1"}
			d.containers = append(d.containers, c)
			p.say("Container", c.name, "Creating")
			p.say("Container", c.name, "Created")
		case c.labels[labelHash] != s.hash:
			p.say("Container", c.name, "Recreate")
			p.say("Container", c.name, "Recreated")
		case state.Running:
			p.say("Container", c.name, "Running")
			continue
		default:
			p.say("Container", c.name, "Created")
		}
		if c.labels[labelHash] != s.hash {
			c.id = hexSum(newUUID())
			c.labels = map[string]string{labelProject: p.project, labelDirectory: p.directory, labelService: name, labelHash: s.hash, labelOneOff: "False"}
		}
		c.service = s
		c.start(now())
		p.Machine.Record("docker", "start "+c.name)
		p.say("Container", c.name, "Starting")
		p.say("Container", c.name, "Started")
	}
	return 0
}

// composeOrder sorts the services so that each comes after those that it depends on.
func composeOrder(services map[string]composeService) []string {
	var all []string
	var add func(name string)
	add = func(name string) {
		if slices.Contains(all, name) {
			return
		}
		for _, other := range services[name].needs {
			add(other)
		}
		all = append(all, name)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		add(name)
	}
	return all
}

// take stops and removes a container.
func (p composeCall) take(d *docker, c *container) {
	p.say("Container", c.name, "Stopping")
	p.say("Container", c.name, "Stopped")
	p.say("Container", c.name, "Removing")
	p.say("Container", c.name, "Removed")
	d.remove(c)
	p.Machine.Record("docker", "remove "+c.name)
}

func (p composeCall) down(d *docker) int {
	all := d.of(p.project)
	network := p.project + "_default"
	if len(all) == 0 && !d.networks[network] {
		fmt.Fprintf(p.Stderr, "Warning: No resource found to remove for project %q.\n", p.project)
		return 0
	}
	for _, c := range all {
		p.take(d, c)
	}
	if d.networks[network] {
		delete(d.networks, network)
		p.say("Network", network, "Removing")
		p.say("Network", network, "Removed")
	}
	return 0
}

// each restarts or stops the containers of services.
func (p composeCall) each(d *docker, verb string) int {
	for _, c := range d.of(p.project) {
		if !slices.Contains(p.args, c.labels[labelService]) {
			continue
		}
		if verb == "stop" {
			p.say("Container", c.name, "Stopping")
			p.say("Container", c.name, "Stopped")
			c.stop(p.Machine.clock.Now())
		} else {
			p.say("Container", c.name, "Restarting")
			p.say("Container", c.name, "Started")
			c.start(p.Machine.clock.Now())
		}
		p.Machine.Record("docker", verb+" "+c.name)
	}
	return 0
}

// load reads the project's file. It refuses a file with anything that the lab cannot simulate.
func (p composeCall) load() (map[string]composeService, int) {
	text, err := afero.ReadFile(p.view(), p.file)
	if err != nil {
		fmt.Fprintf(p.Stderr, "open %s: no such file or directory\n", p.file)
		return nil, 14
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		fmt.Fprintln(p.Stderr, err)
		return nil, 15
	}
	set, err := p.variables()
	if err == nil {
		var filled any
		if filled, err = interpolate(document, set); err == nil {
			document, _ = filled.(map[string]any)
		}
	}
	if err != nil {
		return nil, notSimulated(p.Call, err.Error())
	}
	for key := range document {
		if !slices.Contains([]string{"services", "volumes", "networks", "configs", "secrets"}, key) {
			return nil, notSimulated(p.Call, p.file+": "+key)
		}
	}
	all := map[string]composeService{}
	services, _ := document["services"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		keys, _ := services[name].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if !slices.Contains(composeKeys, key) {
				fmt.Fprintf(p.Stderr, "validating %s: services.%s Additional property %s is not allowed\n", p.file, name, key)
				return nil, 15
			}
		}
		s, err := p.service(keys)
		if err != nil {
			return nil, notSimulated(p.Call, fmt.Sprintf("%s: services.%s: %v", p.file, name, err))
		}
		all[name] = s
	}
	if len(all) == 0 {
		fmt.Fprintln(p.Stderr, "no service selected")
		return nil, 1
	}
	return all, 0
}

// composeKeys are the keys of a service in Compose's specification.
var composeKeys = strings.Fields(`annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
	cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules
	devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends external_links extra_hosts group_add healthcheck hostname
	image init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode networks
	oom_kill_disable oom_score_adj pid pids_limit platform ports privileged profiles pull_policy read_only restart runtime scale secrets security_opt
	shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from working_dir`)

// inert are the keys of a service that do not affect anything that the lab simulates.
var inert = strings.Fields("environment ports user read_only cap_add cap_drop labels logging init hostname stop_grace_period security_opt tmpfs")

func (p composeCall) service(keys map[string]any) (composeService, error) {
	s := composeService{volumes: map[string]bool{}, mounts: map[string]string{}}
	canonical, err := json.Marshal(keys)
	if err != nil {
		return s, err
	}
	s.hash = hexSum(string(canonical))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value := keys[key]
		text, scalar := value.(string)
		switch {
		case key == "image" && scalar:
			s.image = text
		case key == "restart" && scalar:
			s.restart = text
		case key == "network_mode" && text == "host":
			s.host = true
		case key == "scale" && (value == 0 || value == 1):
			s.none = value == 0
		case key == "command":
			s.command = stringsOf(value)
			if len(s.command) > 0 {
				s.ends = path.Base(s.command[0]) == "true" || path.Base(s.command[0]) == "false"
				s.exit = falsity(s.command[0])
			}
		case key == "depends_on":
			if list := stringsOf(value); len(list) > 0 {
				s.needs = list
			} else if conditions, ok := value.(map[string]any); ok {
				s.needs = slices.Sorted(maps.Keys(conditions))
			}
		case key == "volumes":
			for _, entry := range stringsOf(value) {
				source, target, _ := strings.Cut(entry, ":")
				target, _, _ = strings.Cut(target, ":")
				switch {
				case target == "":
					return s, fmt.Errorf("the volume %q", entry)
				case !strings.Contains(source, "/") && source != ".":
					s.volumes[source] = true
				case path.IsAbs(source):
					s.mounts[target] = source
				default:
					s.mounts[target] = path.Join(p.directory, source)
				}
			}
			if list, _ := value.([]any); len(list) != len(stringsOf(value)) {
				return s, plainError("the long form of volumes")
			}
		case key == "healthcheck":
			check, _ := value.(map[string]any)
			test := stringsOf(check["test"])
			interval, err := time.ParseDuration(fmt.Sprint(check["interval"]))
			if len(test) < 2 || err != nil || interval <= 0 {
				return s, plainError("a health check without test and interval")
			}
			s.health = &composeHealth{interval: interval, retries: 3, exit: falsity(test[1])}
			if n, ok := check["retries"].(int); ok {
				s.health.retries = n
			}
		case !slices.Contains(inert, key):
			return s, plainError(key)
		}
	}
	if s.image == "" {
		return s, plainError("no image")
	}
	return s, nil
}

// falsity returns the exit code of a program: 1 for false(1), and otherwise 0.
func falsity(program string) int {
	if path.Base(program) == "false" {
		return 1
	}
	return 0
}

// stringsOf returns the strings of a list.
func stringsOf(value any) []string {
	var all []string
	list, _ := value.([]any)
	for _, one := range list {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// variables reads the project's .env.
func (p composeCall) variables() (map[string]string, error) {
	set := map[string]string{}
	text, err := afero.ReadFile(p.view(), path.Join(p.directory, ".env"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return set, nil
	case err != nil:
		return nil, err
	}
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch {
		case key == "" || strings.HasPrefix(key, "#"):
		case !ok || strings.ContainsAny(value, `"'$\`):
			return nil, plainError(".env with quotes or variables")
		default:
			set[key] = value
		}
	}
	return set, nil
}

var composeVariable = regexp.MustCompile(`\$(\$|\{[A-Za-z_][A-Za-z0-9_]*\}|[^{]|\{)`)

// interpolate fills in the variables in all strings of a file.
func interpolate(value any, set map[string]string) (any, error) {
	switch v := value.(type) {
	case string:
		var wrong error
		filled := composeVariable.ReplaceAllStringFunc(v, func(found string) string {
			name := strings.Trim(found, "${}")
			switch {
			case found == "$$":
				return "$"
			case !strings.HasPrefix(found, "${") || name == "":
				wrong = plainError("the variable in " + v)
			}
			return set[name]
		})
		return filled, wrong
	case []any:
		all := make([]any, len(v))
		for i := range v {
			filled, err := interpolate(v[i], set)
			if err != nil {
				return nil, err
			}
			all[i] = filled
		}
		return all, nil
	case map[string]any:
		all := map[string]any{}
		for key := range v {
			filled, err := interpolate(v[key], set)
			if err != nil {
				return nil, err
			}
			all[key] = filled
		}
		return all, nil
	}
	return value, nil
}

// at returns the state of the health check of a container that was started at the given time, or nil if there is no
// check.
func (h *composeHealth) at(started, now time.Time) *dockerHealth {
	if h == nil {
		return nil
	}
	probes := int(now.Sub(started) / h.interval)
	is := &dockerHealth{Status: "starting", Log: []dockerProbe{}}
	for i := max(0, probes-5); i < probes; i++ {
		at := started.Add(time.Duration(i+1) * h.interval)
		is.Log = append(is.Log, dockerProbe{Start: at, End: at, ExitCode: h.exit})
	}
	switch {
	case probes > 0 && h.exit == 0:
		is.Status = "healthy"
	case h.exit != 0:
		is.FailingStreak = probes
		if probes >= h.retries {
			is.Status = "unhealthy"
		}
	}
	return is
}

// volumeNames returns the names of the service's volumes in a project, sorted.
func (s composeService) volumeNames(project string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.volumes)) {
		all = append(all, project+"_"+name)
	}
	return all
}
