package machine

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
)

// expect runs a command line as root and checks its exit code, and its output against patterns.
func expect(t *testing.T, m *Machine, line string, code int, patterns ...string) {
	t.Helper()
	stdout, stderr, got := run(t, m, "root", line)
	if got != code {
		t.Errorf("%s: exit code %d, expected %d\n%s%s", line, got, code, stdout, stderr)
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(stdout + stderr) {
			t.Errorf("%s: nothing matches %q in\n%s%s", line, p, stdout, stderr)
		}
	}
}

func writes(m *Machine) string {
	var all []string
	for _, w := range m.Writes() {
		all = append(all, w.By+": "+w.What)
	}
	return strings.Join(all, "\n")
}

func TestAptInstall(t *testing.T) {
	m := bare(t)
	expect(t, m, "dpkg-query -W -f '${Status}\\t${Version}\\n' chrony", 1, `no packages found matching chrony`)
	expect(t, m, "apt-get -s install chrony", 0, `(?m)^Remv systemd-timesyncd \[`, `(?m)^Inst chrony \(4\.6`, `(?m)^Conf chrony`)
	if got := writes(m); got != "" {
		t.Errorf("a simulation wrote:\n%s", got)
	}
	expect(t, m, "apt-get install chrony </dev/null", 1, `Abort\.`)
	expect(t, m, "apt-get -y install nothing-of-the-kind", 100, `E: Unable to locate package nothing-of-the-kind`)
	expect(t, m, "apt-get -y install chrony", 0, `Setting up chrony`)
	expect(t, m, "dpkg-query -W -f '${Status}\\t${db:Status-Abbrev}\\n' chrony systemd-timesyncd; systemctl is-active chrony; systemctl is-enabled chrony", 0,
		"install ok installed\tii ", "deinstall ok config-files\trc ", "active\nenabled")
	expect(t, m, "apt-get -y install chrony", 0, `already the newest version`, `0 upgraded, 0 newly installed`)
	expect(t, m, "apt-get -y remove chrony; command -v chronyc; ls /etc/chrony/chrony.conf", 0, `/etc/chrony/chrony.conf`)
	expect(t, m, "apt-get -y purge chrony; ls /etc/chrony/chrony.conf", 2)
	want := "apt-get: remove systemd-timesyncd\napt-get: install chrony 4.6.1-3\napt-get: remove chrony\napt-get: purge chrony"
	if got := writes(m); got != want {
		t.Errorf("record:\n%s\nexpected:\n%s", got, want)
	}
}

func TestAptUpgrade(t *testing.T) {
	m := bare(t)
	expect(t, m, "apt-get -s full-upgrade", 0, `0 upgraded, 0 newly installed`)
	expect(t, m, "apt-get -q update", 0, `Reading package lists`)
	expect(t, m, "apt-get -s upgrade", 0, `kept back:\n  linux-image-amd64`)
	expect(t, m, "apt-get -s full-upgrade", 0, `Inst openssl \[3\.5\.1-1\] \(3\.5\.1-1\+deb13u1`, `Inst linux-image-6\.12\.48`)
	expect(t, m, "DEBIAN_FRONTEND=noninteractive apt-get -y full-upgrade", 0)
	expect(t, m, "apt-get -s full-upgrade; uname -r; ls /boot/vmlinuz-*", 0, `0 upgraded, 0 newly installed`, `6\.12\.43`, `vmlinuz-6\.12\.48`)
	m.PowerOff()
	m.PowerOn()
	expect(t, m, "uname -r", 0, `6\.12\.48`)
}

// The packages of the next Debian release come from a source that names it, and base-files turns the host into one of
// that release.
func TestAptReleaseUpgrade(t *testing.T) {
	m := New(Config{Name: "n", Debian: "bookworm"})
	expect(t, m, "systemctl disable --now cron; systemctl stop ssh", 0)
	expect(t, m, "apt-get -s full-upgrade && sed -i s/bookworm/trixie/ /etc/apt/sources.list", 0, `0 upgraded`)
	expect(t, m, "apt-get -s full-upgrade", 0, `0 upgraded`)
	expect(t, m, "apt-get -q update && apt-get -s full-upgrade", 0, `Inst base-files \[12\.4\+deb12u11\] \(13\.8\+deb13u2`, `Inst linux-image-6\.12\.48`)
	expect(t, m, "cat /etc/os-release", 0, `VERSION_CODENAME=bookworm`)
	expect(t, m, "DEBIAN_FRONTEND=noninteractive apt-get -y full-upgrade", 0)
	expect(t, m, "cat /etc/os-release /etc/debian_version; apt-get -s full-upgrade; uname -r", 0, `VERSION_CODENAME=trixie`, `(?m)^13\.2$`, `0 upgraded, 0 newly installed, 0 to remove`, `(?m)^6\.1\.0-37`)
	expect(t, m, "systemctl is-enabled cron; systemctl is-active cron; systemctl is-active ssh systemd-timesyncd", 0, `disabled\ninactive\nactive\nactive`)
	if m.Debian() != "trixie" {
		t.Errorf("the machine runs %s", m.Debian())
	}
	m.Reboot()
	m.Clock().(*VirtualClock).Advance(time.Minute)
	expect(t, m, "uname -r", 0, `^6\.12\.48`)
}

// As recorded with Debian 12's apt 2.6.1.
func TestAptVersions(t *testing.T) {
	m := bare(t)
	m.Archive().Add(
		Package{Name: "tool", Version: "1.20-1"}, Package{Name: "tool", Version: "1.22-1"}, Package{Name: "tool", Version: "1.22-2"}, Package{Name: "tool", Version: "1:0.9-1"},
		Package{Name: "prov1", Version: "1", Provides: []string{"virt"}}, Package{Name: "prov2", Version: "1", Provides: []string{"virt"}},
		Package{Name: "lone", Version: "1", Provides: []string{"single"}})
	expect(t, m, "apt-get -q update", 0)
	for request, want := range map[string]string{"tool=1.22*": "1.22-2", "tool=1.22-1": "1.22-1", "tool=1.22-1*": "1.22-1", "tool=1*": "1:0.9-1", "tool=1:0*": "1:0.9-1"} {
		expect(t, m, "apt-get -s -y install '"+request+"'", 0, `(?m)^Inst tool \(`+regexp.QuoteMeta(want)+` `)
	}
	expect(t, m, "apt-get -s -y install 'tool=0.9*'", 100, `E: Version '0\.9\*' for 'tool' was not found`)
	expect(t, m, "apt-get -s -y install virt", 100, `Package virt is a virtual package provided by:\n  prov1 1\n  prov2 1\n\nE: Package 'virt' has no installation candidate`)
	expect(t, m, "apt-get -s -y install 'single=1*'", 100, `Package single is a virtual package provided by:\n  lone 1\n\nE: Version '1\*' for 'single' was not found`)
	expect(t, m, "apt-get -s -y install single", 0, `(?m)^Inst lone \(1 `)

	expect(t, m, "apt-get -y install tool", 0)
	expect(t, m, "apt-cache policy tool", 0, ` \*\*\* 1:0\.9-1 500\n.*\n        100 /var/lib/dpkg/status\n     1\.22-2 500\n`)
	expect(t, m, "apt-get -y install 'tool=1.20*'", 100, `The following packages will be DOWNGRADED:\n  tool\n0 upgraded, 0 newly installed, 1 downgraded, 0 to remove and`, `E: Packages were downgraded and -y was used without --allow-downgrades\.`)
	expect(t, m, "apt-get -s -y --allow-downgrades install 'tool=1.20*'", 0, `Inst tool \[1:0\.9-1\] \(1\.20-1 `)
	expect(t, m, "apt-get -y --allow-downgrades install 'tool=1.20*' && dpkg-query -W tool", 0, "tool\t1\\.20-1\n")
	expect(t, m, "apt-get -y install 'tool=1.2*'", 0, `1 upgraded`)
	expect(t, m, "apt-mark hold tool && apt-get -y install tool", 100, `The following held packages will be changed:\n  tool\n`, `E: Held packages were changed and -y was used without --allow-change-held-packages\.`)
}

func TestAptSources(t *testing.T) {
	const pve = "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-no-subscription\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
	for _, tc := range []struct {
		name, file, content, pattern string
		keyring                      bool
		code                         int
	}{
		{name: "no key", file: "pve.sources", content: pve, code: 100, pattern: `NO_PUBKEY`},
		{name: "key", file: "pve.sources", content: pve, keyring: true, code: 0},
		{name: "disabled", file: "pve.sources", content: "Enabled: no\n" + pve, code: 0},
		{name: "enterprise", file: "e.sources", content: strings.NewReplacer("http://download", "https://enterprise", "pve-no-subscription", "pve-enterprise").Replace(pve), keyring: true, code: 100, pattern: `401  Unauthorized`},
		{name: "unknown suite", file: "pve.sources", content: strings.Replace(pve, "trixie", "sid", 1), keyring: true, code: 100, pattern: `does not have a Release file`},
		{name: "unknown component", file: "pve.sources", content: strings.Replace(pve, "pve-no-subscription", "pve-none", 1), keyring: true, code: 0, pattern: `doesn't have the component 'pve-none'`},
		{name: "unknown host", file: "x.list", content: "deb http://repo.invalid/debian trixie main\n", code: 100, pattern: `does not have a Release file`},
		{name: "one line, no component", file: "x.list", content: "deb http://deb.example.org/debian trixie\n", code: 100, pattern: `Malformed entry`},
		{name: "one line, key named", file: "x.list", content: "deb [arch=amd64 signed-by=/usr/share/keyrings/proxmox-archive-keyring.gpg] http://download.proxmox.com/debian/pve trixie pve-no-subscription\n", keyring: true, code: 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := bare(t)
			m.Archive().Add(Package{Name: "pve-thing", Version: "1", Component: "pve-no-subscription"})
			if tc.keyring {
				if err := writeFile(view{m: m}, "/usr/share/keyrings/proxmox-archive-keyring.gpg", "key", 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := writeFile(view{m: m}, "/etc/apt/sources.list.d/"+tc.file, tc.content, 0o644); err != nil {
				t.Fatal(err)
			}
			expect(t, m, "apt-get update", tc.code, tc.pattern)
			installable := 100
			if tc.code == 0 && tc.keyring && tc.pattern == "" {
				installable = 0
			}
			expect(t, m, "apt-get -y install pve-thing", installable)
		})
	}
}

func TestAptLock(t *testing.T) {
	m := bare(t)
	m.HoldAptLock("unattended-upgr", 30*time.Second)
	expect(t, m, "apt-get -y install chrony", 100, `E: Could not get lock /var/lib/dpkg/lock-frontend\. It is held by process \d+ \(unattended-upgr\)`)
	// As recorded with Debian 12's apt 2.6.1: while it waits, it prints each second which process holds the lock, and
	// nothing more at the end.
	stdout, stderr, code := run(t, m, "root", "apt-get -y -q -o DPkg::Lock::Timeout=3 install chrony")
	waiting := regexp.MustCompile(`^(Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend\. It is held by process \d+ \(unattended-upgr\)\.\.\.\n){3}$`)
	if refusal := "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n"; code != 100 || !waiting.MatchString(stdout) || stderr != refusal {
		t.Errorf("a wait in vain ended with %d and said\n%s%s", code, stdout, stderr)
	}
	before := m.Clock().Now()
	expect(t, m, "apt-get -y -o DPkg::Lock::Timeout=60 install chrony", 0, `Waiting for cache lock`)
	if waited := m.Clock().Now().Sub(before); waited < 20*time.Second {
		t.Errorf("the lock was free after %s of the lab's time, expected at least 20 s", waited)
	}
}

func TestMaintainerScriptFails(t *testing.T) {
	m := bare(t)
	broken := true
	m.Archive().Add(Package{Name: "fragile", Version: "1", Installed: func(*Machine, io.Writer) error {
		if broken {
			return errors.New("not yet")
		}
		return nil
	}})
	expect(t, m, "apt-get -q update && apt-get -y install fragile", 100, `installed fragile package post-installation script subprocess returned error exit status 1`, `E: Sub-process /usr/bin/dpkg returned an error code \(1\)`)
	expect(t, m, "dpkg-query -W -f '${db:Status-Abbrev}' fragile", 0, `^iF `)
	broken = false
	expect(t, m, "dpkg --configure -a && dpkg-query -W -f '${db:Status-Abbrev}' fragile", 0, `ii `)
}

func TestConffiles(t *testing.T) {
	for _, tc := range []struct {
		flags, content string
		code           int
	}{
		{"", "mine\n", 100},
		{"-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold", "mine\n", 0},
		{"-o Dpkg::Options::=--force-confnew", "two\n", 0},
	} {
		m := bare(t)
		m.Archive().Add(Package{Name: "conf", Version: "1", Conffiles: map[string]string{"/etc/conf": "one\n"}})
		expect(t, m, "apt-get -q update && apt-get -y install conf && echo mine >/etc/conf", 0)
		m.Archive().Add(Package{Name: "conf", Version: "2", Conffiles: map[string]string{"/etc/conf": "two\n"}})
		expect(t, m, "apt-get -q update && apt-get -y "+tc.flags+" install conf", tc.code)
		if got, err := afero.ReadFile(m.FS(), "/etc/conf"); err != nil || string(got) != tc.content {
			t.Errorf("%q: /etc/conf is %q, %v; expected %q", tc.flags, got, err, tc.content)
		}
	}
}

func TestKeyDownload(t *testing.T) {
	m := bare(t)
	const url = "https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg"
	const sum = "136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45"
	expect(t, m, "/usr/lib/apt/apt-helper download-file "+url+" /k SHA256:"+strings.Repeat("0", 64), 100, `Hash Sum mismatch`)
	expect(t, m, "/usr/lib/apt/apt-helper download-file "+url+" /k SHA256:"+sum+" && sha256sum </k", 0, sum+`  -`)
	expect(t, m, "/usr/lib/apt/apt-helper download-file https://example.org/none /k", 100, `404`)
}

func TestCompareVersions(t *testing.T) {
	ascending := []string{"1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-2", "1.0+deb13u1", "1.1", "1.10", "2.0a", "1:0.1", "2:0"}
	for i := range ascending {
		for j := range ascending {
			got := CompareVersions(ascending[i], ascending[j])
			if want := map[bool]int{true: -1, false: 1}[i < j]; i != j && got != want || i == j && got != 0 {
				t.Errorf("%s against %s: %d", ascending[i], ascending[j], got)
			}
		}
	}
}

func TestDependencies(t *testing.T) {
	m := bare(t)
	m.Archive().Add(
		Package{Name: "top", Version: "1", Depends: []string{"left | right", "low (>= 2)"}},
		Package{Name: "right", Version: "1"}, Package{Name: "low", Version: "2"},
		Package{Name: "hopeless", Version: "1", Depends: []string{"missing"}})
	expect(t, m, "apt-get -q update; apt-get -y install top && dpkg-query -W right low", 0)
	expect(t, m, "apt-get -y install hopeless", 100, `hopeless : Depends: missing but it is not installable`, `E: Unable to correct problems, you have held broken packages`)
	expect(t, m, "apt-get -s autoremove", 0, `0 to remove`)
	expect(t, m, "apt-get -y remove top && apt-get -y autoremove && dpkg-query -W low", 1)
	expect(t, m, "apt-get -y remove apt", 100, `Essential packages were removed`)
}
