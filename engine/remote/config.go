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

// endpoint is a host to dial: a Target completed from ~/.ssh/config and the defaults.
type endpoint struct {
	name string // for messages
	host string
	port int
	user string
	// network is tcp, tcp4 or tcp6. from is the address to connect from, empty for any.
	network, from string
	keys          []string
	// certificates are the files with certificates for user keys.
	certificates []string
	// noDefaults turns off the default keys.
	noDefaults bool
	knownHosts []string
	// newKeys is the known_hosts file to which the keys of new hosts are added.
	newKeys string
	// acceptNew is set if the configuration says that the keys of new hosts are added without asking.
	acceptNew bool
	// keyName is the host's name in known_hosts, if it differs.
	keyName string
	// dialTimeout is the time limit that the configuration sets for a dial, or zero.
	dialTimeout time.Duration
	// identitiesOnly is set if only the configured keys are offered, not all of the agent's.
	identitiesOnly bool
	agent          string // path of its socket, or empty
	home           string
	// via lists the jump hosts, the nearest first.
	via []*endpoint
	// proxy is the command to connect through, or nil.
	proxy *proxyCommand
}

// address returns the address to dial.
func (e *endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// None as a path means no file or socket.
const None = "none"

// maxJumps limits the length of a ProxyJump chain, which a configuration can make endless.
const maxJumps = 8

// resolver turns Targets into endpoints.
type resolver struct {
	config *sshconfig.Config
	home   string
	local  string // the user who runs hlplay
	agent  string // from the options or the environment
	// anyAgent is set if the configuration may name another agent.
	anyAgent bool
	notes    []string
}

// newResolver reads the configuration. /etc/ssh/ssh_config is not read, only the user's own file.
func newResolver(o Options) (*resolver, error) {
	home, _ := os.UserHomeDir() // if empty, there are no default paths below it
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

// resolve returns the endpoint of a target. The target overrides the configuration.
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

// find returns the endpoint of a host in a chain. jumps reports whether the host's own ProxyJump or ProxyCommand
// applies.
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
		e.via, err = r.chain(jump, only(tokens, "hnpr"), t.KnownHosts, depth+1)
	case command.Set() && !strings.EqualFold(command.Text, None):
		e.proxy, err = newProxyCommand(command, e, tokens)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// refuseUnsupported rejects options that would make ssh connect elsewhere, or distrust a key that hlplay trusts.
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

// trust applies StrictHostKeyChecking, and adds a note if it is less strict than refusing unknown hosts. A changed key
// is always refused.
func (r *resolver) trust(e *endpoint, checking sshconfig.Setting) error {
	note := "%s: StrictHostKeyChecking %s: the key of a host that is seen for the first time is trusted and recorded"
	switch value := strings.ToLower(checking.Value()); value {
	case "", "yes", "true", "ask": // hlplay does not ask during a run: the user has to check the key
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

// tokens returns the values of %h and the other tokens.
func (r *resolver) tokens(e *endpoint, alias string) map[byte]string {
	local, _ := os.Hostname() // if empty, so are its tokens
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

// only returns the tokens with these names.
func only(tokens map[byte]string, names string) map[byte]string {
	some := map[byte]string{}
	for i := range len(names) {
		some[names[i]] = tokens[names[i]]
	}
	return some
}

// files sets the keys, the agent and the known_hosts files of an endpoint.
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

// chain resolves the ProxyJump "[user@]host[:port],…". tokens are those of the host behind it. As in ssh(1), only the first
// host of a chain may have a ProxyJump in the configuration; each of the others is reached through the one before it.
func (r *resolver) chain(jump sshconfig.Setting, tokens map[byte]string, knownHosts string, depth int) ([]*endpoint, error) {
	list, _, _ := strings.Cut(jump.Text, "#")
	list, err := jump.Expand(strings.TrimSpace(list), tokens)
	if err != nil {
		return nil, err
	}
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

// parseJump parses "[ssh://][user@]host[:port]". An IPv6 address with a port is in brackets.
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

// Check resolves each target without dialling it. The error names a line of the configuration that is not supported.
// notes list what is ignored in the configuration and in the known_hosts files.
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
