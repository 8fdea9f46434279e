//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/machine"
	"hlplay/engine/lab/nspawn"
	"hlplay/engine/lab/proxmox/onnode"
)

// TestCluster runs playbooks/cluster.hcl on three bare Debian machines, from the first task to the last: check mode
// predicts the run, the run sets up the cluster, and a second one changes nothing.
//
// What is real: systemd, OpenSSH, apt and dpkg with Debian's own packages, debconf, files, addresses, the reboot, and
// /etc/pve as a FUSE file system that is read-only without quorum. What is not:
//   - Proxmox VE and Ceph: the rehearsal's programs, as packages with Proxmox's names (engine/lab/proxmox/onnode),
//     on a clock that runs eight times as fast;
//   - the kernel, its modules, its settings outside of net.*, and the disks (onnode.Hardware); the boot loader, and
//     with it Debian's kernel and update-grub, which are packages of the test.
func TestCluster(t *testing.T) {
	began := time.Now()
	n := startNodesWith(t, nspawn.Options{Names: []string{"pve1", "pve2", "pve3"}, Shared: onnode.Dir, Devices: []string{"/dev/fuse"}})
	if _, err := n.List[0].ExecInput(t.Context(), onnode.Clock(8), "tee", onnode.ClockFile); err != nil {
		t.Fatal(err)
	}
	program := buildLabProgram(t, n.Dir)
	key := serveArchives(t, n, program)
	r := newRunner(t, n, nspawn.Root)
	r.inventory = filepath.Dir(r.inventory)
	r.vars = []string{fmt.Sprintf("release_key={ url = \"http://mirror.example.org/key.gpg\", sha256 = %q }", key)}
	for i, node := range n.List {
		bareMachine(t, n, node, program, i)
	}
	writePVEInventory(t, n, r.inventory)
	logMachines(t, n, "before")
	t.Logf("machines, packages and repositories are ready after %s", time.Since(began).Round(time.Millisecond))

	const playbook = "../../playbooks/cluster.hcl"
	before := map[string]string{}
	for _, node := range n.List {
		before[node.Name] = shell(t, node, managed)
	}
	check := r.run(t, playbook, "--check")
	check.wantCode(t, "check mode", exitOK)
	for _, node := range n.List {
		if diff := cmp.Diff(strings.Split(before[node.Name], "\n"), strings.Split(shell(t, node, managed), "\n")); diff != "" {
			t.Errorf("check mode has changed %s (-before +after):\n%s", node.Name, diff)
		}
	}
	t.Logf("check mode: %s", check.summary())
	first := r.run(t, playbook)
	t.Logf("first run: %s\n%s", first.summary(), first.byTask())
	first.wantCode(t, "the first run", exitOK)
	wantForetold(t, check, first)
	wantCluster(t, n)
	second := r.run(t, playbook)
	second.wantUnchanged(t, "the second run")
	t.Logf("second run: %s", second.summary())
	again := r.run(t, playbook, "--check")
	again.wantUnchanged(t, "check mode of the cluster")
	t.Logf("check mode again: %s", again.summary())
	logMachines(t, n, "after")
	wantReadOnlyWithoutQuorum(t, n)
	for _, node := range n.List {
		used, err := node.CPU()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s took %s of processor time, all in all", node.Name, used.Round(time.Second))
	}
}

// wantForetold compares the prediction of check mode with the run, task by task.
func wantForetold(t *testing.T, check, first outcome) {
	t.Helper()
	uncertain, changed := check.with("uncertain"), first.with("changed")
	known := func(tasks []string) []string {
		tasks = slices.DeleteFunc(slices.Clone(tasks), func(task string) bool { return slices.Contains(uncertain, task) })
		slices.Sort(tasks)
		return tasks
	}
	if diff := cmp.Diff(known(check.with("changed")), known(changed)); diff != "" {
		t.Errorf("check mode did not foretell what the run changed (-foretold +changed):\n%s", diff)
	}
	slices.Sort(uncertain)
	if diff := cmp.Diff([]string{"pve1: G1.5 G2.1 full upgrade", "pve2: G1.5 G2.1 full upgrade", "pve3: G1.5 G2.1 full upgrade"}, uncertain); diff != "" {
		t.Errorf("check mode was uncertain of other tasks than the upgrade, which depends on what a new repository offers (-expected +uncertain):\n%s", diff)
	}
	t.Logf("%d results, %d changes foretold and made, %d uncertain", len(first.tasks), len(known(changed)), len(uncertain))
}

// byTask returns a line for each task: the status of its hosts, and how long the slowest took.
func (o outcome) byTask() string {
	var names []string
	counts, slowest := map[string]map[string]int{}, map[string]time.Duration{}
	for _, task := range o.tasks {
		if counts[task.Task] == nil {
			names = append(names, task.Task)
			counts[task.Task] = map[string]int{}
		}
		counts[task.Task][task.Status]++
		slowest[task.Task] = max(slowest[task.Task], time.Duration(task.DurationMS)*time.Millisecond)
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "  %-75s", name)
		for _, status := range slices.Sorted(maps.Keys(counts[name])) {
			fmt.Fprintf(&b, " %d %s,", counts[name][status], status)
		}
		fmt.Fprintf(&b, " %s\n", slowest[name].Round(10*time.Millisecond))
	}
	return b.String()
}

// serveArchives serves the packages that the machines install: Debian's, as on its mirror, and Proxmox's. One key signs
// all of them; serveArchives returns its SHA-256 sum.
func serveArchives(t *testing.T, n *nspawn.Nodes, program string) (sum string) {
	t.Helper()
	a := newArchive(t, n)
	packages := proxmoxPackages(t, program)
	pve, ceph := packages["pve-no-subscription"], packages["ceph-squid/no-subscription"]
	a.publish(t, "debian/pve", map[string][]string{"pve-no-subscription": a.build(t, "debian/pve/pool", pve)})
	a.publish(t, "debian/ceph-squid", map[string][]string{"no-subscription": a.build(t, "debian/ceph-squid/pool", ceph)})

	foreign := foreignDependencies(append(slices.Clone(pve), ceph...))
	debian := a.fetch(t, n, "debian/pool", append(foreign, "postfix", "open-iscsi", "chrony")...)
	a.publish(t, "debian", map[string][]string{"main": append(a.build(t, "debian/pool", testPackages), debian...)})

	key, err := os.ReadFile(a.keyring)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "key.gpg"), key, 0o644); err != nil {
		t.Fatal(err)
	}
	a.serve(t, n, 80)
	t.Logf("%d packages of Proxmox's, %d of Debian's", len(pve)+len(ceph), len(debian))
	return fmt.Sprintf("%x", sha256.Sum256(key))
}

// installerPackages are the packages that Debian's installer installs and the image of a container lacks.
var installerPackages = []debianPackage{
	{name: "linux-image-6.1.0-40-amd64", version: "6.1.153-1", files: map[string]string{
		"boot/vmlinuz-6.1.0-40-amd64": "kernel\n", "boot/initrd.img-6.1.0-40-amd64": "initrd\n", "lib/modules/6.1.0-40-amd64/modules.dep": "kernel/drivers/vfio/vfio.ko:\n",
	}},
	{name: "linux-image-amd64", version: "6.1.153-1", fields: "Depends: linux-image-6.1.0-40-amd64\n"},
	{name: "grub2-common", version: "2.06-13+deb12u1", files: map[string]string{
		"usr/sbin/update-grub": "#!/bin/sh\nset -e\nmkdir -p /boot/grub\nls /boot/vmlinuz-* >/boot/grub/grub.cfg\n",
	}},
	{name: "os-prober", version: "1.81", files: map[string]string{"usr/bin/os-prober": "#!/bin/sh\n"}},
	installed[0], // an old version, to be upgraded
}

// cephAddress returns a machine's address in the second network, as in the guides.
func cephAddress(i int) string { return fmt.Sprintf("10.10.10.%d", 11+i) }

var disks = []machine.Disk{
	{Name: "sdb", Serial: "lab1", Model: "WDC_WD40EFZX", Size: 4e12, Rotational: true},
	{Name: "sdc", Serial: "lab2", Model: "WDC_WD40EFZX", Size: 4e12, Rotational: true},
}

// bareMachine turns a node into what Debian's installer leaves on a machine with two blank disks and two networks, and
// with a mirror in its network under the names of Debian's and Proxmox's mirrors.
func bareMachine(t *testing.T, n *nspawn.Nodes, node *nspawn.Node, program string, i int) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.ExecInput(t.Context(), string(content), "sh", "-euc", `mkdir -p /usr/local/lib
cat >/usr/local/lib/hardware; chmod 0755 /usr/local/lib/hardware
for name in bin/lsblk bin/uname sbin/modprobe; do ln -s ../lib/hardware "/usr/local/$name"; done`); err != nil {
		t.Fatal(err)
	}
	inventory, err := json.Marshal(disks)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(n.Dir, "e2e.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	install(t, node, installerPackages)
	for name, text := range map[string]string{
		"/etc/apt/keyrings/mirror.gpg": string(key),
		// systemd-networkd configures the container's network; this is only what the installer would have written.
		"/etc/network/interfaces":                           "auto lo\niface lo inet loopback\n\nallow-hotplug host0\niface host0 inet static\n  address " + node.Address.String() + "/24\n",
		"/etc/apt/sources.list":                             "deb [signed-by=/etc/apt/keyrings/mirror.gpg] http://mirror.example.org/debian bookworm main\n",
		"/etc/systemd/network/10-host0.network.d/ceph.conf": "[Network]\nAddress=" + cephAddress(i) + "/24\n",
		onnode.DisksFile:                                    string(inventory),
		"/etc/systemd/system/hardware.service":              "[Unit]\nDescription=Stand-ins for what a container has not\nDefaultDependencies=no\nBefore=systemd-sysctl.service sysinit.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/lib/hardware hardware\n[Install]\nWantedBy=sysinit.target\n",
	} {
		if _, err := node.ExecInput(t.Context(), text, "sh", "-euc", `mkdir -p "${1%/*}"; cat >"$1"`, "sh", name); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, node, `echo '`+nspawn.Controller+` mirror.example.org download.proxmox.com' >>/etc/hosts
systemctl --quiet enable --now hardware || { journalctl --no-pager --unit hardware >&2; exit 1; }
systemctl restart systemd-networkd
timeout 1200 sh -c 'until ip -4 address show dev host0 | grep -q "`+cephAddress(i)+`/24"; do sleep 0.1; done'`)
}

// writePVEInventory writes an inventory in which the nodes are the guides' hosts: in group pve, with their Ceph
// addresses and disks.
func writePVEInventory(t *testing.T, n *nspawn.Nodes, dir string) {
	t.Helper()
	file := filepath.Join(dir, "hosts.hcl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hosts := string(text)
	var names, devices []string
	for _, d := range disks {
		devices = append(devices, fmt.Sprintf("%q", onnode.DiskLink(d)))
	}
	for i, node := range n.List {
		head := fmt.Sprintf("host %q {\n", node.Name)
		hosts = strings.Replace(hosts, head, head+fmt.Sprintf("  vars = {\n    ceph_address = %q\n  }\n", cephAddress(i)), 1)
		names = append(names, fmt.Sprintf("%q", node.Name))
	}
	group := fmt.Sprintf("group \"pve\" {\n  hosts = [%s]\n  vars = {\n    domain      = \"example.org\"\n    osd_devices = [%s]\n    preflight_accept = [\"cpu\", \"memory\", \"disks\", \"ports\"]\n  }\n}\n", strings.Join(names, ", "), strings.Join(devices, ", "))
	for file, text := range map[string]string{file: hosts, filepath.Join(dir, "pve.hcl"): group} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// logMachines logs the state of the nodes.
func logMachines(t *testing.T, n *nspawn.Nodes, when string) {
	t.Helper()
	for _, node := range n.List {
		out := shell(t, node, `. /etc/os-release
echo "$PRETTY_NAME, kernel $(uname -r) on the host's $(/bin/uname -r)"
dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\n' systemd openssh-server apt dpkg postfix chrony open-iscsi proxmox-ve pve-manager ceph-mon 2>/dev/null | sed -n 's/^ii *//p' | xargs printf '%s %s, ' || true`)
		t.Logf("%s, %s: %s", node.Name, when, strings.ReplaceAll(out, "\n", "; "))
	}
}
