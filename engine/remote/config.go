package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// endpoint is a host as it is to be dialled: a Target with what ~/.ssh/config and the defaults add.
type endpoint struct {
	name       string // for people
	host       string
	port       int
	user       string
	keys       []string
	knownHosts []string
	// identitiesOnly says that only the named keys are offered, not all of the agent's.
	identitiesOnly bool
	agent          string // socket, empty for none
	home           string
	// via is the hosts to jump through, the nearest first.
	via []*endpoint
}

// address is what is dialled and what known_hosts calls the host.
func (e *endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// None as a path means that there is to be no such file or socket.
const None = "none"

// maxJumps bounds a chain of ProxyJump, which a configuration can make endless.
const maxJumps = 8

// resolver finds endpoints.
type resolver struct {
	config *ssh_config.Config
	path   string
	home   string
	agent  string
}

// newResolver reads the configuration. Only the user's own file is read, not /etc/ssh/ssh_config.
func newResolver(o Options) (*resolver, error) {
	home, _ := os.UserHomeDir() // empty: no defaults below it
	r := &resolver{home: home, path: o.SSHConfig, agent: o.Agent}
	if r.agent == "" {
		r.agent = os.Getenv("SSH_AUTH_SOCK")
	}
	if r.agent == None {
		r.agent = ""
	}
	if r.path == None || r.path == "" && home == "" {
		return r, nil
	}
	if r.path == "" {
		r.path = filepath.Join(home, ".ssh", "config")
	}
	text, err := os.ReadFile(r.path)
	if errors.Is(err, os.ErrNotExist) && o.SSHConfig == "" {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("SSH configuration: %w", err)
	}
	if r.config, err = ssh_config.DecodeBytes(text); err != nil {
		return nil, fmt.Errorf("SSH configuration %s: %w", r.path, err)
	}
	return r, nil
}

// get is the value of a keyword for a host, empty if there is none.
func (r *resolver) get(alias, keyword string) (string, error) {
	if r.config == nil {
		return "", nil
	}
	value, err := r.config.Get(alias, keyword)
	if err != nil {
		return "", fmt.Errorf("SSH configuration %s: %s of %s: %w", r.path, keyword, alias, err)
	}
	return strings.Trim(strings.TrimSpace(value), `"`), nil
}

// all is every value of a keyword for a host.
func (r *resolver) all(alias, keyword string) ([]string, error) {
	if r.config == nil {
		return nil, nil
	}
	values, err := r.config.GetAll(alias, keyword)
	if err != nil {
		return nil, fmt.Errorf("SSH configuration %s: %s of %s: %w", r.path, keyword, alias, err)
	}
	for i, v := range values {
		values[i] = strings.Trim(strings.TrimSpace(v), `"`)
	}
	return values, nil
}

// resolve finds how a target is to be dialled. What the target says comes before what the
// configuration says.
func (r *resolver) resolve(t Target) (*endpoint, error) { return r.find(t, true, 0) }

func (r *resolver) find(t Target, jumps bool, depth int) (*endpoint, error) {
	alias := t.Address
	if alias == "" {
		alias = t.Name
	}
	if alias == "" {
		return nil, errors.New("a host with neither name nor address")
	}
	e := &endpoint{name: t.Name, host: alias, port: t.Port, user: t.User, keys: t.Keys, home: r.home, agent: r.agent}
	if e.name == "" {
		e.name = alias
	}
	values := map[string]string{}
	for _, keyword := range []string{"HostName", "Port", "User", "ProxyJump", "ProxyCommand", "UserKnownHostsFile", "IdentitiesOnly"} {
		value, err := r.get(alias, keyword)
		if err != nil {
			return nil, err
		}
		values[keyword] = value
	}
	if name := values["HostName"]; name != "" {
		e.host = strings.NewReplacer("%%", "%", "%h", alias).Replace(name)
	}
	if e.port == 0 {
		e.port = 22
		if text := values["Port"]; text != "" {
			port, err := strconv.Atoi(text)
			if err != nil || port < 1 || port > 65535 {
				return nil, fmt.Errorf("SSH configuration %s: Port of %s is %q: want a number from 1 to 65535", r.path, alias, text)
			}
			e.port = port
		}
	}
	local := "root"
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	if e.user == "" {
		e.user = values["User"]
	}
	if e.user == "" {
		e.user = local
	}
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			path = filepath.Join(r.home, rest)
		}
		return strings.NewReplacer("%%", "%", "%d", r.home, "%h", e.host, "%n", alias, "%p", strconv.Itoa(e.port),
			"%r", e.user, "%u", local).Replace(path)
	}
	files, err := r.all(alias, "IdentityFile")
	if err != nil {
		return nil, err
	}
	e.keys = nil
	for _, key := range t.Keys {
		if rest, ok := strings.CutPrefix(key, "~/"); ok {
			key = filepath.Join(r.home, rest)
		}
		e.keys = append(e.keys, key)
	}
	for _, file := range files {
		if file != None {
			e.keys = append(e.keys, expand(file))
		}
	}
	e.identitiesOnly = strings.EqualFold(values["IdentitiesOnly"], "yes")
	switch {
	case t.KnownHosts != "":
		e.knownHosts = []string{t.KnownHosts}
	case values["UserKnownHostsFile"] != "":
		for _, file := range strings.Fields(values["UserKnownHostsFile"]) {
			if file != None {
				e.knownHosts = append(e.knownHosts, expand(strings.Trim(file, `"`)))
			}
		}
	case r.home != "":
		e.knownHosts = []string{filepath.Join(r.home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	if command := values["ProxyCommand"]; command != "" && !strings.EqualFold(command, None) && values["ProxyJump"] == "" {
		return nil, fmt.Errorf("SSH configuration %s: %s has a ProxyCommand, which hlplay does not run: use ProxyJump", r.path, alias)
	}
	if jump := values["ProxyJump"]; jumps && jump != "" && !strings.EqualFold(jump, None) {
		if e.via, err = r.chain(jump, t.KnownHosts, depth+1); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// chain resolves "[user@]host[:port],…". As with ssh(1), only the first host of a chain may itself
// have a ProxyJump in the configuration: the others are reached through the one before.
func (r *resolver) chain(list, knownHosts string, depth int) ([]*endpoint, error) {
	if depth > maxJumps {
		return nil, fmt.Errorf("SSH configuration %s: ProxyJump %s: more than %d hosts in a row; does a host jump through itself?", r.path, list, maxJumps)
	}
	var via []*endpoint
	for i, text := range strings.Split(list, ",") {
		t, err := parseJump(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("SSH configuration %s: ProxyJump %s: %w", r.path, list, err)
		}
		t.KnownHosts = knownHosts
		e, err := r.find(t, i == 0, depth)
		if err != nil {
			return nil, err
		}
		via = append(append(via, e.via...), e)
		e.via = nil
	}
	if len(via) > maxJumps {
		return nil, fmt.Errorf("SSH configuration %s: ProxyJump %s: more than %d hosts in a row", r.path, list, maxJumps)
	}
	return via, nil
}

// parseJump reads "[ssh://][user@]host[:port]", an IPv6 address in brackets if a port follows.
func parseJump(text string) (Target, error) {
	var t Target
	text = strings.TrimSuffix(strings.TrimPrefix(text, "ssh://"), "/")
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		t.User, text = text[:i], text[i+1:]
	}
	t.Address = text
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return Target{}, fmt.Errorf("port %q: want a number from 1 to 65535", port)
		}
		t.Address, t.Port = host, n
	} else if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		t.Address = text[1 : len(text)-1]
	}
	if t.Address == "" {
		return Target{}, errors.New("a host without a name")
	}
	t.Name = t.Address
	return t, nil
}
