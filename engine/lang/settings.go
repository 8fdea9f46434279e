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

// Settings determine how a task is carried out on a host.
type Settings struct {
	// Retries is the number of further attempts after a failure, and Repeats the number of further attempts while
	// until is false, each after Delay.
	Retries, Repeats int
	Delay            time.Duration
	// Timeout limits the time for the task on the host, including retries; zero means no limit.
	Timeout time.Duration
	// Throttle limits the number of hosts on which the task makes changes at the same time; zero means no limit.
	Throttle     int
	IgnoreErrors bool
}

// usual are the settings of a task that does not set any.
var usual = Settings{Repeats: 3, Delay: 5 * time.Second}

// taskSetting is a task argument that determines a part of its Settings.
type taskSetting struct {
	name string
	want cty.Type
	// set applies a value, which has the right type, is known and not null.
	set func(*Settings, cty.Value) *misfit
}

// misfit says why a value of the right type is not acceptable.
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

// wholeNumber converts a whole number that must be at least least.
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

// positiveDuration parses a duration such as "90s".
func positiveDuration(v cty.Value) (time.Duration, *misfit) {
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d <= 0 {
		return 0, &misfit{"is not a duration", `a positive number with a unit, in quotes: "500ms", "90s", "5m", "1h30m"`}
	}
	return d, nil
}

// computed is a setting whose value may differ between hosts.
type computed struct {
	taskSetting
	expr hcl.Expression
}

// Settings returns how the task is carried out on a host. If there is an error, the settings that are known are
// returned with it: an *EvalError means that a value is wrong, an *UnknownError that the scope leaves it unknown.
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

// take evaluates and applies one setting.
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

// convert converts the value of an expression to the type of the setting. It returns cty.NilVal for null.
func (s taskSetting) convert(v cty.Value, expr hcl.Expression) (value cty.Value, known bool, d *hcl.Diagnostic) {
	marked := v.ContainsMarked()
	v, _ = v.UnmarkDeep()
	if hclfile.TooLarge(v) {
		return cty.NilVal, false, fault(expr.Range(), fmt.Sprintf("the number for %s is too large", s.name), hclfile.TooLargeDetail)
	}
	converted, err := hclfile.Convert(v, s.want)
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

// apply sets the value; null keeps the default.
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

// settings decodes the settings of a task. Those that depend only on variables and locals are evaluated now.
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

// readsOnly reports whether an expression reads no roots other than the given ones.
func readsOnly(expr hcl.Expression, roots ...string) bool {
	for _, traversal := range expr.Variables() {
		if !slices.Contains(roots, traversal.RootName()) {
			return false
		}
	}
	return true
}

// settingsFit checks the settings of a task that depend on its host, with what the scope knows. inside is the scope
// that the settings see.
func (v *validator) settingsFit(t *Task, inside, s Scope) {
	for _, c := range t.computed {
		p := v.place(t.space, c.name, t.Dir, inside)
		p.why = "It applies to the task with all of its items, so it cannot depend on one."
		if v.references(c.expr, p) {
			_, diags := t.take(&Settings{}, c, s)
			v.report(diags...)
		}
	}
}
