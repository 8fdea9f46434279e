package hclfile

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// TestUnexpected looks for attributes that types do not have; want is the error, with the length of its path, or empty.
func TestUnexpected(t *testing.T) {
	text := cty.StringVal("x")
	object := func(names ...string) cty.Value {
		values := map[string]cty.Value{}
		for _, name := range names {
			values[name] = text
		}
		return cty.ObjectVal(values)
	}
	under := func(name string, v cty.Value) cty.Value { return cty.ObjectVal(map[string]cty.Value{name: v}) }
	list := func(v ...cty.Value) cty.Value { return cty.TupleVal(v) }
	rule := cty.ObjectWithOptionalAttrs(map[string]cty.Type{"hosts": cty.String, "groups": cty.String}, []string{"hosts", "groups"})
	const near = `there is no attribute "group" (did you mean "groups"?)`
	const none = "it has an attribute that is not declared (expected groups, hosts)"
	for name, c := range map[string]struct {
		v    cty.Value
		ty   cty.Type
		want string
	}{
		"all there":             {object("hosts", "groups"), rule, ""},
		"left out":              {cty.EmptyObjectVal, rule, ""},
		"itself":                {object("group"), rule, "0 " + near},
		"not near":              {object("colour"), rule, `0 there is no attribute "colour" (expected groups, hosts)`},
		"no attributes":         {object("a"), cty.EmptyObject, `0 there is no attribute "a"`},
		"in a list":             {list(object("groups"), object("group")), cty.List(rule), "1 " + near},
		"in a set":              {list(object("group")), cty.Set(rule), "1 " + near},
		"in a list of that":     {cty.ListVal([]cty.Value{object("group")}), cty.List(rule), "1 " + near},
		"in a tuple":            {list(text, object("group")), cty.Tuple([]cty.Type{cty.String, rule}), "1 " + near},
		"in a map":              {under("any", object("group")), cty.Map(rule), "1 " + near},
		"deeper":                {under("all", list(under("any", object("group")))), cty.Object(map[string]cty.Type{"all": cty.List(cty.Map(rule))}), "3 " + near},
		"keys of a map":         {cty.MapVal(map[string]cty.Value{"group": text}), rule, "0 " + near},
		"a map stays one":       {object("group", "colour"), cty.Map(cty.String), ""},
		"any type":              {under("a", object("group")), cty.Object(map[string]cty.Type{"a": cty.DynamicPseudoType}), ""},
		"null":                  {cty.NullVal(cty.DynamicPseudoType), rule, ""},
		"unknown":               {cty.DynamicVal, rule, ""},
		"another kind":          {text, rule, ""},
		"a list for an object":  {list(object("group")), rule, ""},
		"a longer tuple":        {list(text, object("group")), cty.Tuple([]cty.Type{rule}), ""},
		"unknown object":        {cty.UnknownVal(object("group").Type()), rule, "0 " + near},
		"unknown list":          {cty.UnknownVal(cty.List(object("group").Type())), cty.List(rule), "1 " + near},
		"unknown tuple":         {cty.UnknownVal(list(object("group")).Type()), cty.List(rule), "1 " + near},
		"unknown in a map":      {cty.UnknownVal(under("any", object("group")).Type()), cty.Map(rule), "1 " + near},
		"unknown of other kind": {cty.UnknownVal(cty.String), rule, ""},
		"a marked attribute":    {under("group", text.Mark("secret")), rule, "0 " + near},
		"marked":                {object("group").Mark("secret"), rule, "0 " + none},
		"in a marked list":      {list(object("group")).Mark("secret"), cty.List(rule), "0 " + none},
	} {
		if got := described(Unexpected(c.v, c.ty)); got != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
	if got := described(UnexpectedSecret(list(object("group")), cty.List(rule))); got != "0 "+none {
		t.Errorf("a secret: %q, expected %q", got, "0 "+none)
	}
}

func described(err error) string {
	if err == nil {
		return ""
	}
	var path cty.PathError
	errors.As(err, &path)
	return fmt.Sprintf("%d %s", len(path.Path), err)
}
