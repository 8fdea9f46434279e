package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// FactDoc describes one fact, which expressions refer to as facts.NAME.
type FactDoc struct {
	Name string
	Type cty.Type
	// Doc is a sentence or two, including the units.
	Doc string
}

// FactSpec is a fact and how to read it. Facts are read from observations only, so that check mode can predict them. A
// name with two parts, such as "kernel.flavour", is an attribute of another fact that is an object: see AddFacts.
type FactSpec struct {
	FactDoc
	// Read returns a value of the fact's type. If check mode cannot know the value, Read returns an error for which
	// IsUnknown is true, or an unknown value.
	Read func(ctx context.Context, h *Host) (cty.Value, error)
}

// facts holds the facts of any Linux host, declared in the files facts_*.go, and those added by AddFacts.
var facts = slices.Concat(hardwareFacts, networkFacts, softwareFacts)

// AddFacts adds the facts of products, and attributes of existing facts. If a fact already has an attribute, the
// product's value replaces it unless it is null. The registry of modules calls AddFacts during initialization, before
// anything reads facts. AddFacts panics if a name is taken, or if an attribute's fact does not exist: both are
// programming errors.
func AddFacts(more ...FactSpec) {
	for _, f := range more {
		fact, attribute, isAttribute := strings.Cut(f.Name, ".")
		at := slices.IndexFunc(facts, func(known FactSpec) bool { return known.Name == fact })
		switch {
		case isAttribute && at >= 0:
			facts[at] = facts[at].with(attribute, f)
		case isAttribute:
			panic("there is no fact " + fact + " that could have " + attribute)
		case at >= 0:
			panic("the fact " + f.Name + " is added twice")
		default:
			facts = append(facts, f)
		}
	}
}

// with returns the fact extended by an attribute that a product provides.
func (f FactSpec) with(attribute string, of FactSpec) FactSpec {
	types := maps.Clone(f.Type.AttributeTypes())
	types[attribute] = of.Type
	extended := f
	extended.Type = cty.Object(types)
	extended.Doc += " " + of.Doc
	extended.Read = func(ctx context.Context, h *Host) (cty.Value, error) {
		var fact, given cty.Value
		var errs [2]error
		Together(ctx,
			func(ctx context.Context) { fact, errs[0] = f.Read(ctx, h) },
			func(ctx context.Context) { given, errs[1] = of.Read(ctx, h) })
		switch {
		case errs[0] != nil:
			return cty.NilVal, errs[0]
		case IsUnknown(errs[1]):
			given = cty.UnknownVal(of.Type)
		case errs[1] != nil:
			return cty.NilVal, errs[1]
		}
		values := fact.AsValueMap()
		if _, has := values[attribute]; !has || !given.IsKnown() || !given.IsNull() {
			values[attribute] = given
		}
		return cty.ObjectVal(values), nil
	}
	return extended
}

// Facts returns the descriptions of all facts, sorted by name.
func Facts() []FactDoc {
	docs := make([]FactDoc, 0, len(facts))
	for _, f := range facts {
		docs = append(docs, f.FactDoc)
	}
	slices.SortFunc(docs, func(a, b FactDoc) int { return strings.Compare(a.Name, b.Name) })
	return docs
}

// Fact returns the value of one fact of a host; name is the part that directly follows `facts.`. Only what this fact
// needs is read. A value that check mode cannot know is an unknown value of the fact's type, not an error.
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

// optional returns s as a string value, or null if s is empty.
func optional(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

// listOf returns a list of type t. go-cty needs to be told the type of an empty list.
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

// needText returns the content of a file that every Linux host has.
func needText(ctx context.Context, h *Host, name string) (string, error) {
	text, exists, err := Text(ctx, h, name)
	if err == nil && !exists {
		err = fmt.Errorf("%s is missing: is this a Linux host with /proc and /sys?", name)
	}
	return text, err
}
