package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// unsimulated are the beginnings of tasks on the page that need a repository or a product that the simulated node does not
// have, with what it says. Scripts of their own run these modules.
var unsimulated = map[string]string{
	"git {":          "the checkout needs git",
	"pve_firewall {": "does not run Proxmox VE",
}

// preparations are run on the node first: volume groups, a volume with a file system, and Docker.
var preparations = []string{
	"apt-get install -y lvm2 docker.io docker-cli docker-compose",
	"vgcreate data /dev/sdb /dev/sdc",
	"lvcreate --yes --name backup --extents 25600 data",
	"lvcreate --yes --name old --extents 1000 data",
	"mkfs.ext4 /dev/data/backup",
	"vgcreate pve /dev/sde",
}

// TestFromAnsible checks docs/from-ansible.md: a script runs its commands, and check mode its tasks on a simulated node.
func TestFromAnsible(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-ansible.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../testdata/scripts/from_ansible.txtar")
	if err != nil {
		t.Fatal(err)
	}
	node := newRow(t)
	rows, refused := 0, map[string]bool{}
	form := regexp.MustCompile("^\\|.*\\| `([^`]+)` \\|$")
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "|") || line == "| Ansible | hlplay |" || line == "|---|---|" {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no form of hlplay that can be tried stands at the end of the row %s", line)
			continue
		}
		rows++
		if strings.HasPrefix(m[1], "hlplay ") {
			if !strings.Contains(string(script), m[1]+"\n") {
				t.Errorf("testdata/scripts/from_ansible.txtar does not run %s", m[1])
			}
			continue
		}
		want := ""
		for begins, says := range unsimulated {
			if strings.HasPrefix(m[1], begins) {
				want, refused[begins] = says, true
			}
		}
		if got := node.check(t, m[1]); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, expected %q", m[1], got, want)
		}
	}
	if rows < 100 {
		t.Errorf("the page has %d rows with a form of hlplay", rows)
	}
	for begins := range unsimulated {
		if !refused[begins] {
			t.Errorf("the page has no task %s", begins)
		}
	}
}

// TestFromAnsibleIsComplete checks that the page names every module of ansible.builtin, of ansible-core 2.14, that a playbook
// can use.
func TestFromAnsibleIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-ansible.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(`add_host apt apt_key apt_repository assemble assert async_status blockinfile command copy cron debconf
		debug dnf dpkg_selections expect fail fetch file find gather_facts get_url getent git group group_by hostname import_playbook
		import_role import_tasks include_role include_tasks include_vars iptables known_hosts lineinfile meta package package_facts pause
		ping pip raw reboot replace rpm_key script service service_facts set_fact set_stats setup shell slurp stat subversion systemd
		systemd_service sysvinit tempfile template unarchive uri user validate_argument_spec wait_for wait_for_connection yum
		yum_repository`) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/from-ansible.md does not name `%s`", name)
		}
	}
}

// row is a simulated node, web1, on which the tasks of the page are tried.
type row struct {
	lab *lab.Lab
	dir string
}

func newRow(t *testing.T) *row {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"files/a.conf": "a\n",
		"hosts.hcl": `host "web1" {
  address = "192.0.2.11"
  rehearsal {
    disk "sdb" {
      serial = "S1EXAMPLE"
      size   = "1TB"
    }
    disk "sdc" {
      serial = "S2EXAMPLE"
      size   = "1TB"
    }
    disk "sdd" {
      model      = "EXAMPLE"
      serial     = "S3EXAMPLE"
      size       = "4TB"
      partitions = ["1TB"]
    }
    disk "sde" { size = "2TB" }
  }
}
host "db1" { address = "192.0.2.12" }
host "lb1" { address = "192.0.2.13" }
host "localhost" { connection = "local" }
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inv, diags := inventory.Load(filepath.Join(dir, "hosts.hcl"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l, err := lab.Start(t.Context(), inv, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, command := range preparations {
		var said bytes.Buffer
		if code := l.Machine("web1").Console(t.Context(), &said, &said, strings.Fields(command)...); code != 0 {
			t.Fatalf("%s: exit code %d, %s", command, code, &said)
		}
	}
	return &row{l, dir}
}

// check runs a task in check mode. It returns the message if it fails, or what is wrong with it.
func (r *row) check(t *testing.T, task string) string {
	t.Helper()
	f := inputFlags{source: lang.AdHoc{Hosts: "web1", Task: task}.Source()}
	pb, err := f.loadPlaybook(filepath.Join(r.dir, "task.hcl"), r.lab.Inventory(), selectFlags{})
	if err != nil {
		return err.Error()
	}
	kept := &report.Recorder{}
	connect := &connectFlags{rehearsal: 4}
	o := run.Options{Check: true, Reporter: kept, Clock: r.lab.Clock(), Connect: connect.connect(func(fn func()) { fn() })}
	if _, err := run.Run(t.Context(), pb, r.lab.Inventory(), o); err != nil {
		return err.Error()
	}
	for _, result := range kept.Results() {
		if result.Status == report.Failed || result.Status == report.Unreachable {
			return result.Message
		}
	}
	return ""
}
