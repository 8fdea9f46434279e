package lang

import (
	"maps"

	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
)

// resultShapes returns `result` with an unknown value of the right type for each registered result.
func (v *validator) resultShapes() cty.Value {
	shapes := make(map[string]cty.Type)
	for _, p := range v.playbook.Plays {
		walk(p, func(t *Task) {
			if t.Register == "" {
				return
			}
			shape := t.resultShape()
			if earlier, ok := shapes[t.Register]; ok && !earlier.Equals(shape) {
				shape = cty.DynamicPseudoType // either task may have registered it
			}
			shapes[t.Register] = shape
		})
	}
	values := make(map[string]cty.Value, len(shapes))
	for name, shape := range shapes {
		values[name] = cty.UnknownVal(shape)
	}
	return cty.ObjectVal(values)
}

// resultShape returns the type of the task's result, with all attributes that it can have. How the task ends determines
// which of them it has.
func (t *Task) resultShape() cty.Type {
	if t.schema == nil {
		return cty.DynamicPseudoType
	}
	attributes := map[string]cty.Type{
		"status": cty.String, "changed": cty.Bool, "failed": cty.Bool, "skipped": cty.Bool, "message": cty.String,
		"stdout": cty.String, "stderr": cty.String, "rc": cty.Number, "stdout_lines": cty.List(cty.String),
	}
	own := make(map[string]cty.Type)
	for _, field := range modules.ResultFields(t.schema.spec.Result) {
		own[field.Name] = field.Type
	}
	item := maps.Clone(attributes)
	maps.Copy(item, own)
	if t.ForEach == nil {
		return cty.Object(item)
	}
	attributes["items"] = cty.Map(cty.Object(item))
	return cty.Object(attributes)
}
