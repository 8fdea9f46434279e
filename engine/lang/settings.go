package lang

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
)

// Settings say how a task is carried out on a host.
type Settings struct {
	// Retries is how often the task is tried again after a failure, Repeats how often while its until does not hold, each time
	// after Delay.
	Retries, Repeats int
	Delay            time.Duration
	// Timeout bounds the task on the host, its retries included; zero means no bound of its own.
	Timeout time.Duration
	// Throttle bounds on how many hosts the task makes changes at a time; zero means no bound.
	Throttle     int
	IgnoreErrors bool
}

// usual are the settings of a task that gives none.
var usual = Settings{Repeats: 3, Delay: 5 * time.Second}

// taskSetting is an argument of a task that makes a part of its Settings.
type taskSetting struct {
	name string
	want cty.Type
	// set takes over a value of the type that is known and not null.
	set func(*Settings, cty.Value) *misfit
}

// misfit is why a value of the right type does not do.
type misfit struct{ problem, want string }

var taskSettings = []taskSetting{
	{"retries", cty.Number, func(s *Settings, v cty.Value) *misfit {
		n, wrong := wholeNumber(v, 0)
		s.Retries, s.Repeats = n, n
		return wrong
	}},
	{"delay", cty.String, func(s *Settings, v cty.Value) (wrong *misfit) {
		s.Delay, wrong = positiveDuration(v)
		return wrong
	}},
	{"timeout", cty.String, func(s *Settings, v cty.Value) (wrong *misfit) {
		s.Timeout, wrong = positiveDuration(v)
		return wrong
	}},
	{"throttle", cty.Number, func(s *Settings, v cty.Value) (wrong *misfit) {
		s.Throttle, wrong = wholeNumber(v, 1)
		return wrong
	}},
	{"ignore_errors", cty.Bool, func(s *Settings, v cty.Value) *misfit {
		s.IgnoreErrors = v.True()
		return nil
	}},
}

// wholeNumber reads a whole number of at least least.
func wholeNumber(v cty.Value, least int64) (int, *misfit) {
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < least || n > 1<<30 {
		wrong := &misfit{"is out of range", fmt.Sprintf("a whole number of at least %d", least)}
		if least > 0 {
			wrong.want += "; null for none"
		}
		return 0, wrong
	}
	return int(n), nil
}

// positiveDuration reads a time such as "90s".
func positiveDuration(v cty.Value) (time.Duration, *misfit) {
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d <= 0 {
		return 0, &misfit{"is not a duration", `a positive number with a unit, in quotes: "500ms", "90s", "5m", "1h30m"`}
	}
	return d, nil
}

// computed is a setting whose value may differ from host to host.
type computed struct {
	taskSetting
	expr hcl.Expression
}

// Settings returns how the task is carried out on a host. With an error it returns the settings that are known nevertheless: an
// *EvalError is about a value that is wrong, an *UnknownError about one that the scope leaves unknown.
func (t *Task) Settings(s Scope) (Settings, error) {
	settings, unknown, diags := t.settle(s)
	switch {
	case diags.HasErrors():
		return settings, t.fail(diags...)
	case unknown != nil:
		return settings, unknown
	}
	return settings, nil
}

// SettingsVary reports whether the task's settings depend on more than variables.
func (t *Task) SettingsVary() bool { return len(t.computed) > 0 }

func (t *Task) settle(s Scope) (settings Settings, unknown *UnknownError, diags hcl.Diagnostics) {
	settings = t.known
	for _, c := range t.computed {
		known, more := t.take(&settings, c, s)
		if diags = append(diags, more...); !known && !more.HasErrors() {
			unknown = &UnknownError{t.Name, c.expr.Range(), c.name}
		}
	}
	return settings, unknown, diags
}

// take evaluates one setting.
func (t *Task) take(settings *Settings, c computed, s Scope) (known bool, diags hcl.Diagnostics) {
	s, err := t.withVars(s, c.expr)
	if fault := (*EvalError)(nil); errors.As(err, &fault) {
		return false, fault.Diags
	}
	ctx := t.space.context(t.Dir, s)
	v, diags := evaluate(c.expr, ctx)
	if diags.HasErrors() {
		return false, diags
	}
	v, known, d := c.convert(v, c.expr)
	if d == nil && known {
		d = c.apply(settings, v, c.expr)
	}
	if d != nil {
		d.Expression, d.EvalContext = c.expr, ctx
		return false, hcl.Diagnostics{d}
	}
	return known, nil
}

// convert brings the value of an expression to the type of the setting. It returns cty.NilVal for null.
func (s taskSetting) convert(v cty.Value, expr hcl.Expression) (value cty.Value, known bool, d *hcl.Diagnostic) {
	marked := v.ContainsMarked()
	v, _ = v.UnmarkDeep()
	if hclfile.TooLarge(v) {
		return cty.NilVal, false, fault(expr.Range(), fmt.Sprintf("the number for %s is too large", s.name), hclfile.TooLargeDetail)
	}
	converted, err := convert.Convert(v, s.want)
	switch {
	case err != nil:
		return cty.NilVal, false, fault(expr.Range(), "wrong type for "+s.name, fmt.Sprintf("Expected %s, found %s.", article(words(s.want)), found(v)))
	case !converted.IsKnown():
		return cty.NilVal, false, nil
	case converted.IsNull():
		return cty.NilVal, true, nil
	case marked:
		return converted.Mark(Sensitive), true, nil
	}
	return converted, true, nil
}

// apply sets what the value says; null leaves what is usual.
func (s taskSetting) apply(to *Settings, value cty.Value, expr hcl.Expression) *hcl.Diagnostic {
	if value == cty.NilVal {
		return nil
	}
	plain, marks := value.Unmark()
	before := *to
	wrong := s.set(to, plain)
	if wrong == nil {
		return nil
	}
	*to = before
	is := "a sensitive value"
	if len(marks) == 0 {
		text, _ := convert.Convert(plain, cty.String)
		if is = text.AsString(); s.want == cty.String {
			is = fmt.Sprintf("%q", is)
		}
	}
	return fault(expr.Range(), s.name+" "+wrong.problem, fmt.Sprintf("Found %s, expected %s.", is, wrong.want))
}

// settings reads the settings of a task. Those that depend on variables and locals alone are known from now on.
func (d *playDecoder) settings(t *Task, body *hclsyntax.Body) {
	t.known = usual
	for _, s := range taskSettings {
		attr := body.Attributes[s.name]
		if attr == nil {
			continue
		}
		c := computed{s, attr.Expr}
		if !readsOnly(attr.Expr, "var", "local") || d.space.varies() && len(attr.Expr.Variables()) > 0 {
			t.computed = append(t.computed, c)
			continue
		}
		p := d.static
		p.what = s.name
		if d.references(attr.Expr, p) {
			_, diags := t.take(&t.known, c, nil)
			d.report(diags...)
		}
	}
}

// readsOnly reports whether an expression reads no other roots than these.
func readsOnly(expr hcl.Expression, roots ...string) bool {
	for _, traversal := range expr.Variables() {
		if !slices.Contains(roots, traversal.RootName()) {
			return false
		}
	}
	return true
}

// settingsFit judges the settings of a task that depend on its host, with what the scope knows; inside is what they see of it.
func (v *validator) settingsFit(t *Task, inside, s Scope) {
	for _, c := range t.computed {
		p := v.place(t.space, c.name, t.Dir, inside)
		p.why = "It holds for the task with all of its items, so it cannot depend on one."
		if v.references(c.expr, p) {
			_, diags := t.take(&Settings{}, c, s)
			v.report(diags...)
		}
	}
}
