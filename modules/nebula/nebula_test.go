package nebula

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackhq/nebula/cert"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// now is the time on the hosts of the tests.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// newCA returns the certificate and the key (PEM) of an authority that became valid a year before now, and lasts for life.
func newCA(t *testing.T, seed byte, name string, life time.Duration, change func(*cert.TBSCertificate)) (certificate, key string) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	from := now.Add(-365 * day)
	tbs := cert.TBSCertificate{Version: cert.Version1, Name: name, IsCA: true, NotBefore: from, NotAfter: from.Add(life), PublicKey: private.Public().(ed25519.PublicKey)}
	if change != nil {
		change(&tbs)
	}
	c, err := tbs.Sign(nil, cert.Curve_CURVE25519, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), string(cert.MarshalSigningPrivateKeyToPEM(cert.Curve_CURVE25519, private))
}

// publicKey returns a public key of a host.
func publicKey(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func network(t *testing.T) *nebula {
	m := &nebula{
		Interface: "nebula1", Port: 4242, MTU: 1300, Before: []string{"corosync.service"}, Lifetime: 365 * day, RenewBefore: 90 * day, Groups: []string{"pve"},
		Addresses: map[string]string{"pve1": "10.42.0.1/24", "pve2": "10.42.0.2/24", "pve3": "10.42.0.3/24"},
		Endpoints: map[string]string{"pve1": "192.0.2.1", "pve2": "2001:db8::2"}, Lighthouses: []string{"pve2"},
	}
	m.CA, m.CAKey = newCA(t, 1, "dream", 10*365*day, nil)
	return m
}

// signed returns a certificate of pve1 that was signed some time ago; change modifies its content.
func signed(t *testing.T, m *nebula, ago time.Duration, change func(*request)) string {
	t.Helper()
	ca, err := m.authority()
	if err != nil {
		t.Fatal(err)
	}
	key, err := decodeKey(publicKey(1))
	if err != nil {
		t.Fatal(err)
	}
	r := request{name: "pve1", network: m.address("pve1"), groups: m.Groups, public: key}
	if change != nil {
		change(&r)
	}
	c, err := ca.sign(r, now.Add(-ago), m.Lifetime)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// state is the state of a host.
type state struct {
	own            node
	active         bool
	crt, ca, conf  string
	withoutProgram bool
}

// made returns a host that has only its key.
func made() state { return state{own: node{Public: publicKey(1)}} }

// running returns a host in the desired state, with a certificate that was signed some time ago.
func running(t *testing.T, m *nebula, ago time.Duration) state {
	return state{
		own: node{Public: publicKey(1), Up: true, MTU: m.MTU, Addresses: []string{"10.42.0.1/24"}, Started: m.fixed("pve1"), Loaded: true}, active: true,
		crt: signed(t, m, ago, nil), ca: m.CA, conf: m.render("pve1"),
	}
}

func (s state) host(m *nebula) modules.Host {
	unit := observe.Unit{ID: m.unit(), LoadState: "loaded", ActiveState: "inactive"}
	if s.active {
		unit.ActiveState = "active"
	}
	file := func(text string) observe.File {
		if text == "" {
			return observe.File{}
		}
		return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(text), Size: int64(len(text))}
	}
	there := observe.File{Type: observe.Regular}
	if s.withoutProgram {
		there = observe.File{}
	}
	s.own.Now = now.Unix()
	folder := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	return observe.NewRecorded("pve1",
		observe.Files.Expect(program, there),
		observe.Files.Expect(dir, folder),
		observe.Files.Expect(m.file("ca"), file(s.ca)),
		observe.Files.Expect(m.file("crt"), file(s.crt)),
		observe.Files.Expect(m.file("yml"), file(s.conf)),
		observe.Files.Expect(m.dropIn(), file(m.renderDropIn())),
		observe.Files.Expect("/etc/systemd/system/"+m.unit()+".d", folder),
		observe.Units.Expect(m.unit(), unit),
		nodes.Expect("nebula1", s.own),
	)
}

func TestPlan(t *testing.T) {
	m := network(t)
	run := func(change func(*state)) modules.Host {
		s := running(t, m, 30*day)
		change(&s)
		return s.host(m)
	}
	otherCA, otherKey := newCA(t, 2, "other", 10*365*day, nil)
	other := network(t)
	other.CA, other.CAKey = otherCA, otherKey
	for name, test := range map[string]struct {
		host modules.Host
		want string
	}{
		"new":            {made().host(m), "install the certificate of authority dream\nsign a certificate for nebula1: it has none\nlet nebula test the configuration\nconfigure nebula1"},
		"as desired":     {run(func(*state) {}), ""},
		"not started":    {run(func(s *state) { s.active, s.own = false, made().own }), ""},
		"nearly over":    {running(t, m, 274*day).host(m), ""},
		"to be renewed":  {running(t, m, 276*day).host(m), "sign a certificate for nebula1: the present one ends in less than 90 days\nlet nebula test the configuration\nreload nebula1"},
		"has ended":      {running(t, m, 366*day).host(m), "sign a certificate for nebula1: the present one has ended\nlet nebula test the configuration\nreload nebula1"},
		"from tomorrow":  {running(t, m, -day).host(m), "sign a certificate for nebula1: the present one is not valid yet\nlet nebula test the configuration\nreload nebula1"},
		"a new key":      {run(func(s *state) { s.own.Public, s.own.Loaded = publicKey(7), false }), "sign a certificate for nebula1: its key is new\nlet nebula test the configuration\nreload nebula1"},
		"unreadable":     {run(func(s *state) { s.crt = "hello" }), "sign a certificate for nebula1: the present one cannot be read\nlet nebula test the configuration\nreload nebula1"},
		"other groups":   {run(func(s *state) { s.crt = signed(t, m, day, func(r *request) { r.groups = nil }) }), "sign a certificate for nebula1: its groups are new\nlet nebula test the configuration\nreload nebula1"},
		"another name":   {run(func(s *state) { s.crt = signed(t, m, day, func(r *request) { r.name = "pve9" }) }), "sign a certificate for nebula1: its name or address is new\nlet nebula test the configuration\nreload nebula1"},
		"another CA":     {run(func(s *state) { s.crt, s.ca = signed(t, other, day, nil), otherCA }), "install the certificate of authority dream\nsign a certificate for nebula1: the present one is of another authority\nlet nebula test the configuration\nreload nebula1"},
		"other peers":    {run(func(s *state) { s.conf = strings.Replace(s.conf, "2001:db8::2", "2001:db8::9", 1) }), "let nebula test the configuration\nconfigure nebula1\nreload nebula1"},
		"another port":   {run(func(s *state) { s.own.Started = strings.Replace(s.own.Started, "4242", "4243", 1) }), "restart nebula1"},
		"another MTU":    {run(func(s *state) { s.own.MTU = 1280 }), "restart nebula1"},
		"other address":  {run(func(s *state) { s.own.Addresses = []string{"10.42.0.9/24"} }), "restart nebula1"},
		"interface gone": {run(func(s *state) { s.own = made().own }), "restart nebula1"},
		"interrupted":    {run(func(s *state) { s.own.Loaded = false }), "let nebula test the configuration\nreload nebula1"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, network(t), test.host)
			if got := strings.ReplaceAll(strings.TrimSpace(modulestest.Summaries(plan)), "\n  ", "\n"); got != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", got, test.want)
			}
			for _, step := range plan.Steps {
				if shown := step.Diff; shown != nil && strings.Contains(shown.Before+shown.After, m.CAKey) {
					t.Errorf("%s: the key of the authority is shown", step.Summary)
				}
				if write, ok := step.Action.(modules.WriteFile); ok && bytes.Contains(write.Content, []byte("PRIVATE KEY")) {
					t.Errorf("%s: a private key is written", step.Summary)
				}
			}
		})
	}
	key := modulestest.Converges(t, &nebula{Interface: "nebula1"}, state{}.host(m))
	if got := strings.TrimSpace(modulestest.Summaries(key)); got != "create a key for nebula1" {
		t.Errorf("without addresses: %s", got)
	}
}

// TestCertificate checks certificates with Nebula's own library.
func TestCertificate(t *testing.T) {
	for name, test := range map[string]struct {
		life     time.Duration // of the authority, from a year ago
		validFor time.Duration
	}{
		"a long authority":          {10 * 365 * day, 365 * day},
		"the authority ends sooner": {365*day + 200*day, 200*day - time.Second},
	} {
		m := network(t)
		m.CA, m.CAKey = newCA(t, 1, "dream", test.life, nil)
		plan := modulestest.Converges(t, m, made().host(m))
		text := plan.Steps[1].Action.(modules.WriteFile).Content
		c, _, err := cert.UnmarshalCertificateFromPEM(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pool, err := cert.NewCAPoolFromPEM([]byte(m.CA))
		if err != nil && !errors.Is(err, cert.ErrExpired) { // the pool uses the clock of the machine
			t.Fatal(err)
		}
		for _, at := range []time.Time{now.Add(-30 * time.Minute), now, now.Add(test.validFor - time.Second)} {
			if _, err := pool.VerifyCertificate(at, c); err != nil {
				t.Errorf("%s: at %s: %v", name, at, err)
			}
		}
		if c.Version() != cert.Version1 || c.Name() != "pve1" || c.Networks()[0].String() != "10.42.0.1/24" || !c.NotAfter().Equal(now.Add(test.validFor)) {
			t.Errorf("%s: %s", name, c)
		}
		if diff := plan.Steps[1].Diff; diff.Subject != m.file("crt") || !strings.Contains(diff.After, "name: pve1\naddress: 10.42.0.1/24\ngroups: pve\n") {
			t.Errorf("%s: diff %+v", name, diff)
		}
	}
}

// TestAuthorityEndsSoon checks that a certificate which expires with its authority is not renewed, and that each run says
// so.
func TestAuthorityEndsSoon(t *testing.T) {
	m := network(t)
	m.CA, m.CAKey = newCA(t, 1, "dream", 365*day+30*day, nil)
	plan := modulestest.Converges(t, m, running(t, m, 5*day).host(m))
	if len(plan.Steps) > 0 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "the authority dream ends on 2026-07-01") {
		t.Errorf("%s, notes %q", modulestest.Summaries(plan), plan.Notes)
	}
}

// TestNewAuthority checks that, while two authorities are accepted, the one whose key is given signs.
func TestNewAuthority(t *testing.T) {
	m := network(t)
	old := running(t, m, day)
	otherCA, otherKey := newCA(t, 2, "other", 10*365*day, nil)
	m.CA += otherCA
	plan := modulestest.Converges(t, m, old.host(m))
	if got := modulestest.Summaries(plan); !strings.Contains(got, "install the certificate of authority dream") || strings.Contains(got, "sign") {
		t.Errorf("both accepted: %s", got)
	}
	m.CAKey = otherKey
	plan = modulestest.Converges(t, m, old.host(m))
	if got := modulestest.Summaries(plan); !strings.Contains(got, "sign a certificate for nebula1: the present one is of another authority") {
		t.Errorf("the new one signs: %s", got)
	}
}

const config = `# Kept by hlplay. The private key is in /etc/nebula/nebula1.key.
# A restart applies: 10.42.0.1/24 on nebula1 with MTU 1300, port [::]:4242, lighthouse false
pki:
  ca: /etc/nebula/nebula1.ca
  cert: /etc/nebula/nebula1.crt
  key: /etc/nebula/nebula1.key
  disconnect_invalid: true
  blocklist: []
static_host_map:
  "10.42.0.2": ["[2001:db8::2]:4242"] # pve2
lighthouse:
  am_lighthouse: false
  interval: 60
  hosts:
    - "10.42.0.2"
listen:
  host: "[::]"
  port: 4242
punchy:
  punch: true
  respond: true
tun:
  dev: "nebula1"
  mtu: 1300
  drop_local_broadcast: true
  drop_multicast: true
logging:
  level: info
  format: text
firewall:
  outbound:
    - {port: any, proto: any, host: any}
  inbound:
    - {port: any, proto: icmp, host: any}
    - {port: 6800-7568, proto: tcp, host: "pve2"}
    - {port: any, proto: udp, groups: ["pve", "ceph"]}
    - {port: 22, proto: tcp, host: any}
`

func TestConfiguration(t *testing.T) {
	m := network(t)
	m.Allow = []rule{{"tcp", "6800-7568", []string{"pve2"}, nil}, {"udp", "any", nil, []string{"pve", "ceph"}}, {"tcp", "22", nil, nil}}
	if diff := cmp.Diff(config, m.render("pve1")); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	m = network(t)
	m.Endpoints, m.Blocklist = map[string]string{"pve2": "192.0.2.2"}, []string{strings.Repeat("ab", 32)}
	if got := m.render("pve2"); !strings.Contains(got, "static_host_map: {}\nlighthouse:\n  am_lighthouse: true\n  interval: 60\n  hosts: []\nlisten:\n  host: \"0.0.0.0\"\n") ||
		!strings.Contains(got, "  blocklist:\n    - \"abab") || !strings.Contains(got, "  inbound:\n    - {port: any, proto: any, host: any}\n") {
		t.Errorf("lighthouse:\n%s", got)
	}
}

// object returns a rule in the form of a variable's value.
func object(name, value string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{name: cty.StringVal(value)})
}

// TestRules renders the rules of both arguments.
func TestRules(t *testing.T) {
	m := network(t)
	m.Allow = []rule{{"tcp", "22", nil, nil}}
	m.Rules = cty.TupleVal([]cty.Value{object("protocol", "udp"), cty.ObjectVal(map[string]cty.Value{
		"protocol": cty.NullVal(cty.String), "port": cty.NumberIntVal(443), "groups": cty.TupleVal([]cty.Value{cty.StringVal("web")}), "hosts": cty.NullVal(cty.List(cty.String)),
	})})
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	const want = "    - {port: 22, proto: tcp, host: any}\n    - {port: any, proto: udp, host: any}\n    - {port: 443, proto: any, groups: [\"web\"]}\n"
	if got := m.render("pve1"); !strings.HasSuffix(got, want) {
		t.Errorf("configuration, expected to end with\n%s\nbut is\n%s", want, got)
	}
}

// TestMadeAuthority checks that the module accepts an authority from NewAuthority.
func TestMadeAuthority(t *testing.T) {
	m := network(t)
	crt, key, err := NewAuthority("our servers", now, 10*365*day)
	if err != nil {
		t.Fatal(err)
	}
	m.CA, m.CAKey = string(crt), string(key)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	ca, err := m.authority()
	if err != nil {
		t.Fatal(err)
	}
	if c := ca.certificate; c.Name() != "our servers" || !c.NotBefore().Equal(now.Add(-time.Hour)) || !c.NotAfter().Equal(now.Add(10*365*day)) || c.Version() != cert.Version1 {
		t.Errorf("the certificate is %v", c)
	}
	for name, life := range map[string]time.Duration{"": day, " ": day, "a\nb": day, "a": time.Minute} {
		if _, _, err := NewAuthority(name, now, life); err == nil {
			t.Errorf("an authority %q for %s is made", name, life)
		}
	}
}

// TestDiffs checks that diffs are shown, except for a configuration that someone else wrote, which may contain a key.
func TestDiffs(t *testing.T) {
	m := network(t)
	host := made()
	host.conf = "pki:\n  key: |\n    -----BEGIN NEBULA X25519 PRIVATE KEY-----\n"
	shown := map[string]bool{}
	for _, step := range modulestest.Converges(t, m, host.host(m)).Steps {
		if step.Diff != nil {
			shown[step.Diff.Subject] = step.Public
		}
	}
	want := map[string]bool{m.file("ca"): true, m.file("crt"): true, m.file("yml"): false}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("diffs that are shown (-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	elsewhere := network(t)
	delete(elsewhere.Addresses, "pve1")
	delete(elsewhere.Endpoints, "pve1")
	ended, narrow := network(t), network(t)
	ended.CA, ended.CAKey = newCA(t, 1, "dream", 300*day, nil)
	narrow.CA, narrow.CAKey = newCA(t, 1, "dream", 10*365*day, func(c *cert.TBSCertificate) { c.Groups = []string{"web"} })
	for name, test := range map[string]struct {
		m    *nebula
		host state
		want string
	}{
		"no program":        {network(t), state{withoutProgram: true}, "install package nebula first"},
		"no key":            {network(t), state{}, "pve1 has no key for nebula1: create the keys in an earlier task"},
		"loose":             {network(t), state{own: node{Public: publicKey(1), Loose: "644 root regular file"}}, "is 644 root regular file, expected mode 600"},
		"half":              {network(t), state{own: node{Half: true}}, "has no public half in /etc/nebula/nebula1.pub"},
		"damaged":           {network(t), state{own: node{Public: "AAAA"}}, "does not hold a public key: it has 3 bytes, expected 32"},
		"another made it":   {network(t), state{own: node{Public: publicKey(1), Up: true}}, "nebula1 is up on pve1, but was not started by nebula@nebula1.service"},
		"not one of them":   {elsewhere, made(), "addresses has no address for pve1 itself"},
		"an old authority":  {ended, made(), "on pve1 it is 2026-06-01T12:00:00Z, and the authority dream is valid from 2025-06-01T12:00:00Z to 2026-03-28T12:00:00Z"},
		"not for the group": {narrow, made(), "the authority dream does not sign for pve1: certificate contained a group not present on the signing ca: pve"},
	} {
		plan, err := test.m.Plan(context.Background(), test.host.host(test.m))
		if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 && name != "another made it" {
			t.Errorf("%s: %d steps, %v; expected %q", name, len(plan.Steps), err, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	_, otherKey := newCA(t, 2, "other", 10*365*day, nil)
	second, _ := newCA(t, 1, "dream", 10*365*day, func(c *cert.TBSCertificate) { c.Version = cert.Version2 })
	for name, test := range map[string]struct {
		change func(*nebula)
		want   string
	}{
		"right":              {func(*nebula) {}, ""},
		"interface":          {func(m *nebula) { m.Interface = "a/b" }, "interface"},
		"interface, option":  {func(m *nebula) { m.Interface = "-a" }, "interface"},
		"port":               {func(m *nebula) { m.Port = 0 }, "port"},
		"mtu":                {func(m *nebula) { m.MTU = 100 }, "mtu"},
		"lifetime":           {func(m *nebula) { m.Lifetime = time.Minute }, "lifetime"},
		"renewed each time":  {func(m *nebula) { m.RenewBefore = m.Lifetime }, "renew_before"},
		"no prefix":          {func(m *nebula) { m.Addresses["pve1"] = "10.42.0.1" }, "addresses"},
		"IPv6":               {func(m *nebula) { m.Addresses["pve1"] = "fd00::1/64" }, "addresses"},
		"another network":    {func(m *nebula) { m.Addresses["pve1"] = "10.43.0.1/24" }, "addresses"},
		"no host":            {func(m *nebula) { m.Addresses = map[string]string{} }, "addresses"},
		"one address twice":  {func(m *nebula) { m.Addresses["pve1"] = "10.42.0.2/24" }, "addresses"},
		"endpoint":           {func(m *nebula) { m.Endpoints["pve2"] = "a b" }, "endpoints"},
		"endpoint, a port":   {func(m *nebula) { m.Endpoints["pve1"] = "192.0.2.1:4242" }, "endpoints"},
		"inside itself":      {func(m *nebula) { m.Endpoints["pve1"] = "10.42.0.2" }, "endpoints"},
		"endpoint of none":   {func(m *nebula) { m.Endpoints["pve9"] = "192.0.2.9" }, "endpoints"},
		"lighthouse of none": {func(m *nebula) { m.Lighthouses = []string{"pve9"} }, "lighthouses"},
		"dark lighthouse":    {func(m *nebula) { m.Lighthouses = []string{"pve3"} }, "lighthouses"},
		"cannot be found":    {func(m *nebula) { m.Lighthouses = nil }, "lighthouses"},
		"all are known":      {func(m *nebula) { m.Lighthouses, m.Endpoints["pve3"] = nil, "gate.example.org" }, ""},
		"before":             {func(m *nebula) { m.Before = []string{"a b"} }, "before"},
		"group":              {func(m *nebula) { m.Groups = []string{"a, b"} }, "groups"},
		"blocklist":          {func(m *nebula) { m.Blocklist = []string{"abc"} }, "blocklist"},
		"allow, port":        {func(m *nebula) { m.Allow = []rule{{"tcp", "80-70", nil, nil}} }, "allow.port"},
		"allow, icmp":        {func(m *nebula) { m.Allow = []rule{{"icmp", "80", nil, nil}} }, "allow.port"},
		"allow, host":        {func(m *nebula) { m.Allow = []rule{{"tcp", "80", []string{"pve9"}, nil}} }, "allow.hosts"},
		"allow, nobody":      {func(m *nebula) { m.Allow = []rule{{"tcp", "80", []string{}, nil}} }, "allow.hosts"},
		"rules, no list":     {func(m *nebula) { m.Rules = cty.StringVal("tcp") }, "rules"},
		"rules, an object":   {func(m *nebula) { m.Rules = object("port", "22") }, "rules"},
		"rules, port":        {func(m *nebula) { m.Rules = cty.TupleVal([]cty.Value{object("port", "80-70")}) }, "rules"},
		"rules, protocol":    {func(m *nebula) { m.Rules = cty.TupleVal([]cty.Value{object("protocol", "sctp")}) }, "rules"},
		"rules, unknown":     {func(m *nebula) { m.Rules = cty.TupleVal([]cty.Value{object("group", "pve")}) }, "rules"},
		"rules, a map": {func(m *nebula) {
			m.Rules = cty.ListVal([]cty.Value{cty.MapVal(map[string]cty.Value{"port": cty.StringVal("22"), "group": cty.StringVal("pve")})})
		}, "rules"},
		"rules, text":       {func(m *nebula) { m.Rules = cty.TupleVal([]cty.Value{cty.StringVal("22")}) }, "rules"},
		"rules, null":       {func(m *nebula) { m.Rules = cty.TupleVal([]cty.Value{cty.NullVal(cty.String)}) }, "rules"},
		"allow, both":       {func(m *nebula) { m.Allow = []rule{{"tcp", "80", []string{"pve2"}, []string{"pve"}}} }, "allow.groups"},
		"no authority":      {func(m *nebula) { m.CA = "" }, "ca"},
		"not a certificate": {func(m *nebula) { m.CA = "hello" }, "ca"},
		"of a host":         {func(m *nebula) { m.CA = signed(t, network(t), 0, nil) }, "ca"},
		"version 2":         {func(m *nebula) { m.CA = second }, "ca"},
		"no key":            {func(m *nebula) { m.CAKey = "" }, "ca_key"},
		"another key":       {func(m *nebula) { m.CAKey = otherKey }, "ca_key"},
		"not a key":         {func(m *nebula) { m.CAKey = "geheim" }, "ca_key"},
		"a passphrase": {func(m *nebula) {
			m.CAKey = "-----BEGIN NEBULA ED25519 ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END NEBULA ED25519 ENCRYPTED PRIVATE KEY-----\n"
		}, "ca_key"},
	} {
		m := network(t)
		test.change(m)
		err := m.Validate()
		var argument *modules.ArgumentError
		if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &argument) || argument.Argument != test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the key is shown: %v", name, err)
		}
	}
}

// TestParse parses the output of the real programs.
func TestParse(t *testing.T) {
	got, err := parse("interface nebula1\nnow 1780315200\nstat 600 root regular file\npublic ONE=\nmtu 1300\naddresses nebula1          UNKNOWN        10.42.0.1/24 fe80::3a2:9d7d:6f7a:f3a3/64 \nstarted 10.42.0.1/24 on nebula1\nloaded all\ninterface nebula2\nnow 1780315200\nstat 640 root regular file\nhalf key\ninterface nebula3\nnow 1\n")
	want := map[string]node{
		"nebula1": {Now: 1780315200, Public: "ONE=", Up: true, MTU: 1300, Addresses: []string{"10.42.0.1/24"}, Started: "10.42.0.1/24 on nebula1", Loaded: true},
		"nebula2": {Now: 1780315200, Loose: "640 root regular file", Half: true}, "nebula3": {Now: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"interface a\nnow then\n", "interface a\nmtu many\n", "interface a\nwhat is this\n", "interface a\npublic\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("interface nebula1\nnow 1\nstat 600 root regular file\npublic ONE=\nmtu 2\naddresses nebula1 UP 10.0.0.1/8\nstarted x\nloaded all\n"))
	f.Fuzz(func(t *testing.T, text []byte) { modulestest.FuzzAnswer(t, nodes, []string{"nebula1"}, text, 0) })
}
