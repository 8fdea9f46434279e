package pveceph

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Weight sets how much data an OSD gets.
type Weight struct {
	OSD      string   `hcl:"osd" doc:"The OSD: osd.3."`
	Crush    *float64 `hcl:"crush,optional" doc:"Its weight in the CRUSH map, which is a capacity, in TiB unless the cluster uses another unit."`
	Reweight *float64 `hcl:"reweight,optional" doc:"Override, greater than 0 and up to 1, by which the CRUSH weight is multiplied. It is lost when the OSD is marked out."`
	MaxMoved string   `hcl:"max_moved,optional" default:"10%" doc:"How much of the data of its device class may move, as a percentage."`
}

func (w *Weight) scope() modules.Scope { return modules.OncePerCluster }

func (w *Weight) validate() error {
	switch {
	case !osdName.MatchString(w.OSD):
		return &modules.ArgumentError{Argument: "weight.osd", Problem: fmt.Sprintf("%q is not an OSD", w.OSD), Want: "expected a name such as osd.3"}
	case w.Crush == nil && w.Reweight == nil:
		return &modules.ArgumentError{Argument: "weight", Problem: "neither crush nor reweight is given", Want: "give one of them, or both"}
	case w.Crush != nil && (*w.Crush < 0 || *w.Crush > 1000):
		return &modules.ArgumentError{Argument: "weight.crush", Problem: float(*w.Crush), Want: "expected a capacity in TiB"}
	case w.Reweight != nil && (*w.Reweight <= 0 || *w.Reweight > 1):
		return &modules.ArgumentError{Argument: "weight.reweight", Problem: float(*w.Reweight), Want: "expected a share above 0, at most 1; 0 would take the OSD out"}
	}
	if _, err := percentage("weight.max_moved", w.MaxMoved); err != nil {
		return err
	}
	return nil
}

// percentage parses "10%" as 0.1.
func percentage(argument, text string) (float64, error) {
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(value >= 0 && value <= 100) {
		return 0, &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not a percentage", text), Want: "expected 0% to 100%"}
	}
	return value / 100, nil
}

func (w *Weight) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	d, err := ceph.Distributions.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	id, err := strconv.Atoi(strings.TrimPrefix(w.OSD, "osd."))
	if err != nil {
		return modules.Plan{}, err
	}
	is, ok := d.Weights[id]
	if !ok {
		return modules.Plan{}, fmt.Errorf("weight.osd: the CRUSH map has no %s", w.OSD)
	}
	want := is
	if w.Crush != nil && !ceph.SameWeight(*w.Crush, is.Crush) {
		want.Crush = *w.Crush
	}
	if w.Reweight != nil && !ceph.SameWeight(*w.Reweight, is.Reweight) {
		if is.Reweight == 0 {
			return modules.Plan{}, fmt.Errorf("%s is out, and a reweight would bring it in: if that is intended, run ceph osd in %d first", w.OSD, id)
		}
		want.Reweight = *w.Reweight
	}
	if want == is {
		return s.plan(), nil
	}
	if err := w.looksLikeRatio(is, want); err != nil {
		return modules.Plan{}, err
	}
	moved := movedBy(d, id, want)
	most, err := percentage("weight.max_moved", w.MaxMoved)
	if err != nil {
		return modules.Plan{}, err
	}
	if moved > most+1e-9 {
		return modules.Plan{}, fmt.Errorf("%s from %s to %s would move about %s of the data of class %s%s, and weight.max_moved is %s: change it in smaller steps, or raise the limit",
			w.OSD, describeWeight(is), describeWeight(want), percent(moved), orNone(is.Class), inBytes(moved, classUsed(d, is.Class)), percent(most))
	}
	var steps []modules.Step
	if want.Crush != is.Crush {
		part := is
		part.Crush = want.Crush
		step := w.step(s, d, id, is, part, cephCommand("osd", "crush", "reweight", w.OSD, weightText(want.Crush)))
		step.Objects = []string{crushObject.Name}
		steps = append(steps, step)
		d, is = d.With(id, part), part
	}
	if want.Reweight != is.Reweight {
		steps = append(steps, w.step(s, d, id, is, want, cephCommand("osd", "reweight", strconv.Itoa(id), weightText(want.Reweight))))
	}
	return s.plan(steps...), nil
}

// looksLikeRatio rejects a CRUSH weight that was meant as a share: "1" on a disk of 4 TB cuts its data to about a quarter.
func (w *Weight) looksLikeRatio(is, want ceph.OSDWeight) error {
	small := is.Crush <= 1 && want.Crush < is.Crush // a share of a weight that is itself at most 1
	if want.Crush == is.Crush || want.Crush > 1 || is.Crush == 0 || want.Crush == 0 || small {
		return nil
	}
	if ratio := want.Crush / is.Crush; ratio > 0.5 && ratio < 2 {
		return nil
	}
	return fmt.Errorf("weight.crush: %s looks like a share, but the CRUSH weight is a capacity in TiB: %s has %s now; for a share of %s use reweight = %s",
		float(want.Crush), w.OSD, weightText(is.Crush), float(want.Crush), float(want.Crush))
}

// movedBy returns the share of the data of its class that moves when an OSD gets another weight, which is the change in what
// it holds. CRUSH moves little more than that.
func movedBy(d ceph.Distribution, id int, want ceph.OSDWeight) float64 {
	return math.Abs(d.With(id, want).Share(id) - d.Share(id))
}

// classUsed returns how many bytes the OSDs of a class hold, copies included, or -1 if that is not known.
func classUsed(d ceph.Distribution, class string) int64 {
	usage, ok := d.Usages[class]
	if !ok {
		return -1
	}
	return usage.Used << 10
}

func (w *Weight) step(s *state, d ceph.Distribution, id int, is, want ceph.OSDWeight, command modules.Run) modules.Step {
	return modules.Step{
		Risk:    modules.MovesData,
		Summary: fmt.Sprintf("weigh %s %s instead of %s: about %s of the data of class %s moves%s", w.OSD, describeWeight(want), describeWeight(is), percent(movedBy(d, id, want)), orNone(is.Class), inBytes(movedBy(d, id, want), classUsed(d, is.Class))),
		Action:  command,
		Diff:    &modules.Diff{Subject: "weight of " + w.OSD, Before: describeWeight(is), After: describeWeight(want)},
		Expect: append(pve.Everywhere(s.host, ceph.Distributions.Expect("", d.With(id, want)), ceph.Statuses.Unknown("", "data moves to or from "+w.OSD)),
			ceph.Healths.Unknown("", "data moves to or from "+w.OSD).On(s.host)),
		Settle: 30 * time.Second,
		Await:  "the weight of " + w.OSD,
		Wide:   true,
	}
}

func describeWeight(w ceph.OSDWeight) string {
	text := weightText(w.Crush)
	if w.Reweight != 1 {
		text += " × " + weightText(w.Reweight)
	}
	return text
}

// weightText formats a weight as ceph osd tree prints it.
func weightText(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 5, 64), "0"), ".")
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
