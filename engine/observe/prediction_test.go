package observe

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"hlplay/engine/remote"
)

// An observed value is doubtful only if a step may change that value, whether it was observed before or after the
// step.
func TestPredictionMayChange(t *testing.T) {
	small := Expectation{
		Match: func(k Key) bool { return k.Kind == counts.Name }, If: func(value any) bool { return value.(int) < 2 }, Unknown: "it may grow",
	}
	w := newWire(t.Context(), "n1")
	if n, err := counts.Observe(t.Context(), w.host, "a"); err != nil || n != 1 {
		t.Fatalf("a is %d (%v)", n, err)
	}
	w.host.Predict([]Expectation{small})
	if _, err := counts.Observe(t.Context(), w.host, "a"); !IsUnknown(err) {
		t.Errorf("a, which was seen before, is no longer known, but observing it gave %v", err)
	}
	if value, ok := w.host.Known(counts.Key("a")); ok {
		t.Errorf("a counts as known: %v", value)
	}
	if n, err := counts.Observe(t.Context(), w.host, "b"); err != nil || n != 2 {
		t.Errorf("b is %d (%v), expected it to be as it was seen", n, err)
	}
}

func TestPredictions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		a.host.Predict([]Expectation{
			{Match: func(k Key) bool { return strings.HasPrefix(k.Name, "v") }, Unknown: "fog"},
			words.Expect("x", "predicted"),
			words.Expect("v-known", "also predicted"),
			words.Unknown("y", "who knows"),
			words.Expect("x", "there").On(b.host),
			{Key: words.Key("typo"), Value: 7},
		})
		a.host.Forget() // predictions are kept
		tests := []struct {
			on   *Host
			name string
			want string // the value, or the error after "!"
		}{
			{a.host, "x", "predicted"},
			{b.host, "x", "there"},
			{a.host, "v-known", "also predicted"}, // an exact expectation wins, whether it comes earlier or later
			{a.host, "v-other", "!word:v-other on a cannot be known before the run: fog"},
			{a.host, "y", "!word:y on a cannot be known before the run: who knows"},
			{a.host, "typo", "!observation word:typo on a holds a int: a step expected a value of the wrong type"},
			{a.host, "z", "z 1"},
			{b.host, "v-other", "v-other 1"},
		}
		for _, test := range tests {
			words.Want(test.on, test.name) // wanting something predicted sends nothing
			planners(t.Context(), a.host, func(ctx context.Context) {
				got, err := words.Observe(ctx, test.on, test.name)
				if err != nil {
					got = "!" + err.Error()
				}
				if got != test.want {
					t.Errorf("%s on %s: %q, want %q", test.name, test.on.Name(), got, test.want)
				}
				if IsUnknown(err) != strings.Contains(test.want, "cannot be known") {
					t.Errorf("%s on %s: IsUnknown(%v) is %v", test.name, test.on.Name(), err, IsUnknown(err))
				}
			})
		}
		wantFlights(t, a, "z")
		wantFlights(t, b, "v-other")
		if _, ok := a.host.Known(words.Key("y")); ok {
			t.Error("what is unknowable is known")
		}
		if v, _ := a.host.Known(words.Key("x")); v != "predicted" {
			t.Errorf("known under x: %v", v)
		}
		// Something that has become unknown is not known from before either.
		a.host.Predict([]Expectation{words.Unknown("z", "who knows")})
		if v, ok := a.host.Known(words.Key("z")); ok {
			t.Errorf("what has become unknowable is known to be %v", v)
		}
	})
}

// What may appear does not affect existing things but casts doubt on missing ones. What a step certainly creates or
// removes is certain.
func TestPredictionMayAppear(t *testing.T) {
	h := NewRecorded("h", Files.Expect("/etc/there", File{Type: Regular}))
	h.memory[Files.Key("/etc/absent")] = &entry{kind: Files, key: Files.Key("/etc/absent"), value: File{}, done: true}
	if err := Files.MayAppear(h, "/etc/absent"); err != nil {
		t.Errorf("before any step: %v", err)
	}
	h.Predict([]Expectation{
		{Match: func(k Key) bool { return k.Kind == Files.Name }, Appears: true, Unknown: "a package may bring it"},
		Files.Expect("/etc/removed", File{}),
	})
	if f, err := Files.Observe(t.Context(), h, "/etc/absent"); err != nil || f.Exists() {
		t.Errorf("what is not there is observed as %+v (%v), expected as it is", f, err)
	}
	for name, doubtful := range map[string]bool{"/etc/absent": true, "/etc/removed": false, "/etc/there": false} {
		err := Files.MayAppear(h, name)
		if doubtful != IsUnknown(err) || !doubtful && err != nil {
			t.Errorf("%s: %v, expected a doubt: %v", name, err, doubtful)
		}
	}
	if err := Users.MayAppear(h, "x"); err != nil {
		t.Errorf("a kind that the step does not name: %v", err)
	}
}

// counts observes the number of the flight in which each name was asked for.
var counts = &Kind[int]{
	Name: "test-count",
	Ask:  func(names []string) []remote.Query { return []remote.Query{{Args: names}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, int, error)) {
		for _, name := range names {
			n, err := strconv.Atoi(string(answers[0].Stdout))
			tell(name, n, err)
		}
	},
}
