package machine

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func setfattr(_ context.Context, c *Call) int {
	o, ok := c.options("n:v:x:h", "name=", "value=", "remove=")
	if !ok {
		return 2
	}
	key, value := o.value("n", "name"), o.value("v", "value")
	if remove := o.value("x", "remove"); remove != "" {
		key, value = remove, ""
	}
	code := 0
	for _, name := range o.rest {
		if err := c.view().setXattr(c.Path(name), key, value); err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
		}
	}
	return code
}

func getfattr(_ context.Context, c *Call) int {
	o, ok := c.options("dn:h", "dump", "name=", "only-values", "absolute-names")
	if !ok {
		return 2
	}
	only, code := o.value("n", "name"), 0
	for _, name := range o.rest {
		attributes, err := c.view().xattr(c.Path(name))
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		if _, there := attributes[only]; only != "" && !there {
			code = c.Errorf("%s: %s: No such attribute", name, only)
			continue
		}
		if o.has("only-values") {
			c.printf("%s", attributes[only])
			continue
		}
		shown := slices.DeleteFunc(slices.Sorted(maps.Keys(attributes)), func(key string) bool {
			return only != "" && key != only || only == "" && !strings.HasPrefix(key, "user.")
		})
		if len(shown) == 0 {
			continue
		}
		c.printf("# file: %s\n", strings.TrimPrefix(name, "/"))
		for _, key := range shown {
			if only != "" || o.has("d", "dump") {
				c.printf("%s=%s\n", key, strconv.Quote(attributes[key]))
			} else {
				c.printf("%s\n", key)
			}
		}
		c.printf("\n")
	}
	return code
}
