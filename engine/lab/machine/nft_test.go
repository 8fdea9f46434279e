package machine

import (
	"net/netip"
	"strings"
	"testing"
)

// shownTable is a table as nft 1.0.6 and 1.1.3 list it.
const shownTable = `table inet t {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		meta l4proto icmp accept
		ip saddr 192.168.1.0/24 tcp dport 22 accept comment "ssh; from the LAN"
		ip saddr 192.168.1.9 udp dport 5405-5412 accept
		ip6 saddr fd00::/64 tcp dport 8000-8080 accept
		ip saddr 192.168.1.66 drop
		tcp dport 443 accept
	}
}
`

func TestNFT(t *testing.T) {
	m := bare(t)
	fails := func(line, message string) {
		t.Helper()
		if _, stderr, code := run(t, m, "root", line); code == 0 || !strings.Contains(stderr, message) {
			t.Errorf("%s: exit code %d, %q; want %q", line, code, stderr, message)
		}
	}
	does := func(line, want string) {
		t.Helper()
		if stdout, stderr, code := run(t, m, "root", line); code != 0 || stdout != want {
			t.Errorf("%s: exit code %d, %q%s; want %q", line, code, stdout, stderr, want)
		}
	}
	if _, stderr, code := run(t, m, "nobody", "nft list ruleset"); code == 0 || !strings.Contains(stderr, "you must be root") {
		t.Errorf("as nobody: exit code %d, %q", code, stderr)
	}
	does("nft list tables", "")
	fails("nft list table inet t", "No such file or directory")
	fails("nft 'delete table inet t'", "No such file or directory")
	does("nft -c -f - <<'E'\n"+shownTable+"E\nnft list tables", "")
	does("nft -f - <<'E'\n"+shownTable+"E\nnft list table inet t", shownTable)
	does("nft -p list table inet t | grep l4proto", "\t\tmeta l4proto 1 accept\n")
	does("nft 'table inet t\ndelete table inet t\n"+strings.ReplaceAll(shownTable, "'", "")+"'; nft list ruleset", shownTable)
	fails("printf 'delete table inet t\nnonsense\n' | nft -f -", "syntax error")
	does("nft list tables inet; nft list tables ip", "table inet t\n")
	does("nft 'table inet u { chain a { tcp dport 23 accept; tcp dport 24 drop }; }'; nft list table inet u; nft delete table inet u", "table inet u {\n\tchain a {\n\t\ttcp dport 23 accept\n\t\ttcp dport 24 drop\n\t}\n}\n")
	fails("nft 'table inet u { chain a { tcp dport { 23, 24 } accept; }; }'", "not supported on simulated nodes")
	fails("nft 'table inet u { }; table inet u {\nchain a {\nudp sport 53 accept\n}\n}'", "not supported on simulated nodes")
	does("systemctl start nftables; nft list tables", "table inet filter\n")
	does(`printf 'include "/etc/nftables.d/*.nft"\n' >>/etc/nftables.conf; systemctl reload nftables; nft list tables`, "table inet filter\n")
	does("mkdir /etc/nftables.d; cat >/etc/nftables.d/t.nft <<'E'\n"+shownTable+"E\nsystemctl reload nftables; nft list tables", "table inet filter\ntable inet t\n")
	does("systemctl stop nftables; nft list tables", "")
	fails(`printf 'include "/etc/nowhere.nft"\n' >>/etc/nftables.conf; nft -c -f /etc/nftables.conf`, "/etc/nftables.conf:17: Error: File not found: /etc/nowhere.nft")
}

func TestAdmitted(t *testing.T) {
	m := bare(t)
	if _, stderr, code := run(t, m, "root", "nft -f - <<'E'\n"+shownTable+"E"); code != 0 {
		t.Fatal(stderr)
	}
	for _, test := range []struct {
		from string
		port int
		want bool
	}{
		{"192.168.1.5", 22, true}, {"192.168.2.5", 22, false}, {"127.0.0.1", 8006, true}, {"192.168.1.9", 5405, false}, {"fd00::7", 8006, true},
		{"fd00::7", 8081, false}, {"192.168.1.66", 443, false}, {"203.0.113.5", 443, true}, {"203.0.113.5", 80, false},
	} {
		if got := m.admits(netip.MustParseAddr(test.from), test.port); got != test.want {
			t.Errorf("%s to port %d: %t, want %t", test.from, test.port, got, test.want)
		}
	}
	m.PowerOff()
	m.PowerOn()
	if !m.admits(netip.MustParseAddr("192.168.2.5"), 22) {
		t.Error("the rules outlive a restart")
	}
}
