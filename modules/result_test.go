package modules

import (
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// What Data returns has the types that ResultFields declares, even for null and unknown values.
func TestDataHasTheDeclaredTypes(t *testing.T) {
	type result struct {
		Name   string    `cty:"name"`
		Home   *string   `cty:"home"`
		Count  *int      `cty:"count"`
		On     bool      `cty:"on"`
		Nodes  []string  `cty:"nodes"`
		ID     cty.Value `cty:"id" type:"number"`
		Hidden string
	}
	home := "/root"
	for _, r := range []result{{}, {Name: "a", Home: &home, Nodes: []string{"b"}, ID: cty.UnknownVal(cty.Number)}} {
		got := Data(r).Type().AttributeTypes()
		fields := ResultFields(r)
		if len(got) != len(fields) || len(fields) != 6 {
			t.Fatalf("%d attributes, %d fields, want 6", len(got), len(fields))
		}
		for _, field := range fields {
			if !got[field.Name].Equals(field.Type) {
				t.Errorf("%s is a %s, declared a %s", field.Name, got[field.Name].FriendlyName(), field.Type.FriendlyName())
			}
		}
	}
	if v := Data(result{}).GetAttr("home"); !v.IsNull() {
		t.Errorf("a nil pointer is %#v, want null", v)
	}
}
