package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guideStep is a step of a guide.
type guideStep struct {
	id, does string
	differs  string   // where hlplay does something other than the guide
	tests    []string // scripts that show the step, besides the tests that run the playbooks whose tasks name it
	left     string   // what remains, and whose task that is; empty means nothing if there is a task, and "not yet" if there is none
}

// coverage lists the tests that run whole playbooks. Scripts that run other playbooks are found by their text.
var coverage = []struct {
	test, file, machines string
	playbooks            []string // below playbooks, along with what they import
	except               string   // a task that the test omits
	steps                []string // further steps, which the test shows with playbooks of its own
}{
	{test: "TestGuides", file: "guides_test.go", machines: "rehearsal", playbooks: []string{"cluster.hcl"}},
	{test: "TestCluster", file: "e2e/proxmox_test.go", machines: "Debian", playbooks: []string{"cluster.hcl"}},
	{test: "TestCeph", file: "e2e/ceph_test.go", machines: "Ceph", playbooks: []string{"stages/ceph.hcl", "stages/pools.hcl"}, except: "G1.31 G2.4 install Ceph"},
	{test: "TestNebula", file: "e2e/nebula_test.go", machines: "Debian", playbooks: []string{"overlay.hcl"}},
	{test: "TestWireGuard", file: "e2e/wireguard_test.go", machines: "Debian", playbooks: []string{"overlay.hcl"}},
	{test: "TestIngress", file: "e2e/ingress_test.go", machines: "Debian", playbooks: []string{"ingress.hcl"}},
	{test: "TestIngressInContainers", file: "e2e/ingress_test.go", machines: "Debian", playbooks: []string{"ingress.hcl"}},
	{test: "TestArray", file: "e2e/array_test.go", machines: "machine", playbooks: []string{"storage.hcl"}},
	{test: "TestPassthrough", file: "e2e/passthrough_test.go", machines: "machine", playbooks: []string{"stages/passthrough.hcl"}},
	{test: "TestMachineOSDs", file: "e2e/osds_test.go", machines: "machine", playbooks: []string{"replace-disk.hcl"}, steps: []string{"G2.7", "G2.8"}},
	{test: "TestMachineNetwork", file: "e2e/machinenetwork_test.go", machines: "machine", steps: []string{"G1.14", "G1.15", "G1.16", "G1.17"}},
	{test: "TestMachineKilled", file: "e2e/machinekilled_test.go", machines: "machine", steps: []string{"G1.16"}},
	{test: "TestSystemdBoot", file: "e2e/systemdboot_test.go", machines: "machine", steps: []string{"G1.19"}},
}

// optionalStages are the stages of cluster.hcl that do nothing unless the inventory asks for them, which the
// inventories of TestGuides and TestCluster do not.
var optionalStages = []string{"stages/network.hcl", "stages/passthrough.hcl"}

const coverageIntroduction = `# The two guides, and what covers their steps

Written by ` + "`make docs`" + ` from cmd/hlplay/guidesteps_test.go, the playbooks and the tests.

The playbooks automate two guides, and task names carry the number of the step that they do: ` + "`G1.26 create the cluster`" + ` is
step 26 of the first guide, ` + "`G2.14`" + ` step 14 of the second.

- **Guide 1** is 從零開始搭建家庭高可用超融合數據中心 ("A highly available hyper-converged data center at home, from scratch"): bare
  Debian machines become a Proxmox VE cluster with Ceph, with GPU passthrough, bulk storage and backup besides.
- **Guide 2** is 使用 PVE 集群搭建高可用虚拟机 ("Highly available virtual machines on a PVE cluster"): three servers on an overlay
  network get Ceph, and an existing virtual machine moves onto it and becomes highly available.

Neither guide numbers its steps; the numbers below are ours, and they do not change. Where a guide is wrong or out of date, hlplay
does the corrected form, and the third column says so.

The tests run on four kinds of machines:

- *rehearsal*: simulated nodes. TestGuides runs the whole of playbooks/cluster.hcl; the others are scripts in testdata/scripts.
- *Debian*: real Debian nodes (systemd-nspawn). TestCluster runs playbooks/cluster.hcl there; Proxmox VE, Ceph, the kernel, the boot
  loader and the disks are stand-ins. TestNebula and TestWireGuard run playbooks/overlay.hcl;
  TestIngress and, with Docker, TestIngressInContainers run playbooks/ingress.hcl. Their programs are real.
- *Ceph*: real Ceph on real Debian nodes, with stand-ins for the Proxmox programs (TestCeph).
- *machine*: real Debian machines with a kernel, a boot loader and disks of their own (QEMU; ` + "`make e2e-machines`" + `, not part of CI).
`

// TestCoverage compares docs/coverage.md with the playbooks and tests, and the steps that playbooks name with the
// guides.
func TestCoverage(t *testing.T) {
	for _, c := range coverage {
		if !strings.Contains(readText(t, c.file), "func "+c.test+"(t *testing.T)") {
			t.Errorf("%s has no %s", c.file, c.test)
		}
		if c.except != "" && !slices.ContainsFunc(playbookTasks(t)[stepID.FindString(c.except)], func(task playbookTask) bool { return task.name == c.except }) {
			t.Errorf("no playbook has the task %q, which %s leaves out", c.except, c.test)
		}
	}
	current(t, filepath.Join("..", "..", "docs", "coverage.md"), coveragePage(t))
}

func coveragePage(t *testing.T) string {
	t.Helper()
	tasks, unknown := playbookTasks(t), map[string]bool{}
	for step := range tasks {
		unknown[step] = true
	}
	var b strings.Builder
	b.WriteString(coverageIntroduction)
	for i, step := range guideSteps {
		if step.id == "G1.1" || step.id == "G2.1" {
			fmt.Fprintf(&b, "\n## Guide %s\n\n| Step | What it does | Where hlplay differs from the guide | Tasks | Shown by | Not covered |\n|---|---|---|---|---|---|\n", step.id[1:2])
		}
		if slices.ContainsFunc(guideSteps[:i], func(other guideStep) bool { return other.id == step.id }) {
			t.Errorf("step %s is listed twice", step.id)
		}
		delete(unknown, step.id)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", step.id, step.does, step.differs,
			taskCell(tasks[step.id]), testCell(t, step, tasks[step.id]), step.remains(tasks[step.id]))
	}
	for step := range unknown {
		t.Errorf("%s: %q names step %s, which is not in guideSteps", tasks[step][0].playbook, tasks[step][0].name, step)
	}
	return b.String()
}

// playbookTask is a task that names a step.
type playbookTask struct{ playbook, name string }

// playbookTasks returns the playbooks' tasks by the steps that they name.
func playbookTasks(t *testing.T) map[string][]playbookTask {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.hcl", "*/*.hcl"} {
		found, err := filepath.Glob(filepath.Join("../../playbooks", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	tasks := map[string][]playbookTask{}
	for _, file := range files {
		playbook := filepath.ToSlash(strings.TrimPrefix(file, "../../playbooks/"))
		for _, task := range regexp.MustCompile(`(?m)^\s*task "([^"]+)"`).FindAllStringSubmatch(readText(t, file), -1) {
			for _, step := range stepID.FindAllString(task[1], -1) {
				tasks[step] = append(tasks[step], playbookTask{playbook, task[1]})
			}
		}
	}
	if len(tasks) == 0 {
		t.Fatal("no playbook names a step")
	}
	return tasks
}

var stepID = regexp.MustCompile(`\bG[12]\.\d+\b`)

func taskCell(tasks []playbookTask) string {
	var cells []string
	for _, task := range tasks {
		name := strings.TrimSpace(stepID.ReplaceAllString(task.name, ""))
		cells = append(cells, fmt.Sprintf("%s: %s", task.playbook, name))
	}
	return strings.Join(cells, "<br>")
}

// testCell names the tests that show a step, by the machines that they run on.
func testCell(t *testing.T, step guideStep, tasks []playbookTask) string {
	t.Helper()
	on := map[string][]string{}
	add := func(machines, test string) {
		if !slices.Contains(on[machines], test) {
			on[machines] = append(on[machines], test)
		}
	}
	for _, task := range tasks {
		for _, c := range coverage {
			if runsWhole(t, c.playbooks, task.playbook) && task.name != c.except {
				add(c.machines, c.test)
			}
		}
		for _, script := range scriptsThatRun(t, task.playbook) {
			add("rehearsal", script)
		}
	}
	for _, c := range coverage {
		if slices.Contains(c.steps, step.id) {
			add(c.machines, c.test)
		}
	}
	for _, test := range step.tests {
		if _, err := os.Stat(filepath.Join("../../testdata/scripts", test+".txtar")); err != nil {
			t.Errorf("%s: there is no script %s: %v", step.id, test, err)
		}
		add("rehearsal", test)
	}
	var cells []string
	for _, machines := range []string{"rehearsal", "Debian", "Ceph", "machine"} {
		if tests := on[machines]; len(tests) > 0 {
			cells = append(cells, fmt.Sprintf("*%s*: %s", machines, strings.Join(tests, ", ")))
		}
	}
	if len(cells) == 0 && len(tasks) > 0 {
		return "no test yet"
	}
	return strings.Join(cells, "<br>")
}

// runsWhole reports whether one of the playbooks is the named one, or imports it and runs it unconditionally.
func runsWhole(t *testing.T, playbooks []string, name string) bool {
	t.Helper()
	return slices.ContainsFunc(playbooks, func(playbook string) bool {
		return playbook == name || !slices.Contains(optionalStages, name) && strings.Contains(readText(t, filepath.Join("../../playbooks", playbook)), fmt.Sprintf("import %q", name))
	})
}

// scriptsThatRun returns the scripts that run a playbook successfully. It returns none for cluster.hcl and those of its
// stages that are not optional.
func scriptsThatRun(t *testing.T, playbook string) []string {
	t.Helper()
	if runsWhole(t, []string{"cluster.hcl"}, playbook) {
		return nil // many scripts run parts of it
	}
	files, err := filepath.Glob("../../testdata/scripts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runs := regexp.MustCompile(`^exits 0 hlplay (run|rehearse) \$ROOT/playbooks/` + regexp.QuoteMeta(playbook) + ` `)
	var scripts []string
	for _, file := range files {
		text := readText(t, file)
		if !strings.Contains(text, "$ROOT/playbooks/"+playbook+" ") {
			continue // most: the expression would take the race detector minutes
		}
		if slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return runs.MatchString(line) && !strings.Contains(line, " --list-") && !strings.Contains(line, " --check")
		}) {
			scripts = append(scripts, strings.TrimSuffix(filepath.Base(file), ".txtar"))
		}
	}
	return scripts
}

func (s guideStep) remains(tasks []playbookTask) string {
	if s.left == "" && len(tasks) == 0 {
		return "not yet"
	}
	return s.left
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
