package sshconfig

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oracle returns what ssh -G prints for a host: the values of each keyword.
func oracle(t *testing.T, path string, q Query, args ...string) (map[string][]string, error) {
	t.Helper()
	if q.User != "" {
		args = append(args, "-l", q.User)
	}
	out, err := exec.Command("ssh", append(args, "-G", "-F", path, "--", q.Host)...).Output()
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for line := range strings.SplitSeq(string(out), "\n") {
		keyword, value, _ := strings.Cut(line, " ")
		all[keyword] = append(all[keyword], value)
	}
	return all, nil
}

func needSSH(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("there is no ssh to compare with: make setup installs it")
	}
}

func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func home(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.HomeDir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// compare compares the evaluation of a configuration with ssh's.
func compare(t *testing.T, path string, q Query, defaults map[string][]string) {
	t.Helper()
	q.LocalUser = me(t)
	want, refused := oracle(t, path, q)
	config, err := Load(path, "/nonesuch/home", false)
	var s *Settings
	var name string
	if err == nil {
		s, name, err = config.For(q)
	}
	if (err == nil) != (refused == nil) {
		t.Errorf("%+v: error %v; ssh says %v", q, err, refused)
	}
	if err != nil || refused != nil {
		return
	}
	if got := want["hostname"][0]; name != got {
		t.Errorf("%+v: connects to %q, ssh to %q", q, name, got)
	}
	for _, keyword := range []string{"port", "user", "identitiesonly", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias",
		"proxyjump", "proxycommand", "canonicalizehostname", "addressfamily", "identityagent", "bindaddress", "stricthostkeychecking"} {
		expected := strings.Join(want[keyword], "\n")
		got := strings.Join(defaults[keyword], "\n")
		if set := s.Get(keyword); set.Set() {
			got = set.Value()
			switch keyword {
			case "proxycommand", "proxyjump":
				got = set.Text
				if strings.EqualFold(got, "none") {
					got = ""
				}
				if strings.EqualFold(expected, "none") {
					expected = ""
				}
			case "userknownhostsfile", "globalknownhostsfile":
				got = strings.Join(set.Args, " ")
				expected = strings.ReplaceAll(expected, home(t)+"/", "~/") // later versions expand it
			}
		}
		switch {
		case keyword == "user" && q.User != "":
			got = q.User
		case keyword == "canonicalizehostname" || keyword == "stricthostkeychecking": // ssh prints its values differently
			yes := map[string]string{"yes": "true", "no": "false"}
			if yes[got] != "" {
				got = yes[got]
			}
		case keyword == "proxycommand" && s.Get("proxyjump").Set(): // ssh turns it into a ProxyCommand
			continue
		}
		if got != expected {
			t.Errorf("%+v: %s is %q, ssh has %q", q, keyword, got, expected)
		}
	}
	var keys []string
	for _, k := range s.IdentityFiles() {
		keys = append(keys, k.Value())
	}
	if len(keys) == 0 {
		keys = defaults["identityfile"]
	}
	if !slices.Equal(keys, want["identityfile"]) {
		t.Errorf("%+v: keys %q, ssh has %q", q, keys, want["identityfile"])
	}
	var certificates []string
	for _, c := range s.CertificateFiles() {
		certificates = append(certificates, c.Value())
	}
	if !slices.Equal(certificates, want["certificatefile"]) {
		t.Errorf("%+v: certificates %q, ssh has %q", q, certificates, want["certificatefile"])
	}
}

// generator generates configurations.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) pattern() string {
	return g.pick("n1", "n2", "n*", "*", "n?", "!n1", "!n2", "*.example", "10.0.0.*", "web,n1", "n*,!n2", "!n1,*", "N1", "alias")
}

func (g generator) setting() string {
	keyword, value := "", ""
	switch g.IntN(13) {
	case 0:
		keyword, value = "HostName", g.pick("10.0.0.1", "10.0.0.2", "%h.example", "N2", "%%n1", "web")
	case 1:
		keyword, value = "User", g.pick("root", "alice", "admin", me2)
	case 2:
		keyword, value = "Port", strconv.Itoa(g.IntN(3000)+1)
	case 3:
		keyword, value = "IdentityFile", g.pick("~/.ssh/a", "/keys/%h", `"/my keys/b"`, "none", "~/.ssh/%r@%n")
	case 4:
		keyword, value = "IdentitiesOnly", g.pick("yes", "no")
	case 5:
		keyword, value = "UserKnownHostsFile", g.pick("/dev/null", "~/k1 ~/k2", `"/my hosts" /k3`)
	case 6:
		keyword, value = "HostKeyAlias", g.pick("one", "two")
	case 7:
		keyword, value = "ProxyJump", g.pick("jump", "u@jump:2200", "a,b", "none")
	case 8:
		keyword, value = "ProxyCommand", g.pick("nc %h %p", `sh -c "echo # %h"`, "none")
	case 9:
		keyword, value = "GlobalKnownHostsFile", g.pick("/g1", "/g1 /g2")
	case 10:
		keyword, value = "IdentityAgent", g.pick("none", "/agent")
	case 11:
		keyword, value = "CertificateFile", g.pick("~/.ssh/a-cert.pub", "/keys/%h-cert.pub", `"/my keys/b"`)
	default:
		keyword, value = g.pick("Ciphers", "ForwardAgent", "ServerAliveInterval", "LogLevel"), ""
		value = map[string]string{"Ciphers": "aes256-ctr", "ForwardAgent": "no", "ServerAliveInterval": "7", "LogLevel": "ERROR"}[keyword]
	}
	switch g.IntN(3) {
	case 0:
		keyword = strings.ToUpper(keyword)
	case 1:
		keyword = strings.ToLower(keyword)
	}
	line := keyword + g.pick(" ", "\t", "=", " = ", "  ") + value
	if !strings.HasPrefix(value, `"`) && !strings.Contains(value, " ") && !strings.EqualFold(keyword, "ProxyCommand") && !strings.EqualFold(keyword, "ProxyJump") && g.IntN(5) == 0 {
		line = keyword + ` "` + value + `"` + g.pick("", " # why")
	}
	return g.pick("", "  ", "\t") + line + g.pick("", "  ", "\r")
}

// me2 is the user who runs the tests, for the generator.
var me2 = "root"

func (g generator) criteria() string {
	if g.IntN(8) == 0 {
		return g.pick("all", "final all", "canonical all", "ALL")
	}
	var all []string
	for range 1 + g.IntN(3) {
		one := g.pick("", "", "", "!")
		switch g.IntN(7) {
		case 0, 1:
			one += g.pick("host", "Host") + g.pick(" ", "=") + g.pattern()
		case 2:
			one += "originalhost " + g.pattern()
		case 3:
			one += "user " + g.pick("root", "alice", "*", "!root,*", `"alice,admin"`, "a*")
		case 4:
			one += "localuser " + g.pick(me2, "other", "*")
		case 5:
			one = "final" // whether "!final" requires a second pass differs between versions of ssh
		default:
			one += "canonical"
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

func (g generator) config(include func(string) string, depth int) string {
	var b strings.Builder
	for range 3 + g.IntN(14) {
		switch n := g.IntN(10); {
		case n < 2:
			fmt.Fprintf(&b, "%s%s%s\n", g.pick("Host", "host", "  HOST"), g.pick(" ", "="), strings.ReplaceAll(g.pattern(), ",", " ")+g.pick("", " n3", ` "n2"`))
		case n < 5:
			fmt.Fprintf(&b, "Match %s%s\n", g.criteria(), g.pick("", "  # why"))
		case n == 5 && depth < 2:
			fmt.Fprintf(&b, "Include %s\n", include(g.config(include, depth+1)))
		case n == 6 && g.IntN(2) == 0:
			b.WriteString(g.pick("# Port 9\n", "\n", "   \n", "  # User x\n"))
		default:
			b.WriteString(g.setting() + "\n")
		}
	}
	return b.String()
}

// For random configurations, the settings are those that ssh finds.
func TestAsSSH(t *testing.T) {
	needSSH(t)
	me2 = me(t)
	dir := t.TempDir()
	defaults, err := oracle(t, os.DevNull, Query{Host: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(60) {
		g := generator{rand.New(rand.NewPCG(11, seed))}
		files := 0
		var included []string
		text := g.config(func(text string) string {
			files++
			path := write(t, filepath.Join(dir, fmt.Sprintf("%d.%d", seed, files)), text)
			included = append(included, path+":\n"+text)
			return path
		}, 0)
		path := write(t, filepath.Join(dir, fmt.Sprint(seed)), text)
		for _, q := range []Query{{Host: g.pick("n1", "N1", "n2")}, {Host: g.pick("n2", "n3", "alias", "10.0.0.1"), User: g.pick("root", "alice", "bob")}} {
			compare(t, path, q, defaults)
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s\nwith these included:\n%s", seed, text, strings.Join(included, "\n"))
		}
	}
}

// Cases that the generator does not produce.
func TestAsSSHOnPurpose(t *testing.T) {
	needSSH(t)
	dir := t.TempDir()
	defaults, err := oracle(t, os.DevNull, Query{Host: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "a", "c"} {
		write(t, filepath.Join(dir, name+".conf"), "Host n1\n  User "+name+"\n  IdentityFile /"+name+"\n")
	}
	hidden := filepath.Join(dir, "hidden")
	if err := os.MkdirAll(filepath.Join(hidden, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(hidden, ".a.swp"), "User swap\n")
	write(t, filepath.Join(hidden, "b"), "Host n1\r\n  User b\r\n\r\nMatch user b\r\n  IdentityFile \"/b b\"\r\n")
	write(t, filepath.Join(hidden, "[x"), "Port 8\n")
	write(t, filepath.Join(hidden, "with space"), "HostKeyAlias c\n")
	for name, text := range map[string]string{
		"hidden files":          "Include " + hidden + "/*\nInclude " + hidden + "/?a*\n",
		"a hidden file":         "Include " + hidden + "/.a.*p\n",
		"a directory":           "Include " + hidden + "\nPort 5\n",
		"classes":               "Include " + dir + "/[!ab].conf\nInclude " + dir + "/[b].conf\n",
		"an open bracket":       "Include " + hidden + "/[x\n",
		"no braces":             "Include " + dir + "/{a,b}.conf\nPort 5\n",
		"a quoted file":         "Include \"" + hidden + "/with space\" " + hidden + "/b\n",
		"two users":             "Host z\n  User a b\n",
		"no user":               "User # who\n",
		"no name":               "HostName \"\"\n",
		"two ports":             "Port 22 23\n",
		"two files":             "IdentityFile /a /b\n",
		"an empty file":         "UserKnownHostsFile /a \"\"\n",
		"an empty alias":        "Host z\n  HostKeyAlias \"\"\n",
		"a BOM":                 "\ufeffPort 5\n",
		"criteria with signs":   "Match host=\"n1\"\n  Port 45\nMatch Host = n2\n  Port 46\n",
		"negated in a list":     "Match host !n2,n*\n  Port 45\nMatch !host !n2,n*\n  Port 46\n",
		"a comma in Host":       "Host n1,n2\n  Port 45\nHost ! n1\n  Port 46\nHost \"!n1\" *\n  Port 47\n",
		"escaped tokens":        "HostName %%%h%%\n",
		"a token it lacks":      "HostName %p\n",
		"quotes inside":         "User a'b'c\nHostKeyAlias a\"b c\"d\n",
		"several criteria":      "Match host n2 user other\n  Port 2222\n",
		"user of the line":      "Match user root\n  Port 2222\n",
		"user set above":        "User carol\nMatch user carol host n*\n  Port 2222\n",
		"user set below":        "Match user carol\n  Port 2222\nMatch all\n  User carol\n",
		"quoted":                "Match host \"n1,n2\" user \"root\"\n  Port 2222\n",
		"quoted host":           "Host \"n1\" 'n2'\n  Port 2222\n",
		"hostname is matched":   "Host n1\n  HostName web.example\nMatch host *.example\n  Port 2222\n",
		"and the original":      "HostName web.example\nMatch originalhost n1 host web*\n  Port 2222\n",
		"final sees all":        "Match final host web\n  User late\nHost n1\n  HostName web\n",
		"not final":             "Match !final\n  User early\n",
		"not canonical":         "Match !canonical host n1\n  User early\n",
		"exec is false":         "Match exec false\n  Port 2222\n",
		"host decides":          "Match host other exec \"true\"\n  Port 2222\n",
		"first wins":            "Host n1\n  Port 1\nHost *\n  Port 2\nMatch all\n  Port 3\n",
		"negated":               "Host * !n1\n  Port 2222\nHost !n2 n*\n  User n\n",
		"only negated":          "Host !n2\n  Port 2222\nMatch host !n2\n  Port 3333\nMatch !host n2\n Port 4444\n",
		"include in a block":    "Host n2\n  Include " + dir + "/*.conf\nHost *\n  Port 3\n",
		"globs in order":        "Include " + dir + "/*.conf\nPort 5\n",
		"two on a line":         "Include " + dir + "/none " + dir + "/c.conf " + dir + "/a.conf\n",
		"a block ends with it":  "Match host n1\nInclude " + dir + "/a.conf\nPort 7\n",
		"command, then jump":    "ProxyCommand nc %h %p\nProxyJump j\n",
		"jump, then command":    "ProxyJump j\nProxyCommand nc %h %p\n",
		"no jump, then command": "ProxyJump none\nProxyCommand nc %h %p\n",
		"no command, then jump": "ProxyCommand none\nProxyJump j\n",
		"comments":              "Port 7 # seven\nUser a#b\n#Port 8\n",
		"escapes":               `IdentityFile "/a\"b"` + "\nIdentityFile /c\\ d\nIdentityFile 'e f'\nIdentityFile /g\\h\n",
		"known hosts once":      "UserKnownHostsFile a b\nUserKnownHostsFile c\n",
		"no value":              "Port\n",
		"quote left open":       "IdentityFile \"a\n",
		"criterion without":     "Match host\n",
		"no criterion":          "Match # nothing\n",
		"all and more":          "Match all host n1\n",
		"unknown token":         "HostName %q.example\n",
		"doubled equals sign":   "User==a\n",
		"canonical is no":       "CanonicalizeHostname no\nAddressFamily inet6\n",
		"address in upper case": "HostName FE80::1\n",
		"canonical address":     "HostName 10.0.0.1\nCanonicalizeHostname yes\nMatch canonical\n  Port 2222\n",
		"always canonical":      "HostName 10.0.0.1\nCanonicalizeHostname always\nMatch host 10.*\n  Port 2222\nMatch final\n  User late\n",
		"unknown":               "Prx 1\n",
		"unknown, elsewhere":    "Host z\n  Prx 1\n",
		"unknown, ignored":      "IgnoreUnknown pR*,x\nPrx 1\nPort 4\n",
		"ignored too late":      "Prx 1\nIgnoreUnknown Pr*\n",
		"ignored for another":   "Host z\n  IgnoreUnknown Pr*\nHost *\n  Prx 1\n",
		"ignored, second":       "IgnoreUnknown a\nIgnoreUnknown Pr*\nPrx 1\n",
		"former options":        "UseRoaming no\nProtocol 2\nCipher x\nFallBackToRsh no\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "config"), text)
			for _, q := range []Query{{Host: "n1"}, {Host: "n2", User: "other"}} {
				compare(t, path, q, defaults)
			}
		})
	}
}

// TestKeywords checks that all options printed by this machine's ssh are known.
func TestKeywords(t *testing.T) {
	needSSH(t)
	all, err := oracle(t, os.DevNull, Query{Host: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	for keyword := range all {
		if keyword != "" && !slices.Contains(keywords, strings.ToLower(keyword)) {
			t.Errorf("%s is not among the keywords", keyword)
		}
	}
}
