package ceph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestHealth(t *testing.T) {
	well := Health{Status: "HEALTH_OK", Checks: map[string]Check{}, Flags: []string{}, Down: map[int]string{}, Out: map[int]string{}}
	if diff := cmp.Diff(well, modulestest.Parsed(t, Healths, []string{""}, askedOf(report(t)))[""]); diff != "" {
		t.Errorf("the recorded cluster; -want +got:\n%s", diff)
	}

	ill := report(t)
	for _, change := range [][2]string{
		{`"health":{"status":"HEALTH_OK","checks":{},"mutes":[]}`, `"health":{"status":"HEALTH_WARN","checks":{` +
			`"OSDMAP_FLAGS":{"severity":"HEALTH_WARN","summary":{"message":"pauserd,pausewr,noout flag(s) set","count":3},"detail":[],"muted":false},` +
			`"MON_DISK_LOW":{"severity":"HEALTH_WARN","summary":{"message":"mon pve1 is low on available space","count":1},"detail":[{"message":"mon.pve1 has 26% avail"}],"muted":false},` +
			`"RECENT_CRASH":{"severity":"HEALTH_WARN","summary":{"message":"1 daemons have recently crashed","count":1},"detail":[],"muted":true}},"mutes":[]}`},
		{`"flags":"sortbitwise`, `"flags":"pauserd,pausewr,noout,sortbitwise`},
		{`"up":1,"in":1`, `"up":0,"in":0`},
	} {
		before := ill
		if ill = strings.Replace(ill, change[0], change[1], 1); ill == before {
			t.Fatalf("the recording has no %s", change[0])
		}
	}
	want := Health{Status: "HEALTH_WARN", Flags: []string{"noout", "pause"}, Down: map[int]string{0: "pve1"}, Out: map[int]string{0: "pve1"},
		Checks: map[string]Check{
			"OSDMAP_FLAGS": {Severity: "HEALTH_WARN", Message: "pauserd,pausewr,noout flag(s) set"},
			"MON_DISK_LOW": {Severity: "HEALTH_WARN", Message: "mon pve1 is low on available space", Detail: []string{"mon.pve1 has 26% avail"}},
		}}
	got := modulestest.Parsed(t, Healths, []string{""}, askedOf(ill))[""]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want.Checks["OSDMAP_FLAGS"], well.WithFlags([]string{"noout", "pause"}).Checks["OSDMAP_FLAGS"]); diff != "" {
		t.Errorf("what is predicted of flags; -recorded +predicted:\n%s", diff)
	}
}

// A report without health does not mean that the cluster is healthy.
func TestHealthThatIsNotSaid(t *testing.T) {
	said := 0
	Healths.Parse([]string{""}, []remote.Answer{askedOf(strings.Replace(report(t), `"health"`, `"other"`, 1))}, func(_ string, got Health, err error) {
		said++
		if err == nil {
			t.Errorf("no error, and %+v", got)
		}
	})
	if said != 1 {
		t.Errorf("%d answers", said)
	}
}

// What the cluster holds is what the other two kinds find in the same answer.
func TestHolding(t *testing.T) {
	answer := askedOf(report(t))
	want := Holding{
		Distribution: modulestest.Parsed(t, Distributions, []string{""}, answer)[""],
		Pools:        modulestest.Parsed(t, Pools, []string{""}, answer)[""],
	}
	got := modulestest.Parsed(t, Holdings, []string{""}, answer)[""]
	if diff := cmp.Diff(want, got); diff != "" || len(got.Pools) == 0 {
		t.Errorf("%d pools; -want +got:\n%s", len(got.Pools), diff)
	}
}

// In check mode, weights and pools that a step is expected to change replace what the cluster holds now.
func TestHoldingAfterExpectedSteps(t *testing.T) {
	weighed := Distribution{Weights: map[int]OSDWeight{0: {Crush: 1, Reweight: 1, Class: "hdd"}}}
	pools := map[string]Pool{"vm-disks": {Size: 3}}
	now := Holding{Distribution: Distribution{Nearfull: 0.85}, Pools: map[string]Pool{".mgr": {Size: 3}}}
	for name, test := range map[string]struct {
		expected []observe.Expectation
		want     Holding
	}{
		"none":       {nil, now},
		"of weights": {[]observe.Expectation{Distributions.Expect("", weighed)}, Holding{weighed, now.Pools}},
		"of pools":   {[]observe.Expectation{Pools.Expect("", pools)}, Holding{now.Distribution, pools}},
	} {
		h := observe.NewRecorded("pve1", append(test.expected, Holdings.Expect("", now))...)
		got, err := ObserveHolding(t.Context(), h)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	h := observe.NewRecorded("pve1", Distributions.Unknown("", "data moves"), Holdings.Expect("", now))
	if _, err := ObserveHolding(t.Context(), h); !observe.IsUnknown(err) {
		t.Errorf("weights that check mode cannot know: %v", err)
	}
}

func TestDistribution(t *testing.T) {
	got := modulestest.Parsed(t, Distributions, []string{""}, askedOf(report(t)))[""]
	if len(got.Weights) != 6 || got.Weights[0].Class != "hdd" || got.Weights[0].Reweight != 1 || !SameWeight(got.Weights[0].Crush, 0.90970) {
		t.Errorf("weights %+v", got.Weights)
	}
	total := 0.0
	for id := range got.Weights {
		total += got.Share(id)
	}
	if total < 0.999 || total > 1.001 {
		t.Errorf("the shares make up %f", total)
	}
	if usage := got.Usages["hdd"]; usage.Total != 5372199504 || usage.Used != 1784656 || got.Nearfull < 0.84 || got.Nearfull > 0.86 {
		t.Errorf("usage %+v, nearly full at %f", usage, got.Nearfull)
	}
	if out := got.With(0, OSDWeight{Crush: 0.9, Class: "hdd"}); out.Share(0) != 0 || out.Share(1) <= got.Share(1) {
		t.Errorf("an OSD that is out has a share of %f, another one of %f after %f", out.Share(0), out.Share(1), got.Share(1))
	}
	if SameWeight(0.9, 0.90002) || !SameWeight(0.9, 0.899993896484375) {
		t.Error("weights are multiples of 1/65536")
	}
}
