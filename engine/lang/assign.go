package lang

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"reflect"
	"strconv"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// assign sets a field to a value. The value is known, not null, without marks, and of the type returned by fieldType.
// Errors say what was expected, and never show the value.
func assign(field reflect.Value, v cty.Value) error {
	if field.Kind() == reflect.Pointer {
		target := reflect.New(field.Type().Elem())
		if err := assign(target.Elem(), v); err != nil {
			return err
		}
		field.Set(target)
		return nil
	}
	switch field.Type() {
	case durationType:
		d, err := time.ParseDuration(v.AsString())
		if err != nil || d < 0 {
			return errors.New(`expected a duration: a number with a unit, such as "500ms", "90s", "5m", "1h30m"`)
		}
		field.SetInt(int64(d))
		return nil
	case modeType:
		mode, err := parseMode(v.AsString())
		if err != nil {
			return err
		}
		field.SetUint(uint64(mode))
		return nil
	case ctyValueType:
		field.Set(reflect.ValueOf(v))
		return nil
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(v.AsString())
	case reflect.Bool:
		field.SetBool(v.True())
	case reflect.Slice:
		return assignList(field, v)
	case reflect.Map:
		return assignMap(field, v)
	default:
		return assignNumber(field, v.AsBigFloat())
	}
	return nil
}

func assignList(field reflect.Value, v cty.Value) error {
	list := reflect.MakeSlice(field.Type(), v.LengthInt(), v.LengthInt())
	for i, element := range v.AsValueSlice() {
		if element.IsNull() {
			return fmt.Errorf("element %d is null: expected a value", i)
		}
		if err := assign(list.Index(i), element); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	field.Set(list)
	return nil
}

func assignMap(field reflect.Value, v cty.Value) error {
	all := reflect.MakeMap(field.Type())
	for key, element := range v.AsValueMap() {
		if element.IsNull() {
			return errors.New("a value in the map is null: expected values that are not null")
		}
		target := reflect.New(field.Type().Elem()).Elem()
		if err := assign(target, element); err != nil {
			return fmt.Errorf("a value in the map: %w", err)
		}
		all.SetMapIndex(reflect.ValueOf(key).Convert(field.Type().Key()), target)
	}
	field.Set(all)
	return nil
}

func assignNumber(field reflect.Value, n *big.Float) error {
	switch field.Kind() {
	case reflect.Float32, reflect.Float64:
		f, _ := n.Float64()
		if field.OverflowFloat(f) {
			return errors.New("the number is too large")
		}
		field.SetFloat(f)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, accuracy := n.Uint64()
		if accuracy != big.Exact || field.OverflowUint(i) {
			return errors.New("expected a whole number that is not negative and fits the argument")
		}
		field.SetUint(i)
		return nil
	}
	i, accuracy := n.Int64()
	if accuracy != big.Exact || field.OverflowInt(i) {
		return errors.New("expected a whole number that fits the argument")
	}
	field.SetInt(i)
	return nil
}

// parseMode parses a mode as chmod does, up to "7777". All bits, including the three high ones, keep the positions
// that chmod and stat use, which is also how observations and actions hold them.
func parseMode(s string) (fs.FileMode, error) {
	bits, err := strconv.ParseUint(s, 8, 32)
	if err != nil || bits > 0o7777 {
		return 0, errors.New(`expected a file mode in octal digits, such as "0644" or "1777"`)
	}
	return fs.FileMode(bits), nil
}
