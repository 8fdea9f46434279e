package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// fetchURL implements the downloads of curl and wget: published files, and a minimal response from open ports of nodes.
func (c *Call) fetchURL(url string) (content []byte, status int, err error) {
	if content, ok := c.Machine.archive.Published(url); ok {
		return content, 200, nil
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "http", url
	}
	host, _, _ := strings.Cut(rest, "/")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host, port = host[:i], host[i+1:]
	}
	if len(c.Machine.Resolve(host)) == 0 {
		if _, published := c.Machine.archive.repository(url); published {
			return nil, 404, nil
		}
		return nil, 0, plainError("Could not resolve host: " + host)
	}
	if err := c.connect(host, port); err != nil {
		return nil, 0, err
	}
	return []byte("<!DOCTYPE html>\n"), 200, nil
}

func curl(_ context.Context, c *Call) int {
	c.configured()
	o, ok := c.options("fgsSLkOo:w:m:X:H:Iv", "fail", "globoff", "silent", "show-error", "location", "insecure", "remote-name", "output=", "write-out=", "max-time=", "connect-timeout=", "retry=", "request=", "proto=", "tlsv1.2")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "curl: try 'curl --help' or 'curl --manual' for more information")
		return 2
	}
	quiet := o.has("s", "silent") && !o.has("S", "show-error")
	content, status, err := c.fetchURL(o.rest[0])
	if err == nil && !o.has("k", "insecure") && c.untrusted(o.rest[0]) {
		err = errUntrusted
	}
	if err != nil {
		code := 7
		switch {
		case strings.HasPrefix(err.Error(), "Could not resolve"):
			code = 6
		case errors.Is(err, errUntrusted):
			code = 60
		}
		if !quiet {
			fmt.Fprintf(c.Stderr, "curl: (%d) %v\n", code, err)
		}
		return code
	}
	if status >= 400 && o.has("f", "fail") {
		if !quiet {
			fmt.Fprintf(c.Stderr, "curl: (22) The requested URL returned error: %d\n", status)
		}
		return 22
	}
	file := o.value("o", "output")
	if o.has("O", "remote-name") {
		file = o.rest[0][strings.LastIndexByte(o.rest[0], '/')+1:]
	}
	if code := c.deliver(file, content); code != 0 {
		return 23
	}
	if format := o.value("w", "write-out"); format != "" {
		text, _ := unescape(strings.NewReplacer("%{http_code}", strconv.Itoa(status), "%{exitcode}", "0").Replace(format))
		if text, ok := strings.CutPrefix(text, "%{stderr}"); ok {
			fmt.Fprint(c.Stderr, text)
			return 0
		}
		c.printf("%s", text)
	}
	return 0
}

// configured adds the URL that curl reads with --config to the arguments.
func (c *Call) configured() {
	i := slices.Index(c.Argv, "--config")
	if i < 0 || i+1 >= len(c.Argv) || c.Argv[i+1] != "-" {
		return
	}
	argv := slices.Delete(slices.Clone(c.Argv), i, i+2)
	text, _ := io.ReadAll(c.Stdin) // a broken stream has no URL
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "url = "); ok {
			argv = append(argv, strings.Trim(value, `"`))
		}
	}
	c.Argv = argv
}

// errUntrusted is curl's error for a certificate that no trusted authority has signed.
var errUntrusted = plainError("SSL certificate problem: unable to get local issuer certificate")

// untrusted reports whether a URL leads to a node, whose certificate is signed by its own authority.
func (c *Call) untrusted(url string) bool {
	_, published := c.Machine.archive.Published(url)
	return !published && strings.HasPrefix(url, "https://")
}

func (c *Call) deliver(file string, content []byte) int {
	if file == "" || file == "-" {
		_, err := c.Stdout.Write(content)
		return c.ended(err)
	}
	if file == "/dev/null" {
		return 0
	}
	if err := afero.WriteFile(c.view(), c.Path(file), content, 0o666&^c.process.umaskNow()); err != nil {
		return c.Errorf("%s: %s", file, errText(err))
	}
	return 0
}

func wget(_ context.Context, c *Call) int {
	if i := slices.Index(c.Argv, "--input-file=-"); i > 0 {
		urls, _ := io.ReadAll(c.Stdin) // a broken stream has no URL
		c.Argv = append(slices.Delete(slices.Clone(c.Argv), i, i+1), strings.Fields(string(urls))...)
	}
	o, ok := c.options("qO:nvT:t:", "quiet", "output-document=", "no-verbose", "timeout=", "tries=", "no-check-certificate", "spider")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "wget: missing URL")
		return 1
	}
	url := o.rest[0]
	content, status, err := c.fetchURL(url)
	switch {
	case err != nil:
		if !o.has("q", "quiet") {
			fmt.Fprintf(c.Stderr, "wget: unable to reach ‘%s’: %v\n", url, err)
		}
		return 4
	case status >= 400:
		if !o.has("q", "quiet") {
			fmt.Fprintf(c.Stderr, "ERROR %d: Not Found.\n", status)
		}
		return 8
	case o.has("spider"):
		return 0
	}
	return c.deliver(cmp.Or(o.value("O", "output-document"), url[strings.LastIndexByte(url, '/')+1:]), content)
}
