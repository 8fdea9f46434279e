package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"hlplay/engine/sshconfig"
)

// endpoint is a host as it is to be dialled: a Target with what ~/.ssh/config and the defaults add.
type endpoint struct {
	name string // for people
	host string
	port int
	user string
	// network is tcp, or tcp4 or tcp6 only; from is the address to connect from, empty for any.
	network, from string
	keys          []string
	// certificates are files with what a certificate authority has signed of keys.
	certificates []string
	// noDefaults says that the keys with the usual names are not offered.
	noDefaults bool
	knownHosts []string
	// newKeys is the known_hosts file that keys of hosts seen for the first time are added to.
	newKeys string
	// acceptNew says that the configuration has them added without a question.
	acceptNew bool
	// keyName is what known_hosts calls the host, if it is another name.
	keyName string
	// dialTimeout is how long the configuration lets a dial take; zero means that it does not say.
	dialTimeout time.Duration
	// identitiesOnly says that only the named keys are offered, not all of the agent's.
	identitiesOnly bool
	agent          string // socket, empty for none
	home           string
	// via is the hosts to jump through, the nearest first.
	via []*endpoint
	// proxy is the command to connect through; nil if there is none.
	proxy *proxyCommand
}

// address is what is dialled.
func (e *endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// None as a path means that there is to be no such file or socket.
const None = "none"

// maxJumps bounds a chain of ProxyJump, which a configuration can make endless.
const maxJumps = 8

// resolver finds endpoints.
type resolver struct {
	config *sshconfig.Config
	home   string
	local  string // who runs hlplay
	agent  string // as the options or the environment say it
	// anyAgent says that the configuration may name another.
	anyAgent bool
	notes    []string
}

// newResolver reads the configuration. Only the user's own file is read, not /etc/ssh/ssh_config.
func newResolver(o Options) (*resolver, error) {
	home, _ := os.UserHomeDir() // empty: no defaults below it
	r := &resolver{home: home, local: "root", agent: o.Agent, anyAgent: o.Agent == ""}
	if u, err := user.Current(); err == nil {
		r.local = u.Username
	}
	if r.agent == "" {
		r.agent = os.Getenv("SSH_AUTH_SOCK")
	}
	if r.agent == None {
		r.agent = ""
	}
	path := o.SSHConfig
	if path == None || path == "" && home == "" {
		return r, nil
	}
	if path == "" {
		path = filepath.Join(home, ".ssh", "config")
	}
	config, err := sshconfig.Load(path, home, o.SSHConfig == "")
	if errors.Is(err, fs.ErrNotExist) && o.SSHConfig == "" {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("SSH configuration: %w", err)
	}
	r.config = config
	return r, nil
}

// resolve finds how a target is to be dialled. What the target says comes before what the
// configuration says.
func (r *resolver) resolve(t Target) (*endpoint, error) {
	e, err := r.find(t, true, 0)
	if err != nil {
		return nil, fmt.Errorf("SSH configuration: %w", err)
	}
	if t.MovedTo != "" {
		if e.keyName == "" {
			e.keyName = strings.ToLower(knownhosts.Normalize(e.address()))
		}
		e.host = t.MovedTo
	}
	return e, nil
}

// find does that for a host of a chain; jumps says whether its own ProxyJump or ProxyCommand counts.
func (r *resolver) find(t Target, jumps bool, depth int) (*endpoint, error) {
	alias := t.Address
	if alias == "" {
		alias = t.Name
	}
	if alias == "" {
		return nil, errors.New("a host with neither name nor address")
	}
	set, host, err := r.config.For(sshconfig.Query{Host: alias, User: t.User, LocalUser: r.local})
	if err != nil {
		return nil, err
	}
	for _, note := range set.Notes {
		if !slices.Contains(r.notes, note.String()) {
			r.notes = append(r.notes, note.String())
		}
	}
	e := &endpoint{name: t.Name, host: host, port: t.Port, user: t.User, network: "tcp", home: r.home, agent: r.agent}
	if e.name == "" {
		e.name = alias
	}
	if err := refuseUnsupported(set, host); err != nil {
		return nil, err
	}
	if e.port == 0 {
		e.port = 22
		if port := set.Get("Port"); port.Set() {
			if e.port, err = strconv.Atoi(port.Value()); err != nil || e.port < 1 || e.port > 65535 {
				return nil, port.Errorf("Port of %s is %q: want a number from 1 to 65535", alias, port.Value())
			}
		}
	}
	if e.user == "" {
		e.user = set.Get("User").Value()
	}
	if e.user == "" {
		e.user = r.local
	}
	switch family := set.Get("AddressFamily"); strings.ToLower(family.Value()) {
	case "", "any":
	case "inet":
		e.network = "tcp4"
	case "inet6":
		e.network = "tcp6"
	default:
		return nil, family.Errorf("AddressFamily %s: want any, inet or inet6", family.Value())
	}
	if err := r.trust(e, set.Get("StrictHostKeyChecking")); err != nil {
		return nil, err
	}
	if e.dialTimeout, err = dialLimit(set.Get("ConnectTimeout")); err != nil {
		return nil, err
	}
	e.from = set.Get("BindAddress").Value()
	e.keyName = strings.ToLower(set.Get("HostKeyAlias").Value())
	tokens := r.tokens(e, alias)
	if err := r.files(e, t, set, tokens); err != nil {
		return nil, err
	}
	if !jumps {
		return e, nil
	}
	jump, command := set.Get("ProxyJump"), set.Get("ProxyCommand")
	switch {
	case jump.Set() && !strings.EqualFold(jump.Text, None):
		e.via, err = r.chain(jump, t.KnownHosts, depth+1)
	case command.Set() && !strings.EqualFold(command.Text, None):
		e.proxy, err = newProxyCommand(command, e, tokens)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// refuseUnsupported refuses what would lead elsewhere than ssh goes, or trust a key that ssh does not.
func refuseUnsupported(set *sshconfig.Settings, host string) error {
	_, notAddress := netip.ParseAddr(host)
	for _, no := range []struct{ keyword, harmless, why string }{
		{"CanonicalizeHostname", "no", "hlplay does not make names canonical: give the full name by HostName"},
		{"CanonicalizePermittedCNAMEs", "none", "hlplay does not make names canonical: give the full name by HostName"},
		{"BindInterface", "none", "hlplay does not bind to interfaces: use BindAddress"},
		{"ProxyUseFdpass", "no", "hlplay takes no descriptors from a ProxyCommand: let the command pass the connection through its standard streams"},
		{"KnownHostsCommand", "none", "hlplay runs no such command: write the keys into known_hosts"},
		{"RevokedHostKeys", "none", "hlplay does not read such a list: write its keys into known_hosts, marked with @revoked"},
	} {
		s := set.Get(no.keyword)
		if !s.Set() || strings.EqualFold(s.Value(), no.harmless) || no.harmless == "no" && strings.EqualFold(s.Value(), "false") || strings.HasPrefix(no.keyword, "Canonicalize") && notAddress == nil {
			continue
		}
		return s.Errorf("%s %s: %s", no.keyword, s.Text, no.why)
	}
	return nil
}

// trust takes over what is to be done about a host that is seen for the first time, and says so where that is less than to
// refuse it. A key that has changed is refused whatever the configuration says.
func (r *resolver) trust(e *endpoint, checking sshconfig.Setting) error {
	note := "%s: StrictHostKeyChecking %s: the key of a host that is seen for the first time is trusted and recorded"
	switch value := strings.ToLower(checking.Value()); value {
	case "", "yes", "true", "ask": // there is no asking: who it is about has to see the key
		return nil
	case "accept-new":
	case "no", "false", "off":
		note += "; one that has changed is refused all the same"
	default:
		return checking.Errorf("StrictHostKeyChecking %s: want yes, ask, accept-new or no", checking.Value())
	}
	e.acceptNew = true
	if note = fmt.Sprintf(note, checking.Place, checking.Value()); !slices.Contains(r.notes, note) {
		r.notes = append(r.notes, note)
	}
	return nil
}

// tokens are what %h and its like stand for.
func (r *resolver) tokens(e *endpoint, alias string) map[byte]string {
	local, _ := os.Hostname() // empty, like its tokens
	short, _, _ := strings.Cut(local, ".")
	key := e.keyName
	if key == "" {
		key = alias
	}
	return map[byte]string{
		'd': r.home, 'h': e.host, 'i': strconv.Itoa(os.Getuid()), 'k': key, 'L': short, 'l': local, 'n': alias,
		'p': strconv.Itoa(e.port), 'r': e.user, 'u': r.local,
	}
}

// files finds the keys, the agent and the known_hosts files of an endpoint.
func (r *resolver) files(e *endpoint, t Target, set *sshconfig.Settings, tokens map[byte]string) error {
	for _, key := range t.Keys {
		if rest, ok := strings.CutPrefix(key, "~/"); ok {
			key = filepath.Join(r.home, rest)
		}
		e.keys = append(e.keys, key)
	}
	for _, file := range set.IdentityFiles() {
		e.noDefaults = true
		if strings.EqualFold(file.Value(), None) {
			continue
		}
		path, err := file.Path(file.Value(), r.home, tokens)
		if err != nil {
			return err
		}
		e.keys = append(e.keys, path)
	}
	for _, file := range set.CertificateFiles() {
		path, err := file.Path(file.Value(), r.home, tokens)
		if err != nil {
			return err
		}
		e.certificates = append(e.certificates, path)
	}
	e.noDefaults = e.noDefaults || len(e.keys) > 0
	only := set.Get("IdentitiesOnly")
	if e.identitiesOnly = slices.Contains([]string{"yes", "true"}, strings.ToLower(only.Value())); !e.identitiesOnly && only.Set() &&
		!slices.Contains([]string{"no", "false"}, strings.ToLower(only.Value())) {
		return only.Errorf("IdentitiesOnly %s: want yes or no", only.Text)
	}
	if socket := set.Get("IdentityAgent"); r.anyAgent && socket.Set() {
		switch name, variable := strings.CutPrefix(socket.Value(), "$"); {
		case strings.EqualFold(socket.Value(), None):
			e.agent = ""
		case socket.Value() == "SSH_AUTH_SOCK":
		case variable && !strings.HasPrefix(name, "{"):
			e.agent = os.Getenv(name)
		default:
			var err error
			if e.agent, err = socket.Path(socket.Value(), r.home, tokens); err != nil {
				return err
			}
		}
	}
	if t.KnownHosts != "" {
		e.knownHosts, e.newKeys = []string{t.KnownHosts}, t.KnownHosts
		return nil
	}
	users := []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	if r.home == "" {
		users = nil
	}
	for _, of := range []struct {
		keyword  string
		defaults []string
	}{{"UserKnownHostsFile", users}, {"GlobalKnownHostsFile", []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}}} {
		s := set.Get(of.keyword)
		if s.Set() {
			of.defaults = s.Args
		}
		for _, file := range of.defaults {
			if strings.EqualFold(file, None) {
				continue
			}
			path, err := s.Path(file, r.home, tokens)
			if err != nil {
				return err
			}
			if of.keyword == "UserKnownHostsFile" && e.newKeys == "" {
				e.newKeys = path
			}
			e.knownHosts = append(e.knownHosts, path)
		}
	}
	return nil
}

// chain resolves "[user@]host[:port],…". As with ssh(1), only the first host of a chain may itself
// have a ProxyJump in the configuration: the others are reached through the one before.
func (r *resolver) chain(jump sshconfig.Setting, knownHosts string, depth int) ([]*endpoint, error) {
	list, _, _ := strings.Cut(jump.Text, "#")
	list = strings.TrimSpace(list)
	if depth > maxJumps {
		return nil, jump.Errorf("ProxyJump %s: more than %d hosts in a row; does a host jump through itself?", list, maxJumps)
	}
	var via []*endpoint
	for i, text := range strings.Split(list, ",") {
		t, err := parseJump(strings.TrimSpace(text))
		if err != nil {
			return nil, jump.Errorf("ProxyJump %s: %v", list, err)
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
		return nil, jump.Errorf("ProxyJump %s: more than %d hosts in a row", list, maxJumps)
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

// Check finds out how each target would be dialled, without dialling it. The error says what the configuration has that
// cannot be followed, with its line; notes are what is left out of it and of the known_hosts files.
func Check(targets []Target, o Options) (notes []string, err error) {
	r, err := newResolver(o)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		e, err := r.resolve(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		for _, hop := range append(e.via, e) {
			known, err := knownHosts.load(hop.knownHosts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			for _, note := range known.notes {
				if !slices.Contains(r.notes, note) {
					r.notes = append(r.notes, note)
				}
			}
		}
	}
	return r.notes, nil
}
