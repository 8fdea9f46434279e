package machine

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// login starts sshd on the machine and connects as a user from its configuration.
func login(t *testing.T, user string, change ...func(*Config)) (*Machine, *ssh.Client) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	m := bare(t, append(change, func(c *Config) {
		c.AuthorizedKeys = []string{string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}
	})...)
	address, err := m.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", address.String(), &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(m.HostKey())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return m, client
}

func openSession(t *testing.T, client *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSignal(t *testing.T) {
	_, client := login(t, "root")
	s := openSession(t, client)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("trap : INT; echo ready; sleep infinity; echo rc=$?"); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatal(err)
	}
	// The command may not have started yet, so send signals until one of them has ended it.
	done := make(chan string)
	go func() {
		rest, _ := io.ReadAll(out) // the session ends it
		done <- string(rest)
	}()
	for {
		if err := s.Signal(ssh.SIGINT); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		select {
		case rest := <-done:
			if rest != "rc=130\n" {
				t.Errorf("after the signal: %q, expected that only the command ended", rest)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A command that ends at once is acknowledged before its channel closes: a client waiting for the acknowledgement would
// otherwise occasionally see a lost connection.
func TestQuickCommandIsAcknowledged(t *testing.T) {
	_, client := login(t, "root")
	for i := range 300 {
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run("true"); err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		s.Close()
	}
}

func TestMaxSessions(t *testing.T) {
	_, client := login(t, "root")
	for range maxSessions {
		openSession(t, client)
	}
	if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "open failed") {
		t.Errorf("one session too many: %v, expected that it is refused", err)
	}
	if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("a keepalive was not answered: %v", err)
	}
}

func TestSudo(t *testing.T) {
	withPassword := func(c *Config) { c.Users = []User{{Name: "admin", Password: "secret"}} }
	for _, tc := range []struct {
		name, line, input, stdout, stderr string
		code                              int
		change                            []func(*Config)
	}{
		{name: "free", line: "sudo -n sh -c 'id -un; echo $SUDO_USER'", stdout: "root\nadmin\n"},
		{name: "needs a password", line: "sudo -n true", change: []func(*Config){withPassword}, stderr: "sudo: a password is required\n", code: 1},
		{name: "right", line: "sudo -S -p PROMPT sh -c 'id -un; cat'", input: "secret\nrest\n", change: []func(*Config){withPassword}, stdout: "root\nrest\n", stderr: "PROMPT"},
		{name: "wrong", line: "sudo -S -p P true", input: "a\nb\nc\n", change: []func(*Config){withPassword}, stderr: "PSorry, try again.\nPSorry, try again.\nPSorry, try again.\nsudo: 3 incorrect password attempts\n", code: 1},
		{name: "unknown user", line: "sudo -n -u nobody-here true", stderr: "sudo: unknown user nobody-here\n", code: 1},
		{name: "no such program", line: "sudo -n no-such", stderr: "sudo: no-such: command not found\n", code: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := bare(t, tc.change...)
			stdout, stderr, code := runInput(t, m, "admin", tc.line, tc.input)
			if stdout != tc.stdout || stderr != tc.stderr || code != tc.code {
				t.Errorf("got %q, %q, %d\nexpected %q, %q, %d", stdout, stderr, code, tc.stdout, tc.stderr, tc.code)
			}
		})
	}
}

// An unprivileged user is subject to the permissions of files, programs and user databases.
func TestUnprivileged(t *testing.T) {
	m := bare(t)
	for line, want := range map[string]int{
		"cat /etc/shadow": 1, "echo x >/etc/hosts": 1, "touch /tmp/mine && rm /tmp/mine": 0, "touch ~/mine": 0, "chmod 777 /etc/passwd": 1, "ls /root": 2,
		"apt-get -y install chrony": 100, "systemctl restart ssh": 4, "useradd x": 1, "sysctl -w vm.swappiness=1": 1, "modprobe tcp_bbr": 1, "kill -TERM 1": 1, "systemctl is-active ssh": 0,
	} {
		if _, stderr, code := run(t, m, "admin", line); code != want {
			t.Errorf("%s: exit code %d, expected %d (%s)", line, code, want, stderr)
		}
	}
	for _, w := range m.Writes() {
		if w.What != "write /home/admin/mine" && w.By != "touch" {
			t.Errorf("an unprivileged user wrote: %s: %s", w.By, w.What)
		}
	}
}

// A file that is created below /tmp and removed again does not count as a change of the machine.
func TestScratchIsNoWrite(t *testing.T) {
	m := bare(t)
	if _, stderr, code := run(t, m, "root", "d=$(mktemp -d) && echo x >$d/f && rm -rf $d; echo x >/tmp/left"); code != 0 {
		t.Fatal(stderr)
	}
	if got := writes(m); got != "sh: write /tmp/left" {
		t.Errorf("record: %q", got)
	}
}

func TestUsers(t *testing.T) {
	m := bare(t)
	expect(t, m, "useradd -m -s /bin/bash -G sudo,adm eve && id eve && getent passwd eve && stat -c '%U:%G %a' /home/eve", 0, `uid=1001\(eve\) gid=1001\(eve\) groups=1001\(eve\),4\(adm\),27\(sudo\)`, `eve:x:1001:1001::/home/eve:/bin/bash`, `eve:eve 700`)
	expect(t, m, "useradd eve", 9, `user 'eve' already exists`)
	expect(t, m, "usermod -aG video eve && usermod -s /bin/sh eve && id -Gn eve && getent passwd eve", 0, `eve adm sudo video|eve adm video sudo|eve.*video`, `/bin/sh`)
	expect(t, m, `printf 'eve:$6$x$y\n' | chpasswd -e && getent shadow eve`, 0, `eve:\$6\$x\$y:`)
	expect(t, m, "groupadd -g 4000 team && usermod -aG team eve && getent group team", 0, `team:x:4000:eve`)
	expect(t, m, "mkdir /srv/there && useradd -m -d /srv/there x0; stat -c '%U:%G %a' /srv/there", 0, `root:root 755`, `useradd: warning: the home directory /srv/there already exists.\nuseradd: Not copying any file from skel directory into it.`)
	expect(t, m, "userdel -r eve; id eve; ls /home/eve", 2, `no such user`)
	expect(t, m, "useradd -d /usr/lib x1; userdel -r x1", 12, `userdel: /usr/lib not owned by x1, not removing`)
	expect(t, m, "useradd -d /home/none x2; userdel -r x2", 0, `userdel: x2 home directory \(/home/none\) not found`)
	expect(t, m, "useradd -m -d /home/x3 x3; useradd -m -d /home/x3/x4 x4; userdel -r x3; ls -d /home/x3/x4", 2, `cannot access '/home/x3/x4'`)
	expect(t, m, "useradd -m x5; mv /home/x5 /srv/x5; ln -s /srv/x5 /home/x5; userdel -r x5", 12, `userdel: error removing directory /home/x5`)
}

// The settings that hardening guides change exist, with the values of Debian's kernel.
func TestHardeningSettings(t *testing.T) {
	m := bare(t)
	expect(t, m, "sysctl -n kernel.core_pattern kernel.yama.ptrace_scope fs.protected_regular net.ipv4.tcp_synack_retries", 0, `^core\n0\n2\n5\n$`)
	expect(t, m, "sysctl -w kernel.yama.ptrace_scope=2 && cat /proc/sys/kernel/yama/ptrace_scope", 0, `(?m)^2$`)
}

func TestUnits(t *testing.T) {
	m := bare(t)
	expect(t, m, "systemctl show -p ActiveState,UnitFileState,LoadState ssh nope", 0, `(?s)LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n`)
	expect(t, m, "systemctl disable --now cron; systemctl is-active cron; systemctl is-enabled cron", 1, `inactive\ndisabled`)
	expect(t, m, "systemctl mask cron && systemctl start cron", 1, `Unit cron.service is masked`)
	expect(t, m, "systemctl start nope", 5, `Unit nope.service not found`)
	expect(t, m, `printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/own.service && systemctl daemon-reload && systemctl enable --now own && systemctl is-active own`, 0, `active`)
	m.Units().Add(Unit{Name: "bad", Start: func(*Machine) error { return io.ErrUnexpectedEOF }})
	expect(t, m, "systemctl start bad", 1, `Job for bad.service failed because the control process exited with error code`)
	expect(t, m, "systemctl is-system-running", 1, `degraded`)
	expect(t, m, "systemctl --failed --no-legend; systemctl reset-failed; systemctl is-system-running", 0, `bad.service`, `running`)
}

// A login shell starts in the user's home directory; without a login, su stays in the current one.
func TestSuStartsInTheHome(t *testing.T) {
	m := bare(t)
	for line, want := range map[string]string{
		"cd /tmp && su - admin -c pwd":         "/home/admin\n",
		"cd /tmp && su --login admin -c pwd":   "/home/admin\n",
		"cd /tmp && su admin -c pwd":           "/tmp\n",
		"cd /tmp && runuser -l admin -c 'pwd'": "/home/admin\n",
	} {
		if stdout, stderr, code := runInput(t, m, "root", line, ""); stdout != want || code != 0 {
			t.Errorf("%s: got %q, %q, %d; expected %q", line, stdout, stderr, code, want)
		}
	}
}

// Programs that every Debian host has but the lab does not simulate exist, and say so.
func TestProgramsThatAreNotSimulated(t *testing.T) {
	m := bare(t)
	for _, line := range []string{"awk '{ print $1 }' /etc/fstab", "od -c /etc/fstab", "perl -e 1", "/usr/sbin/fstrim -a", "gzip -d x"} {
		_, stderr, code := runInput(t, m, "root", "command -v "+strings.Fields(line)[0]+" >/dev/null && "+line, "")
		if code == 0 || !strings.Contains(stderr, "not supported on simulated nodes") {
			t.Errorf("%s: %q, exit code %d; expected that it is not simulated", line, stderr, code)
		}
	}
	if _, stderr, code := runInput(t, m, "root", "no-such-program", ""); code != 127 || !strings.Contains(stderr, "not found") {
		t.Errorf("a program of no package: %q, exit code %d", stderr, code)
	}
}
