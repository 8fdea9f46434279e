package nebula

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// connect signs the certificate and writes the files of the network, and updates the service if it runs.
func (m *nebula) connect(ctx context.Context, h modules.Host, own node) (modules.Plan, error) {
	var plan modules.Plan
	ca, err := m.authority()
	if err != nil {
		return plan, err
	}
	now := time.Unix(own.Now, 0)
	if from, to := ca.certificate.NotBefore(), ca.certificate.NotAfter(); now.Before(from) || !now.Before(to) {
		return plan, fmt.Errorf("on %s it is %s, and the authority %s is valid from %s to %s: set the clock, or make a new authority", h.Name(),
			now.UTC().Format(time.RFC3339), ca.certificate.Name(), from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	} else if left := to.Sub(now); left < m.RenewBefore {
		plan.Notes = append(plan.Notes, fmt.Sprintf("the authority %s ends on %s, and no certificate outlives it: make a new one, and add its certificate to ca", ca.certificate.Name(), to.UTC().Format(time.DateOnly)))
	}
	steps, err := conffile.Write(ctx, h, m.file("ca"), strings.TrimSpace(m.CA)+"\n", "install the certificate of authority "+ca.certificate.Name())
	if err != nil {
		return plan, err
	}
	signed, ends, err := m.certify(ctx, h, own, ca, now)
	if err != nil {
		return plan, err
	}
	plan.Data = modules.Data(Result{PublicKey: own.Public, ValidTo: ends})
	steps = append(steps, signed...)
	config := m.render(h.Name())
	configure, err := conffile.WriteMode(ctx, h, m.file("yml"), config, "configure "+m.Interface, 0o600)
	if err != nil {
		return plan, err
	}
	if len(steps)+len(configure) > 0 || own.Up && !own.Loaded {
		steps = append(steps, m.check(config))
	}
	steps = append(steps, configure...)
	ordered, err := conffile.Write(ctx, h, m.dropIn(), m.renderDropIn(), "order "+m.unit()+", and let it reload")
	if err != nil {
		return plan, err
	}
	if len(ordered) > 0 {
		ordered = append(ordered, conffile.ReloadUnits(m.dropIn()))
	}
	steps = append(steps, ordered...)
	for i, step := range steps {
		steps[i].Public = step.Diff == nil || public(*step.Diff)
	}
	plan.Steps = steps
	unit, err := observe.Units.Observe(ctx, h, m.unit())
	switch {
	case observe.IsUnknown(err) && !own.Up && len(ordered) > 0: // its package is about to be installed
		last := &steps[len(steps)-1]
		last.Expect = append(last.Expect, observe.Units.Expect(m.unit(), observe.Unit{ID: m.unit(), LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: "disabled"}))
		return plan, nil
	case err != nil:
		return plan, err
	case own.Up && !unit.Active():
		return plan, fmt.Errorf("%s is up on %s, but was not started by %s: stop what has started it first", m.Interface, h.Name(), m.unit())
	case !unit.Active(): // a task with the module service starts it
		return plan, nil
	}
	want := own
	want.Up, want.MTU, want.Addresses, want.Started, want.Loaded = true, m.MTU, []string{m.address(h.Name()).String()}, m.fixed(h.Name()), true
	follow := func(verb, how string, risk modules.Risk) {
		plan.Steps = append(steps, modules.Step{
			Summary: how,
			Action:  modules.Run{Argv: []string{"systemctl", verb, m.unit()}, Limit: time.Minute},
			Expect:  []observe.Expectation{nodes.Expect(m.Interface, want)},
			Settle:  10 * time.Second,
			Risk:    risk,
			Exact:   true,
		})
	}
	switch {
	case !own.Up || own.MTU != want.MTU || own.Started != want.Started || !slices.Equal(own.Addresses, want.Addresses):
		follow("restart", "restart "+m.Interface, modules.Restarts)
	case len(steps) > 0 || !own.Loaded:
		follow("reload", "reload "+m.Interface, modules.Harmless)
	}
	return plan, nil
}

// public reports whether a diff may be shown. Only keys are secret, and no file that the module writes contains one, but a
// configuration that someone else wrote may.
func public(d modules.Diff) bool { return !strings.Contains(d.Before, "PRIVATE KEY") }

// certify plans to replace the host's certificate if it is not as it should be, and returns its expiry.
func (m *nebula) certify(ctx context.Context, h modules.Host, own node, ca authority, now time.Time) ([]modules.Step, string, error) {
	key, err := decodeKey(own.Public)
	if err != nil {
		return nil, "", fmt.Errorf("%s on %s does not hold a public key: %w", m.file("pub"), h.Name(), err)
	}
	before, _, err := observe.Text(ctx, h, m.file("crt"))
	if err != nil {
		return nil, "", err
	}
	r := request{name: h.Name(), network: m.address(h.Name()), groups: m.Groups, public: key}
	why := ca.unfit(before, r, now, m.Lifetime, m.RenewBefore)
	if why == "" {
		return nil, validTo(before), nil
	}
	c, err := ca.sign(r, now, m.Lifetime)
	if err != nil {
		return nil, "", fmt.Errorf("the authority %s does not sign for %s: %w", ca.certificate.Name(), h.Name(), err)
	}
	text, err := c.MarshalPEM()
	if err != nil {
		return nil, "", err
	}
	steps, err := conffile.Write(ctx, h, m.file("crt"), string(text), fmt.Sprintf("sign a certificate for %s: %s", m.Interface, why))
	if err != nil {
		return nil, "", err
	}
	last := &steps[len(steps)-1]
	last.Diff = &modules.Diff{Subject: last.Diff.Subject, Before: describe(before), After: describe(string(text))}
	return steps, validTo(string(text)), nil
}

// check returns the step that makes Nebula test the configuration before it is put in place. By then, the new certificates
// are in place.
func (m *nebula) check(config string) modules.Step {
	return modules.Step{
		Summary: "let nebula test the configuration",
		Action: modules.Run{Argv: []string{"sh", "-c", `umask 077; t=$(mktemp -- "$1.XXXXXX") || exit 1
cat >"$t" && nebula -test -config "$t"; rc=$?
rm -f -- "$t"; exit "$rc"`, "sh", m.file("yml")}, Stdin: []byte(config), Limit: time.Minute,
			Explain: func(_ int, stdout, stderr []byte) error {
				return fmt.Errorf("nebula rejects the configuration, which was not written: %s", said(string(stdout)+string(stderr)))
			}},
		Exact: true,
	}
}

// said returns the error that Nebula has logged, or else the last line.
func said(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, line := range lines {
		if _, text, ok := strings.Cut(line, "level=error "); ok {
			return text
		}
	}
	return lines[len(lines)-1]
}
