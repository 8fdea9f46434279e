package firewall

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
	"hlplay/modules/internal/session"
)

const debianConf = `#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
}
`

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

// fixture describes the host of a test.
type fixture struct {
	rules   ruleset
	conf    string
	file    observe.File
	node    pve.Node
	session session.Session
	running []string
}

func (s fixture) host() modules.Host {
	state := func(name, enabled string) observe.Expectation {
		u := observe.Unit{LoadState: "not-found", ActiveState: "inactive"}
		if enabled != "" {
			u = observe.Unit{ID: name, LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: enabled}
		}
		for _, running := range s.running {
			if running == name {
				u = observe.Unit{ID: name, LoadState: "loaded", ActiveState: "active"}
			}
		}
		return observe.Units.Expect(name, u)
	}
	return observe.NewRecorded("web1",
		observe.Programs.Expect(program, true), pve.Nodes.Expect("", s.node), rulesets.Expect("", s.rules), session.Sessions.Expect("", s.session),
		observe.Files.Expect(conf, text(s.conf)), observe.Files.Expect(rules, s.file),
		observe.Files.Expect("/etc/nftables.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/etc", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		state(unit, "disabled"), state("corosync.service", ""), state("corosync-qnetd.service", ""))
}

func over(client string) session.Session {
	return session.Session{Client: netip.MustParseAddr(client), Server: netip.MustParseAddr("192.168.1.11"), Port: 22}
}

// lan returns the desired state of the tests.
func lan() *firewall {
	return &firewall{Allow: []allow{
		{Name: "ssh", Ports: []string{"tcp/22"}, From: []string{"192.168.1.64/24", "fd00::/64"}},
		{Name: "web", Ports: []string{"tcp/80", "tcp/8000-8080"}},
		{Name: "the others", From: []string{"10.0.0.2", "fd00::2"}},
	}}
}

const lanTable = `table inet hlplay {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		meta l4proto 1 accept comment "ICMP"
		meta l4proto 58 accept comment "ICMPv6"
		ip6 saddr fe80::/10 udp dport 546 accept
		ip saddr 192.168.1.0/24 tcp dport 22 accept comment "ssh"
		ip6 saddr fd00::/64 tcp dport 22 accept comment "ssh"
		tcp dport 80 accept comment "web"
		tcp dport 8000-8080 accept comment "web"
		ip saddr 10.0.0.2 accept comment "the others"
		ip6 saddr fd00::2 accept comment "the others"
	}
}
`

func TestPlan(t *testing.T) {
	file := text("# Kept by hlplay.\n" + replacing(lanTable))
	for name, test := range map[string]struct {
		fixture fixture
		first   []string // the steps of the first plan
	}{
		"new":                      {fixture{conf: debianConf, session: over("192.168.1.5")}, []string{"check the rules (nft -c)", "load the rules"}},
		"changed by hand":          {fixture{rules: ruleset{Table: strings.Replace(lanTable, "dport 22", "dport 23", 1)}, conf: including(debianConf), file: file, session: over("192.168.1.5")}, []string{"check the rules (nft -c)", "load the rules"}},
		"interrupted after proof":  {fixture{rules: ruleset{Table: lanTable}, conf: debianConf}, []string{"write the rules", "include " + rules, "start nftables.service at boot"}},
		"the file alone":           {fixture{rules: ruleset{Table: lanTable}, conf: including(debianConf), file: text("old\n")}, []string{"write the rules", "start nftables.service at boot"}},
		"a session of nobody":      {fixture{conf: debianConf}, []string{"check the rules (nft -c)", "load the rules"}},
		"a session of the machine": {fixture{conf: debianConf, session: over("127.0.0.1")}, []string{"check the rules (nft -c)", "load the rules"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := test.fixture.host()
			plan := modulestest.Converges(t, lan(), h)
			var steps []string
			for _, s := range plan.Steps {
				steps = append(steps, s.Summary)
			}
			if diff := cmp.Diff(test.first, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if guarded := plan.Guard != nil; guarded != (steps[0] == "check the rules (nft -c)") {
				t.Errorf("guarded: %t", guarded)
			}
			if plan.Guard != nil && (plan.Guard.Undo[0][1] != replacing(test.fixture.rules.Table) || plan.Guard.Within != 90*time.Second) {
				t.Errorf("the guard is %+v", plan.Guard)
			}
		})
	}
	if got := lan().table(); got != lanTable {
		t.Errorf("the table is:\n%s", got)
	}
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		fixture fixture
		want    string
	}{
		"Proxmox VE":                {fixture{node: pve.Node{Name: "web1", Installed: true}}, "web1 runs Proxmox VE, which has its own firewall"},
		"the session":               {fixture{conf: debianConf, session: over("192.168.2.5")}, `the session to web1 comes from 192.168.2.5 to port 22, which no allow block would admit: hlplay could not connect again. Add a block with ports = ["tcp/22"] and from = ["192.168.2.5"], or its network`},
		"a boot without it":         {fixture{rules: ruleset{Unloadable: "/etc/nftables.conf:3:1-5: Error: syntax error"}}, "/etc/nftables.conf on web1 does not load, so the host would boot without a firewall: correct it first; nft -c -f /etc/nftables.conf says: /etc/nftables.conf:3:1-5: Error: syntax error"},
		"more than can be put back": {fixture{rules: ruleset{Table: many(200).table() + many(2000).table()}, conf: debianConf, session: over("192.168.1.5")}, "too long to be restored if the change fails: they take 1"},
		"a QDevice's daemon":        {fixture{conf: debianConf, running: []string{"corosync-qnetd.service"}}, ""}, // "the others" may reach it
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lan().Plan(t.Context(), test.fixture.host())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	ssh := &firewall{Allow: lan().Allow[:1]}
	for unit, want := range map[string]string{"corosync.service": "udp port 5405: it would lose its cluster", "corosync-qnetd.service": `ports = ["tcp/5403"]`} {
		if _, err := ssh.Plan(t.Context(), fixture{conf: debianConf, running: []string{unit}}.host()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", unit, err, want)
		}
	}
}

func TestAbsent(t *testing.T) {
	h := fixture{rules: ruleset{Table: lanTable}, conf: including(debianConf), file: text("x"), node: pve.Node{Installed: true}}.host()
	if plan := modulestest.Converges(t, &firewall{State: "absent"}, h); len(plan.Steps) != 3 || plan.Guard != nil {
		t.Errorf("the plan is:\n%s", modulestest.Summaries(plan))
	}
	if content, _, err := observe.Text(t.Context(), h, conf); err != nil || content != debianConf {
		t.Errorf("%s holds %q (%v), want what it held before", conf, content, err)
	}
}

func TestIncluding(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "#!/usr/sbin/nft -f\n" + include + "\n"},
		{"flush ruleset", "flush ruleset\n" + include + "\n"},
		{"flush ruleset\r\n", "flush ruleset\r\n" + include + "\r\n"},
		{"# " + include + "\n", "# " + include + "\n" + include + "\n"},
		{include + "\n", include + "\n"},
		{"  include '/etc/nftables.d/*.nft' # all\n", "  include '/etc/nftables.d/*.nft' # all\n"},
		{"include \"nftables.d/*\"\n", "include \"nftables.d/*\"\n"},
		{"include \"/etc/nftables.d/*.conf\"\n", "include \"/etc/nftables.d/*.conf\"\n" + include + "\n"},
	} {
		if got := including(test.text); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
		}
	}
}

// many returns a firewall that admits the given number of addresses to SSH.
func many(addresses int) *firewall {
	a := allow{Name: "ssh", Ports: []string{"tcp/22"}}
	for i := range addresses {
		a.From = append(a.From, fmt.Sprintf("192.168.%d.%d", 100+i/200, 1+i%200))
	}
	return &firewall{Allow: []allow{a}}
}

// The old rules are restored by a command that has them as its last argument.
func TestLongestRules(t *testing.T) {
	m := many(1000)
	for step := 200; step > 0; step /= 2 {
		for m.Validate() == nil {
			m = many(len(m.Allow[0].From) + step)
		}
		m = many(len(m.Allow[0].From) - step)
	}
	plan, err := lan().Plan(t.Context(), fixture{rules: ruleset{Table: m.table()}, conf: debianConf, session: over("192.168.1.5")}.host())
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("true", plan.Guard.Undo[0][1:]...).Run(); err != nil {
		t.Errorf("with %d addresses: %v", len(m.Allow[0].From), err)
	}
}

func TestValidate(t *testing.T) {
	one := func(a allow) *firewall { a.Name = "ssh"; return &firewall{Allow: []allow{a}} }
	for _, test := range []struct {
		m    *firewall
		want string
	}{
		{&firewall{}, "allow: nobody would be admitted"},
		{&firewall{State: "absent", Allow: lan().Allow}, "allow: there are no rules"},
		{&firewall{Allow: append(lan().Allow, lan().Allow...)}, `there are two blocks "ssh"`},
		{&firewall{Allow: []allow{{Name: `a"b`, Ports: []string{"tcp/22"}}}}, "cannot be the name of a block"},
		{&firewall{Allow: lan().Allow, Rollback: time.Second}, "rollback: 1s is not between"},
		{one(allow{}), "it admits everybody to everything"},
		{one(allow{Ports: []string{}}), "allow.ssh.ports: it is empty"},
		{one(allow{From: []string{}}), "allow.ssh.from: it is empty"},
		{one(allow{Ports: []string{"22"}}), `"22" does not begin with tcp/ or udp/`},
		{one(allow{Ports: []string{"tcp/ssh"}}), `"ssh" in "tcp/ssh" is not a port`},
		{one(allow{Ports: []string{"tcp/0"}}), "is not a port"},
		{one(allow{Ports: []string{"tcp/70000"}}), "is not a port"},
		{one(allow{Ports: []string{"udp/20-10"}}), "ends before it begins"},
		{many(2500), "allow: its rules take 14"},
		{one(allow{From: []string{"pve1"}}), `"pve1" is not an address or a network`},
		{one(allow{From: []string{"0.0.0.0/0"}}), "means everybody"},
		{one(allow{From: []string{"fe80::1%eth0"}}), "is not an address or a network"},
		{one(allow{From: []string{"::ffff:192.0.2.0/120"}}), "is an IPv4 network in IPv6 notation"},
	} {
		if err := test.m.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.m, err, test.want)
		}
	}
	if err := lan().Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzTable checks that a valid block cannot add other rules.
func FuzzTable(f *testing.F) {
	f.Add("ssh", "tcp/22", "192.168.1.0/24")
	f.Add("a\" drop", "udp/1-2", "fd00::1")
	f.Fuzz(func(t *testing.T, name, to, from string) {
		m := &firewall{Allow: []allow{{Name: name, Ports: []string{to}, From: []string{from}}}}
		if m.Validate() != nil {
			return
		}
		if n := strings.Count(m.table(), "\n"); n != len(always)+6 || strings.Count(m.table(), `"`) != 8 {
			t.Errorf("%q, %q and %q become\n%s", name, to, from, m.table())
		}
	})
}

// inNamespace runs a script in a network namespace of its own, and returns its answer.
func inNamespace(t *testing.T, script string) remote.Answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "-n", "sh", "-c", script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code is returned
	return remote.Answer{Exit: cmd.ProcessState.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
}

// The real nft lists the rules exactly as they are compared, replaces them as a whole, and leaves other tables alone.
func TestAgainstNFT(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		t.Skip("this needs nft, and root")
	}
	if a := inNamespace(t, "nft list tables"); a.Exit != 0 {
		t.Skipf("the kernel or the container does not allow it: %s%s", a.Stderr, a.Stdout)
	}
	dir := t.TempDir()
	write := func(name, content string) string {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	other := "table inet mine {\n}\n"
	script := write("rules", "# Kept by hlplay.\n"+replacing(lanTable))
	own := strings.NewReplacer(program, "nft", conf, write("conf", strings.Replace(including(debianConf), rules, script, 1)))
	// ask runs a script and then the queries of the observation in the same namespace.
	ask := func(before string) (ruleset, error) {
		var answers []remote.Answer
		for _, q := range rulesets.Ask([]string{""}) {
			answers = append(answers, inNamespace(t, before+"\n"+own.Replace(q.Script)))
		}
		return parseRuleset(answers)
	}
	for _, test := range []struct{ name, before, want string }{
		{"nothing is loaded", "nft add table inet hlplay2", ""},
		{"loaded twice", "nft -f " + script + " && nft -f " + script, lanTable},
		{"loaded at boot", "nft -f " + dir + "/conf", lanTable},
		{"undone to nothing", "nft -f " + script + " && nft '" + replacing("") + "'", ""},
		{"undone to other rules", "nft '" + replacing(strings.Replace(lanTable, "8080", "8081", 1)) + "' && nft '" + replacing(lanTable) + "'", lanTable},
		{"a Debian without netbase", "mount --make-rprivate / && mount --bind /dev/null /etc/protocols && nft -f " + script, lanTable},
		{"a mistake changes nothing", "nft -f " + script + "; { cat " + script + "; echo nonsense; } | nft -f - 2>/dev/null", lanTable},
	} {
		got, err := ask(test.before)
		if err != nil || got.Unloadable != "" {
			t.Errorf("%s: %v, %s", test.name, err, got.Unloadable)
		}
		if diff := cmp.Diff(test.want, got.Table); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if a := inNamespace(t, "nft -f - <<'E' && nft '"+replacing(lanTable)+"' && nft '"+replacing("")+"' && nft list ruleset\n"+other+"E"); string(a.Stdout) != other {
		t.Errorf("of the other table is left: %s%s", a.Stdout, a.Stderr)
	}
	write("conf", "flush ruleset\nnonsense\n")
	if got, err := ask("true"); err != nil || !strings.Contains(got.Unloadable, "syntax error") {
		t.Errorf("a mistake in %s: %+v, %v", conf, got, err)
	}
}

// Every address makes a rule with every port. If there are far too many rules, they are rejected without being compared
// with one another.
func TestFarTooManyRules(t *testing.T) {
	m := many(5000)
	for port := range 40 {
		m.Allow[0].Ports = append(m.Allow[0].Ports, fmt.Sprintf("tcp/%d", 1000+port))
	}
	if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "every address makes a rule with every port") {
		t.Errorf("%v", err)
	}
}
