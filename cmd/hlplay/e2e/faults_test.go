//go:build linux && e2e

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"hlplay/engine/lab/nspawn"
)

var (
	faultCount = flag.Int("faults", len(faultKinds), "how many faults TestFaults injects")
	faultFirst = flag.Int("first", 1, "the number of the first fault that TestFaults injects; those in front of it are left out")
	faultSeed  = flag.Uint64("seed", 1, "what the order and the moments of the faults follow from")
)

// tally counts the effects of the faults of one kind.
type tally struct{ faults, struck, reruns, handlers, twice, updates, leftovers, secrets, other int }

// campaign injects faults into runs of faults.hcl, each of which changes everything to another generation.
type campaign struct {
	*runner
	nodes       []*nspawn.Node
	secret      string
	undisturbed string // the state of a node after an undisturbed run
	duration    time.Duration
	known       map[*nspawn.Node]string // lines written by an administrator, which must be kept
}

// TestFaults injects faults of every kind at random times during a run, and compares the nodes after a rerun with their
// state after an undisturbed run. It prints the table in docs/reliability.md.
func TestFaults(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1", "node2"}, Packages: []string{"libfaketime"}, Disks: []int64{64 << 20}})
	c := &campaign{
		runner: newRunner(t, n, nspawn.Admin), nodes: n.List,
		secret: "correct-horse-battery-staple", known: map[*nspawn.Node]string{},
	}
	for _, node := range c.nodes {
		c.furnish(t, node)
	}
	for _, generation := range []string{"first", "undisturbed"} { // the first one creates what later ones change
		c.reset(t)
		began := time.Now()
		c.converge(t, generation).wantCode(t, "an undisturbed run", exitOK)
		c.duration = time.Since(began)
	}
	c.undisturbed = c.state(t, c.nodes[0], "undisturbed")
	t.Logf("an undisturbed run takes %s, and leaves:\n%s", c.duration.Round(time.Millisecond), c.undisturbed)
	tallies := map[string]*tally{}
	for number := *faultFirst; number <= *faultCount; number++ {
		round, place := (number-1)/len(faultKinds), (number-1)%len(faultKinds)
		kind := faultKinds[chance(uint64(round), roundsOrder).Perm(len(faultKinds))[place]]
		if tallies[kind.name] == nil {
			tallies[kind.name] = &tally{}
		}
		c.inject(t, number, kind, tallies[kind.name])
		if place == len(faultKinds)-1 || number == *faultCount {
			t.Logf("%d faults, seed %d:\n%s", number-*faultFirst+1, *faultSeed, table(tallies))
		}
	}
}

// The random numbers of a campaign come from several sources, so that each fault can be reproduced without the ones
// before it.
const (
	roundsOrder  = iota // the order of the kinds in a round
	faultsMoment        // when and where a fault is injected
	faultsPause         // how long it lasts, and how questions are answered
)

// chance returns the source of random numbers of a round or fault, for a purpose.
func chance(number, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(*faultSeed, number<<8|purpose))
}

// furnish gives a node a small disk, which can be full or read-only, and the package that a run removes.
func (c *campaign) furnish(t *testing.T, node *nspawn.Node) {
	t.Helper()
	disk := node.Disks()[0]
	// In a container, systemd does not mount devices listed in fstab.
	shell(t, node, "mkfs.ext4 -q "+disk+`
printf '%s\n' '[Mount]' What=`+disk+` Where=/srv/faults Type=ext4 '[Install]' WantedBy=local-fs.target >/etc/systemd/system/srv-faults.mount
systemctl daemon-reload
systemctl enable --quiet --now srv-faults.mount`)
	content, err := os.ReadFile(debianPackage{name: "e2e-faults", version: "1.0", files: map[string]string{
		"DEBIAN/prerm": "#!/bin/sh\nset -e\necho \"$1\" >>/srv/faults/package\n",
	}}.build(t, node.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.ExecInput(t.Context(), string(content), "sh", "-euc", "cat >/root/faults.deb"); err != nil {
		t.Fatal(err)
	}
}

// reset prepares the nodes for the next generation.
func (c *campaign) reset(t *testing.T) {
	t.Helper()
	for _, node := range c.nodes {
		shell(t, node, "dpkg --install /root/faults.deb >/dev/null; : >/srv/faults/package")
	}
}

func (c *campaign) converge(t *testing.T, generation string, flags ...string) outcome {
	t.Helper()
	return c.run(t, "faults.hcl", append([]string{"-e", "generation=" + generation, "-e", "secret=" + c.secret, "--wait=10m"}, flags...)...)
}

// state returns a node's state for a generation: the contents of the files, and how often everything was done.
func (c *campaign) state(t *testing.T, node *nspawn.Node, generation string) string {
	t.Helper()
	said := on(t, node, "sh", "-euc", `mountpoint -q /srv/faults
cd /srv/faults
for f in daemon.conf running.conf read secret kept last; do printf '%s (%s): ' "$f" "$(stat -c '%U %a' $f)"; cat "$f"; done
grep '^generation' shared
for f in short begun long; do echo "$f: $(grep -cx "$1" "$f" || :)"; done
echo "package: $(grep -c remove package || :)"
dpkg-query -W -f 'e2e-faults: ${Status}\n' e2e-faults 2>/dev/null || :`, "sh", generation)
	return strings.NewReplacer(generation, "GENERATION", c.secret, "SECRET").Replace(said)
}

// inject injects one fault into a run, repairs the damage, repeats the run until it succeeds, and counts the
// differences from an undisturbed run. If the run ended before the fault, its duration is used to choose an earlier
// time in another run.
func (c *campaign) inject(t *testing.T, number int, kind faultKind, tally *tally) {
	t.Helper()
	random := chance(uint64(number), faultsMoment)
	node, when := c.nodes[random.IntN(len(c.nodes))], random.Float64()
	choice := []string{"w", "l", "s"}[random.IntN(3)]
	var f *fault
	var o outcome
	var moment time.Duration
	for try := 1; f == nil || !f.struck && try <= 5; try++ {
		c.reset(t)
		moment = time.Duration(when * float64(c.duration))
		f = &fault{T: t, campaign: c, random: chance(uint64(number), faultsPause), node: node, generation: fmt.Sprintf("g%d-%d", number, try),
			over: make(chan struct{}), healed: make(chan struct{})}
		c.choice = choice
		c.started = func(p *os.Process) {
			defer close(f.healed)
			f.process = p
			if f.wait(moment) {
				f.struck = true
				kind.strike(f)
			}
		}
		o = c.converge(t, f.generation)
		close(f.over)
		<-f.healed
		c.started, c.choice = nil, ""
		if !f.struck {
			c.duration = o.took
		}
	}
	tally.faults++
	if f.struck {
		tally.struck++
	}
	what := fmt.Sprintf("fault %d, %s of %s after %s", number, kind.name, node.Name, moment.Round(time.Millisecond))
	ended := o.code
	reruns := 0
	for ; reruns == 0 || o.code != exitOK && reruns < 4; reruns++ {
		o = c.converge(t, f.generation)
	}
	tally.reruns += reruns
	t.Logf("%s: exit code %d, then %d run(s)", what, ended, reruns)
	if o.code != exitOK {
		t.Errorf("%s: no run succeeds any more:\n%s", what, o.failures())
		tally.other++
	}
	for _, node := range c.nodes {
		c.judge(t, what, node, f, tally)
	}
}

// judge counts what a fault has left on a node.
func (c *campaign) judge(t *testing.T, what string, node *nspawn.Node, f *fault, tally *tally) {
	t.Helper()
	blame := func(count *int, format string, args ...any) {
		t.Helper()
		*count++
		t.Errorf("%s: %s: %s", what, node.Name, fmt.Sprintf(format, args...))
	}
	want, got := strings.Split(c.undisturbed, "\n"), strings.Split(c.state(t, node, f.generation), "\n")
	for i := range max(len(want), len(got)) {
		w, g := line(want, i), line(got, i)
		switch name, _, _ := strings.Cut(g, " "); {
		case w == g:
		case f.mayFail && strings.HasPrefix(g, "begun:"): // a failed one is started again
		case name == "running.conf" || name == "read" || name == "kept":
			blame(&tally.handlers, "a handler was lost: %q, want %q", g, w)
		case slices.Contains([]string{"short:", "begun:", "long:", "package:"}, name):
			blame(&tally.twice, "an effect is there another number of times: %q, want %q", g, w)
		default:
			blame(&tally.other, "%q, want %q", g, w)
		}
	}
	for _, l := range strings.Fields(c.known[node]) {
		if _, err := node.Exec(t.Context(), "grep", "-qx", l, "/srv/faults/shared"); err != nil {
			blame(&tally.updates, "an administrator's line is lost: %v", err)
		}
	}
	if left := shell(t, node, leftovers); left != "" {
		blame(&tally.leftovers, "left behind: %s", left)
	}
	found := strings.Fields(shell(t, node, "sync; grep -rlF "+c.secret+" /etc /tmp /var /dev/shm /run /root /home /srv 2>/dev/null || :"))
	known := []string{"/srv/faults/secret", "/srv/faults/kept"} // to prove that the search works
	for _, file := range known {
		if !slices.Contains(found, file) {
			blame(&tally.other, "the search for the secret has not found %s", file)
		}
	}
	if found = slices.DeleteFunc(found, func(file string) bool { return slices.Contains(known, file) }); len(found) > 0 {
		blame(&tally.secrets, "the secret is in %s", strings.Join(found, ", "))
	}
	if found, err := searched(c.dir, c.secret); err != nil || len(found) > 0 {
		blame(&tally.secrets, "the secret is on the controller in %q (%v)", found, err)
	}
}

// leftovers lists what runs have left on a node. The last run's shells may still be about to end.
const leftovers = `for try in $(seq 50); do
	left=$(find /srv /etc -name '.*hlplay*'
		find /dev/shm /tmp /var/tmp -maxdepth 1 -name 'hlplay*'
		find /var/lib/hlplay -mindepth 1 ! -type d
		find /var/lib/hlplay/running -mindepth 1
		systemctl list-units --all --no-legend 'hlplay-*')
	[ -n "$left" ] || exit 0
	sleep 0.2
done
echo "$left"`

func line(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return ""
}

// table formats the effects of all faults.
func table(tallies map[string]*tally) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| kind\t| faults\t| during the run\t| runs afterwards\t| handlers lost\t| effects twice\t| updates lost\t| leftovers\t| secrets left\t| other\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	var sum tally
	row := func(name string, x tally) {
		fmt.Fprintf(w, "| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t|\n", name, x.faults, x.struck, x.reruns, x.handlers, x.twice, x.updates, x.leftovers, x.secrets, x.other)
	}
	for _, kind := range faultKinds {
		if x := tallies[kind.name]; x != nil {
			row(kind.name, *x)
			sum = tally{sum.faults + x.faults, sum.struck + x.struck, sum.reruns + x.reruns, sum.handlers + x.handlers, sum.twice + x.twice,
				sum.updates + x.updates, sum.leftovers + x.leftovers, sum.secrets + x.secrets, sum.other + x.other}
		}
	}
	row("all", sum)
	w.Flush()
	return b.String()
}
