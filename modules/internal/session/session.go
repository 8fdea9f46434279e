// Package session observes how the SSH session of a run reaches its host.
package session

import (
	"net/netip"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// Session is how an SSH session reaches a host. It is the zero value without an SSH session.
type Session struct {
	// Client is the address that the session comes from, and Server the address of the host that it goes to. Neither has a
	// zone.
	Client, Server netip.Addr
	// Port is the TCP port of the host.
	Port int
}

// Query asks for the session that it is sent over. It prints SSH_CONNECTION from the shell's own environment or, under sudo,
// from that of the nearest ancestor that has it.
var Query = remote.Query{Script: `_c=${SSH_CONNECTION-}
_p=$$
while [ -z "$_c" ] && [ "$_p" -gt 1 ] 2>/dev/null; do
_c=$(tr '\0' '\n' <"/proc/$_p/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
_p=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$_p/status" 2>/dev/null)
done
printf '%s\n' "$_c"`}

// Parse reads the answer to Query.
func Parse(answer remote.Answer) Session {
	words := strings.Fields(string(answer.Stdout))
	if len(words) != 4 { // client, its port, server, its port
		return Session{}
	}
	address := func(text string) netip.Addr {
		a, _ := netip.ParseAddr(text)
		return a.Unmap().WithZone("")
	}
	port, _ := strconv.Atoi(words[3])
	return Session{Client: address(words[0]), Server: address(words[2]), Port: port}
}
