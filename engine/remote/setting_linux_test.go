package remote

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The hand writes a kernel setting as sysctl(8) does, and leaves to it whatever it would complain about.
func TestSettings(t *testing.T) {
	const writable = "/proc/sys/net/ipv4/ip_local_port_range"
	value, err := os.ReadFile(writable)
	if err != nil {
		t.Skip(err)
	}
	now := strings.Join(strings.Fields(string(value)), " ")
	for _, test := range []struct {
		name string
		argv []string
	}{
		{"as it is", []string{"sysctl", "-w", "net.ipv4.ip_local_port_range=" + now}},
		{"spaces around the value", []string{"sysctl", "-w", "net.ipv4.ip_local_port_range= " + now + " "}},
		{"slashes", []string{"sysctl", "-w", "net/ipv4/ip_local_port_range=" + now}},
		{"several", []string{"sysctl", "-w", "net.ipv4.ip_local_port_range=" + now, "net.ipv4.ip_local_port_range=" + now}},
		{"quiet", []string{"sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=" + now}},
		{"another order", []string{"sysctl", "net.ipv4.ip_local_port_range=" + now}},
		{"a value that the kernel refuses", []string{"sysctl", "-w", "net.ipv4.ip_local_port_range=no numbers"}},
		{"no value", []string{"sysctl", "-w", "net.ipv4.ip_local_port_range="}},
		{"no such setting", []string{"sysctl", "-w", "net.ipv4.none=1"}},
		{"a directory", []string{"sysctl", "-w", "net.ipv4=1"}},
		{"a setting that cannot be written", []string{"sysctl", "-w", "kernel.osrelease=1"}},
		{"no words", []string{"sysctl", "-w"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]text{}
			for name, program := range map[string]string{"hand": handProgram(), "shell": ""} {
				c := local()
				c.hand = program
				r := run(t, c, Command{Argv: test.argv})
				got[name] = text{string(r.Stdout), string(r.Stderr), r.Exit}
				c.Close()
			}
			if diff := cmp.Diff(got["shell"], got["hand"]); diff != "" {
				t.Errorf("%q (-without the hand +with it):\n%s", test.argv, diff)
			}
		})
	}
	if after, err := os.ReadFile(writable); err != nil || string(after) != string(value) {
		t.Errorf("the setting was %q and is %q, %v", value, after, err)
	}
	if file, err := os.OpenFile(writable, os.O_WRONLY, 0); err != nil {
		t.Skip("it cannot be written here:", err)
	} else {
		file.Close()
	}
	c := counted(t)
	set := Command{Argv: []string{"sysctl", "-w", "net.ipv4.ip_local_port_range=" + now}, Brief: true}
	if n := processes(t, c, set); n > 1 { // what reads the script
		t.Errorf("setting it took %d processes", n)
	}
}
