package machine

import (
	"encoding/json"
	"errors"
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

// ServeHTTP answers at the machine's port 80 as Caddy in a container that passes requests on to frps, as far as the lab simulates that.
func (m *Machine) ServeHTTP(listener net.Listener) error {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, text := m.publishes(strings.ToLower(r.Host))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // a client that has gone needs no answer
		}),
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up
	}
	server.SetKeepAlivesEnabled(false)
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// frpSettings are those settings of frps and frpc that the lab knows.
type frpSettings struct {
	Auth struct {
		Token string `json:"token"`
	} `json:"auth"`
	// These are of frps.
	BindPort      int    `json:"bindPort"`
	ProxyBindAddr string `json:"proxyBindAddr"`
	VhostHTTPPort int    `json:"vhostHTTPPort"`
	// These are of frpc.
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

// publishes returns the response to a request for a host's page.
func (m *Machine) publishes(host string) (status int, text string) {
	caddyfile, ok := m.mounted("caddy", "/etc/caddy/Caddyfile")
	if !ok {
		return http.StatusNotImplemented, "not simulated: a web server that is not Caddy in a container with a Caddyfile\n"
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
		return http.StatusOK, "" // what Caddy says of a site that it does not know
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

// forwards reports whether the machine's frpc is logged in to a server and connects a domain with a local port on which something listens.
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

// frp returns the settings of the machine's frps or frpc, unless no container of it is running with settings that the lab knows.
func (m *Machine) frp(program string) (frpSettings, bool) {
	var settings frpSettings
	text, ok := m.mounted(program, "/etc/frp/"+program+".json", "-c", "/etc/frp/"+program+".json")
	if !ok {
		return settings, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	return settings, decoder.Decode(&settings) == nil
}

// mounted returns a file that is mounted into a running container of an image with the host's network, and is given this command.
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

// runs returns the service of a running container of an image, which is known by the last part of its name; nil if there is none.
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

// sitesOf returns the upstreams of the sites in a Caddyfile by their addresses, if it has nothing else.
func sitesOf(caddyfile string) (map[string]string, bool) {
	sites := map[string]string{}
	site := ""
	for line := range strings.Lines(caddyfile) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
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
	return sites, site == ""
}
