package observe

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Unfulfilled is an expectation that does not match what was observed on a host.
type Unfulfilled struct {
	// Host is the name of the host, and Key the observation that was expected.
	Host string
	Key  Key
	// Difference says how the observed value differs: "Version: found 2.0, expected 1.0".
	Difference string
	// Err is the reason why Key could not be observed; Difference is empty in this case.
	Err error
}

func (u Unfulfilled) String() string {
	if u.Err != nil {
		return fmt.Sprintf("%s on %s cannot be observed: %v", u.Key, u.Host, u.Err)
	}
	return fmt.Sprintf("%s on %s: %s", u.Key, u.Host, u.Difference)
}

// Fulfil observes again what expectations claim, each on its own host or else on h, and returns the mismatches sorted
// by host and key. If several expectations name the same key, the last one counts, as in a prediction. Unknown values
// and patterns claim nothing. The hosts' memory is neither used nor changed.
func (h *Host) Fulfil(ctx context.Context, expectations []Expectation) []Unfulfilled {
	var mu sync.Mutex
	var all []Unfulfilled
	var wg sync.WaitGroup
	for on, claims := range claimed(h, expectations) {
		wg.Add(1)
		fresh := NewHost(on.flightCtx, on.hostName, on.address, on.dial)
		fresh.SetDial(on.probeDial)
		fresh.Go(ctx, func(ctx context.Context) {
			defer wg.Done()
			found := fresh.fulfil(ctx, claims)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b Unfulfilled) int {
		return strings.Compare(a.Host+" "+a.Key.String(), b.Host+" "+b.Key.String())
	})
	return all
}

// claimed returns, by host, the expectations that predict an actual value.
func claimed(h *Host, expectations []Expectation) map[*Host]map[Key]Expectation {
	all := map[*Host]map[Key]Expectation{}
	for _, e := range expectations {
		on := h
		if e.Host != nil {
			on = e.Host
		}
		if all[on] == nil {
			all[on] = map[Key]Expectation{}
		}
		claims := all[on]
		switch before, twice := claims[e.Key]; {
		case e.Match != nil && e.Values != nil:
			maps.DeleteFunc(claims, func(k Key, _ Expectation) bool { return e.Match(k) })
		case e.Match != nil:
		case e.Update != nil && twice && before.Unknown == "":
			before.Value = e.Update(before.Value)
			claims[e.Key] = before
		case e.Update == nil || !twice:
			claims[e.Key] = e
		}
	}
	for _, claims := range all {
		maps.DeleteFunc(claims, func(_ Key, e Expectation) bool {
			return e.Unknown != "" || e.kind == nil || !e.kind.observed()
		})
	}
	return all
}

func (h *Host) fulfil(ctx context.Context, claims map[Key]Expectation) (all []Unfulfilled) {
	for key, e := range claims {
		h.want(e.kind, key.Name)
	}
	for key, e := range claims {
		found, err := h.observe(ctx, e.kind, key.Name)
		if err != nil {
			all = append(all, Unfulfilled{Host: h.hostName, Key: key, Err: err})
		} else if d := e.kind.unfulfilled(found, e.Value); d != "" {
			all = append(all, Unfulfilled{Host: h.hostName, Key: key, Difference: d})
		}
	}
	return all
}

// observed reports whether the kind can be read from a host. A kind with neither Ask nor Probe only passes notes
// between the steps of check mode.
func (k *Kind[T]) observed() bool { return k.Ask != nil || k.Probe != nil }

// unfulfilled describes how found differs from expected. It is empty if they match.
func (k *Kind[T]) unfulfilled(found, expected any) string {
	if calculate, ok := expected.(later[T]); ok {
		value, err := calculate()
		if err != nil {
			return "the expected value is not known: " + err.Error()
		}
		expected = value
	}
	f, okF := found.(T)
	e, okE := expected.(T)
	if !okF || !okE {
		return fmt.Sprintf("found a %T, expected a %T", found, expected)
	}
	if k.Complete != nil {
		e = k.Complete(e, f)
	}
	return strings.Join(differences("", reflect.ValueOf(&f).Elem(), reflect.ValueOf(&e).Elem()), "; ")
}

// differences returns the places where two values of the same type differ.
func differences(at string, found, expected reflect.Value) []string {
	differ := func(found, expected any) []string {
		if at != "" {
			at += ": "
		}
		return []string{fmt.Sprintf("%sfound %v, expected %v", at, found, expected)}
	}
	switch found.Kind() {
	case reflect.Slice, reflect.Array:
		if found.Len() != expected.Len() {
			return differ(printable(found), printable(expected))
		}
		var all []string
		for i := range found.Len() {
			all = append(all, differences(fmt.Sprintf("%s[%d]", at, i), found.Index(i), expected.Index(i))...)
		}
		if len(all) > 0 && found.Type().Elem().Kind() == reflect.Uint8 {
			return differ(printable(found), printable(expected))
		}
		return all
	case reflect.Map:
		var all []string
		for _, key := range found.MapKeys() {
			place := fmt.Sprintf("%s[%v]", at, key)
			if e := expected.MapIndex(key); e.IsValid() {
				all = append(all, differences(place, found.MapIndex(key), e)...)
			} else {
				all = append(all, fmt.Sprintf("%s: found %+v, expected nothing", place, found.MapIndex(key)))
			}
		}
		for _, key := range expected.MapKeys() {
			if !found.MapIndex(key).IsValid() {
				all = append(all, fmt.Sprintf("%s[%v]: found nothing, expected %+v", at, key, expected.MapIndex(key)))
			}
		}
		slices.Sort(all)
		return all
	case reflect.Struct:
		var all []string
		for i := range found.NumField() {
			name := found.Type().Field(i).Name
			if at != "" {
				name = at + "." + name
			}
			all = append(all, differences(name, found.Field(i), expected.Field(i))...)
		}
		return all
	case reflect.Pointer, reflect.Interface:
		if found.IsNil() || expected.IsNil() {
			if found.IsNil() != expected.IsNil() {
				return differ(found, expected)
			}
			return nil
		}
		if found.Elem().Type() != expected.Elem().Type() {
			return differ(found.Elem(), expected.Elem())
		}
		return differences(at, found.Elem(), expected.Elem())
	case reflect.Func, reflect.Chan:
		return nil // not part of an observation
	}
	if found.Equal(expected) {
		return nil
	}
	return differ(printable(found), printable(expected))
}

// printable returns a value in a readable form, with text in quotes.
func printable(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.String:
		return fmt.Sprintf("%q", v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return fmt.Sprintf("%q", v.Bytes())
	}
	return fmt.Sprintf("%+v", v)
}
