package proxmox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"hlplay/engine/lab/machine"
)

// WebPort is the port of pveproxy.
const WebPort = 8006

// ServeWeb serves the login page as a node's pveproxy does: over TLS, with the certificate that the node has at the
// time, until the listener is closed.
func ServeWeb(n Node, listener net.Listener) error {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, "<!DOCTYPE html>\n<html>\n  <head>\n    <title>%s - Proxmox Virtual Environment</title>\n  </head>\n</html>\n", n.Name())
		}),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificateOf(n) },
		},
		ErrorLog: log.New(io.Discard, "", 0), // clients that reject the certificate
	}
	server.SetKeepAlivesEnabled(false)
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// certificateOf loads the certificate that pveproxy uses: the node's own, if there is one, or else the one that the
// cluster signed.
func certificateOf(n Node) (*tls.Certificate, error) {
	dir := "/etc/pve/nodes/" + n.Name() + "/"
	name := "pveproxy-ssl"
	if !n.Exists(dir + name + ".pem") {
		name = "pve-ssl"
	}
	chain, err := n.ReadFile(dir + name + ".pem")
	if err != nil {
		return nil, err
	}
	key, err := n.ReadFile(dir + name + ".key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	return &pair, err
}

// Web returns a function that serves as pveproxy of an attached machine: see ServeWeb.
func (w *World) Web(m *machine.Machine) func(net.Listener) error {
	return func(listener net.Listener) error {
		n, ok := attached(m)
		if !ok {
			return fmt.Errorf("%s is not attached to this lab", m.Name())
		}
		return ServeWeb(n, listener)
	}
}
