package machine

import (
	"cmp"
	"context"
	"encoding/base64"
	"hash"
	"io"
	"strconv"
	"strings"
)

func checksum(algorithm func() hash.Hash) Program {
	return func(_ context.Context, c *Call) int {
		o, ok := c.options("bctwz", "check", "binary", "status", "quiet", "strict")
		if !ok {
			return 2
		}
		if len(o.rest) == 0 {
			o.rest = []string{"-"}
		}
		code := 0
		digest := func(name string) (string, bool) {
			f, err := c.input(name)
			if err == nil {
				defer f.Close()
				var content []byte
				if content, err = io.ReadAll(f); err == nil {
					return digestOf(algorithm(), content), true
				}
			}
			code = c.Errorf("%s: %s", name, errText(err))
			return "", false
		}
		for _, name := range o.rest {
			if !o.has("c", "check") {
				if sum, ok := digest(name); ok {
					c.printf("%s  %s\n", sum, name)
				}
				continue
			}
			f, err := c.input(name)
			if err != nil {
				return c.Errorf("%s: %s", name, errText(err))
			}
			list, _ := io.ReadAll(f) // if the list cannot be read, no line matches
			_ = f.Close()            // opened for reading only
			bad := 0
			for line := range strings.Lines(string(list)) {
				want, file, ok := strings.Cut(strings.TrimSpace(line), " ")
				file = strings.TrimLeft(file, " *")
				if !ok {
					continue
				}
				got, ok := digest(file)
				verdict := "OK"
				if !ok || got != strings.ToLower(want) {
					verdict = "FAILED"
					bad++
				}
				if !o.has("status") && !(o.has("quiet") && verdict == "OK") {
					c.printf("%s: %s\n", file, verdict)
				}
			}
			if bad > 0 {
				code = 1
				if !o.has("status") {
					c.Errorf("WARNING: %d computed checksum did NOT match", bad)
				}
			}
		}
		return code
	}
}

func base64Program(_ context.Context, c *Call) int {
	o, ok := c.options("dw:i", "decode", "wrap=", "ignore-garbage")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	f, err := c.input(o.rest[0])
	if err != nil {
		return c.Errorf("%s: %s", o.rest[0], errText(err))
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return c.Errorf("read error: %s", errText(err))
	}
	if o.has("d", "decode") {
		decoded, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(content), "\n", ""))
		if err != nil {
			return c.Errorf("invalid input")
		}
		_, err = c.Stdout.Write(decoded)
		return c.ended(err)
	}
	encoded := base64.StdEncoding.EncodeToString(content)
	width, err := strconv.Atoi(cmp.Or(o.value("w", "wrap"), "76"))
	if err != nil {
		return c.Errorf("invalid wrap size: ‘%s’", o.value("w", "wrap"))
	}
	for width > 0 && len(encoded) > 0 {
		n := min(width, len(encoded))
		c.printf("%s\n", encoded[:n])
		encoded = encoded[n:]
	}
	c.printf("%s", encoded)
	return 0
}
