package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// ServeHTTP simulates Caddy on the machine's port 80, passing requests on to frps, as far as the lab supports that.
// Both may run in a container or as a service.
func (m *Machine) ServeHTTP(listener net.Listener) error {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, text := m.publishes(strings.ToLower(r.Host))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // the client may be gone
		}),
		ErrorLog: log.New(io.Discard, "", 0), // a client may hang up
	}
	server.SetKeepAlivesEnabled(false)
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// frpSettings are the settings of frps and frpc that the lab supports.
type frpSettings struct {
	Auth struct {
		Token string `json:"token"`
	} `json:"auth"`
	// For frps.
	BindPort      int    `json:"bindPort"`
	ProxyBindAddr string `json:"proxyBindAddr"`
	VhostHTTPPort int    `json:"vhostHTTPPort"`
	// For frpc.
	ServerAddr    string `json:"serverAddr"`
	ServerPort    int    `json:"serverPort"`
	LoginFailExit bool   `json:"loginFailExit"`
	Proxies       []struct {
		Name          string   `json:"name"`
		Type          string   `json:"type"`
		LocalIP       string   `json:"localIP"`
		LocalPort     int      `json:"localPort"`
		CustomDomains []string `json:"customDomains"`
	} `json:"proxies"`
}

// publishes returns the response to a request for a host name.
func (m *Machine) publishes(host string) (status int, text string) {
	caddyfile, ok := m.mounted("caddy", "/etc/caddy/Caddyfile")
	if !ok && m.units.Active("caddy") {
		caddyfile, ok = m.Value(caddyfileKey{}).(string)
	}
	if !ok {
		return http.StatusNotImplemented, "not simulated: a web server that is not Caddy with a Caddyfile\n"
	}
	sites, ok := sitesOf(caddyfile)
	if !ok {
		return http.StatusNotImplemented, "not simulated: a Caddyfile with more than sites with a reverse_proxy\n"
	}
	upstream, plain := sites["http://"+host]
	if !plain {
		if sites["https://"+host] != "" {
			return http.StatusPermanentRedirect, ""
		}
		return http.StatusOK, "" // Caddy's response for an unknown site
	}
	server, ok := m.frp("frps")
	if !ok || upstream != net.JoinHostPort("127.0.0.1", strconv.Itoa(server.VhostHTTPPort)) {
		return http.StatusBadGateway, ""
	}
	for _, other := range m.network.all() {
		if other.forwards(m, server, host) {
			return http.StatusOK, "<!DOCTYPE html>\n"
		}
	}
	return http.StatusNotFound, "The page you requested was not found. Faithfully yours, frp.\n"
}

// forwards reports whether the machine's frpc is logged in to a server and connects a domain with a local port on which
// something listens.
func (m *Machine) forwards(to *Machine, server frpSettings, domain string) bool {
	client, ok := m.frp("frpc")
	if !ok || client.Auth.Token != server.Auth.Token || client.ServerPort != server.BindPort {
		return false
	}
	reached, ok := m.Reach(client.ServerAddr)
	if !ok || reached != to || to != m && !to.admits(m.sourceTo(to.addresses[0].Addr()), client.ServerPort) {
		return false
	}
	for _, p := range client.Proxies {
		if p.Type == "http" && slices.Contains(p.CustomDomains, domain) && m.Open(p.LocalPort) {
			return true
		}
	}
	return false
}

// frp returns the settings of the machine's frps or frpc, and whether a container or service runs it with settings that
// the lab supports.
func (m *Machine) frp(program string) (frpSettings, bool) {
	var settings frpSettings
	text, ok := m.mounted(program, "/etc/frp/"+program+".json", "-c", "/etc/frp/"+program+".json")
	if !ok {
		text, ok = m.credential(program)
	}
	if !ok {
		return settings, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	return settings, decoder.Decode(&settings) == nil
}

// credential returns the content of the credential file that a running service gets with -c. A service reads it when it
// starts, and the lab does not keep old content: ok is false if the file has been written since.
func (m *Machine) credential(program string) (content string, ok bool) {
	file := "/etc/systemd/system/" + program + ".service"
	text, err := afero.ReadFile(m.FS(), file)
	status, _ := m.units.Get(program)
	if err != nil || status.ActiveState != "active" {
		return "", false
	}
	d := declared(string(text))
	if path.Base(d.exec) != program || len(d.args) != 2 || d.args[0] != "-c" {
		return "", false
	}
	source := ""
	for line := range strings.Lines(string(text)) {
		value, is := strings.CutPrefix(strings.TrimSpace(line), "LoadCredential=")
		if name, from, _ := strings.Cut(value, ":"); is && d.args[1] == "%d/"+name {
			source = from
		}
	}
	info, err := m.FS().Stat(source)
	if err != nil || info.ModTime().After(status.Since) {
		return "", false
	}
	settings, err := afero.ReadFile(m.FS(), source)
	return string(settings), err == nil
}

// caddyfileKey is the key of the Caddyfile that Caddy's service has loaded, in a machine's values.
type caddyfileKey struct{}

// caddyPackage returns the package that runs Caddy as a service.
func caddyPackage(version string) Package {
	read := func(m *Machine) error {
		text, err := afero.ReadFile(m.FS(), "/etc/caddy/Caddyfile")
		if err != nil {
			return saying("Error: reading config from file: open /etc/caddy/Caddyfile: %s", errText(err))
		}
		m.SetValue(caddyfileKey{}, string(text))
		return nil
	}
	return Package{Name: "caddy", Version: version, Programs: map[string]Program{"caddy": caddy},
		Conffiles: map[string]string{"/etc/caddy/Caddyfile": ":80 {\n\troot * /usr/share/caddy\n\tfile_server\n}\n"},
		Units: []Unit{{Name: "caddy", Enabled: true, Active: true, Start: read, Reload: func(m *Machine) {
			_ = read(m) // on error it keeps its configuration
		}}},
		Installed: func(m *Machine, _ io.Writer) error {
			m.Serve(80, m.caddyRuns)
			return nil
		}}
}

// caddyRuns reports whether Caddy runs in a container or as a service.
func (m *Machine) caddyRuns() bool { return m.runs("caddy") != nil || m.units.Active("caddy") }

// caddy validates a Caddyfile.
func caddy(_ context.Context, c *Call) int {
	o, ok := c.options("", "config=", "adapter=")
	if !ok {
		return 1
	}
	if len(o.rest) != 1 || o.rest[0] != "validate" || o.value("adapter") != "caddyfile" {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	if o.value("config") != "/dev/stdin" {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	text, err := io.ReadAll(c.Stdin)
	if err != nil {
		return c.Errorf("reading config from file: %s", errText(err))
	}
	if strings.Count(string(text), "{") != strings.Count(string(text), "}") {
		fmt.Fprintf(c.Stderr, "Error: adapting config using caddyfile: %s: unexpected EOF\n", o.value("config"))
		return 1
	}
	fmt.Fprintln(c.Stdout, "Valid configuration")
	return 0
}

// mounted returns the content of a file that is mounted into a running container of an image. The container must use
// the host's network and have this command.
func (m *Machine) mounted(image, file string, command ...string) (content string, ok bool) {
	c := m.runs(image)
	if c == nil || !c.host || !slices.Equal(c.command, command) {
		return "", false
	}
	source := c.mounts[file]
	if source == "" {
		if source = c.mounts[path.Dir(file)]; source == "" {
			return "", false
		}
		source = path.Join(source, path.Base(file))
	}
	text, err := afero.ReadFile(m.FS(), source)
	return string(text), err == nil
}

// runs returns the service of a running container of an image, given the last part of the image's name, or nil if there
// is none.
func (m *Machine) runs(image string) *composeService {
	d := m.docker()
	if d == nil || !m.On() || !m.units.Active("docker") {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.containers {
		name, _, _ := strings.Cut(path.Base(c.service.image), ":")
		if state, _ := c.state(m.clock.Now()); state.Status == "running" && name == image {
			return &c.service
		}
	}
	return nil
}

// sitesOf returns the upstreams of the sites in a Caddyfile by address. It returns false if the file contains anything
// else but global options, which it skips.
func sitesOf(caddyfile string) (map[string]string, bool) {
	sites := map[string]string{}
	site := ""
	depth, first := 0, true // of the global options, which come first
	for line := range strings.Lines(caddyfile) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		open := words[len(words)-1] == "{"
		if depth > 0 || first && open && len(words) == 1 {
			first = false
			switch {
			case open:
				depth++
			case words[0] == "}":
				depth--
			}
			continue
		}
		first = false
		switch {
		case len(words) == 2 && words[1] == "{" && site == "":
			site = words[0]
		case len(words) == 2 && words[0] == "reverse_proxy" && site != "":
			sites[site] = words[1]
		case len(words) == 1 && words[0] == "}" && site != "":
			site = ""
		default:
			return nil, false
		}
	}
	return sites, site == "" && depth == 0
}
