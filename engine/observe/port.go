package observe

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"hlplay/engine/remote"
)

// Ports observes whether a TCP port accepts connections from the host, by "address:port" as formatted by
// net.JoinHostPort. A connection that takes longer than two seconds counts as refused.
var Ports = &Kind[bool]{
	Name: "port", What: "whether %s accepts connections",
	Shared: Always,
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			if host, port, err := splitPort(name); err == nil {
				// Of all tools that can connect, only bash is essential on Debian.
				queries = append(queries, remote.Query{
					Script: `timeout -k 1 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"`, Args: []string{host, port},
				})
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		for _, name := range names {
			if _, _, err := splitPort(name); err != nil {
				tell(name, false, err)
				continue
			}
			a := answers[0]
			answers = answers[1:]
			if a.Exit == 126 || a.Exit == 127 {
				tell(name, false, errors.New("bash is needed to try a port: "+LastLine(a.Stderr)))
				continue
			}
			tell(name, a.Exit == 0, nil)
		}
	},
}

func splitPort(name string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(name)
	if err != nil {
		return "", "", err
	}
	if !hostPattern.MatchString(host) {
		return "", "", fmt.Errorf("%q is not a host name or address", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%q is not a TCP port", port)
	}
	return host, port, nil
}
