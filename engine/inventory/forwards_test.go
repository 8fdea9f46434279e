package inventory

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestForwards(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	inv := load(t, `host "pve1" {
  address  = "192.0.2.1"
  forwards = { "8006" = "`+listener.Addr().String()+`" }
}
host "pve2" { address = "192.0.2.2" }
`)
	simulated := Dialer(inv.Hosts, true)
	for _, address := range []string{"192.0.2.1:8006", "pve1:8006", "PVE1:8006"} {
		conn, err := simulated(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("%s is forwarded to a port that is open, but: %v", address, err)
			continue
		}
		conn.Close()
	}
	for _, address := range []string{"192.0.2.1:22", "192.0.2.2:8006", listener.Addr().String()} {
		if conn, err := simulated(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), "a rehearsal reaches simulated nodes alone") {
			t.Errorf("%s is no port of a simulated node, but the dialer returned %v, %v", address, conn, err)
		}
	}
	if conn, err := Dialer(inv.Hosts, false)(t.Context(), "tcp", listener.Addr().String()); err != nil {
		t.Errorf("an address that is forwarded nowhere: %v", err)
	} else {
		conn.Close()
	}
}

func TestWrongForwards(t *testing.T) {
	for _, test := range []struct{ forwards, want string }{
		{`{ "web" = "192.0.2.1:80" }`, `"web" is not a TCP port`},
		{`{ "0" = "192.0.2.1:80" }`, `"0" is not a TCP port`},
		{`{ "8006" = "192.0.2.1" }`, "not ADDRESS:PORT"},
		{`{ "8006" = "192.0.2.1:x" }`, "not ADDRESS:PORT"},
		{`{ "8006" = 8006 }`, "forwards must be an object of ports"},
		{`"192.0.2.1:8006"`, "forwards must be an object of ports"},
	} {
		path := filepath.Join(t.TempDir(), "hosts.hcl")
		if err := os.WriteFile(path, []byte(`host "a" { forwards = `+test.forwards+` }`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, diags := Load(path); !strings.Contains(diags.Error(), test.want) {
			t.Errorf("forwards = %s: the error is %v, expected %q", test.forwards, diags, test.want)
		}
	}
}
