package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// FactDoc describes one fact: what expressions see as facts.NAME.
type FactDoc struct {
	Name string
	Type cty.Type
	// Doc is a sentence or two, with the units.
	Doc string
}

// FactSpec is a fact and how it is read, from observations only, so that check mode predicts it.
type FactSpec struct {
	FactDoc
	// Read returns a value of the fact's type. What check mode cannot know, it returns as an error that IsUnknown reports, or
	// as an unknown value.
	Read func(ctx context.Context, h *Host) (cty.Value, error)
}

// facts are those of any Linux host, from the files facts_*.go, and those that AddFacts has added.
var facts = slices.Concat(hardwareFacts, networkFacts, softwareFacts)

// AddFacts adds facts of products. The registry of modules calls it while the program starts, before anything reads facts;
// a name that is taken is a mistake of a programmer, and a panic.
func AddFacts(more ...FactSpec) {
	for _, f := range more {
		if slices.ContainsFunc(facts, func(known FactSpec) bool { return known.Name == f.Name }) {
			panic("the fact " + f.Name + " is added twice")
		}
		facts = append(facts, f)
	}
}

// Facts describes all facts in the order of their names.
func Facts() []FactDoc {
	docs := make([]FactDoc, 0, len(facts))
	for _, f := range facts {
		docs = append(docs, f.FactDoc)
	}
	slices.SortFunc(docs, func(a, b FactDoc) int { return strings.Compare(a.Name, b.Name) })
	return docs
}

// Fact is the value of one fact on a host; name is the first one behind `facts.`. Only what this fact
// needs is read. What check mode cannot know is an unknown value of the fact's type, not an error.
func Fact(ctx context.Context, h *Host, name string) (cty.Value, error) {
	for _, f := range facts {
		if f.Name != name {
			continue
		}
		value, err := f.Read(ctx, h)
		switch {
		case IsUnknown(err):
			return cty.UnknownVal(f.Type), nil
		case err != nil:
			return cty.NilVal, fmt.Errorf("fact %s of %s: %w", name, h.Name(), err)
		}
		return value, nil
	}
	names := make([]string, len(facts))
	for i, f := range facts {
		names[i] = f.Name
	}
	if near := suggest.Nearest(name, names); near != "" {
		return cty.NilVal, fmt.Errorf("there is no fact %q; did you mean %q?", name, near)
	}
	return cty.NilVal, fmt.Errorf("there is no fact %q; there are %s", name, strings.Join(names, ", "))
}

// optional is a string, or null where it is empty.
func optional(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

// listOf is a list of a type, which go-cty wants told for an empty one.
func listOf(t cty.Type, values []cty.Value) cty.Value {
	if len(values) == 0 {
		return cty.ListValEmpty(t)
	}
	return cty.ListVal(values)
}

func stringList(all []string) cty.Value {
	values := make([]cty.Value, len(all))
	for i, s := range all {
		values[i] = cty.StringVal(s)
	}
	return listOf(cty.String, values)
}

// needText is the content of a file that every Linux host has.
func needText(ctx context.Context, h *Host, name string) (string, error) {
	text, exists, err := Text(ctx, h, name)
	if err == nil && !exists {
		err = fmt.Errorf("%s is missing: is this a Linux host with /proc and /sys?", name)
	}
	return text, err
}
