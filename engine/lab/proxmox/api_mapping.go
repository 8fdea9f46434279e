package proxmox

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/pattern"
)

// mappingKind is a kind of resource mapping: /cluster/mapping/KIND, stored in mapping/FILE.
type mappingKind struct {
	name, file string
	// required and optional are the properties of a map, each with the format of its value.
	required, optional map[string]*pattern.Regexp
}

var (
	anyValue    = pattern.New(`.`)
	deviceID    = pattern.New(`^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$`)
	pciPath     = pattern.New(`^[a-fA-F0-9]{4,}:[a-fA-F0-9]{2}:[a-fA-F0-9]{2}(\.[a-fA-F0-9])?(;[a-fA-F0-9]{4,}:[a-fA-F0-9]{2}:[a-fA-F0-9]{2}(\.[a-fA-F0-9])?)*$`)
	usbPath     = pattern.New(`^\d+-\d+(\.\d+)*$`)
	wholeNumber = pattern.New(`^-?\d+$`)
	configID    = pattern.New(`^[a-zA-Z][a-zA-Z0-9_-]+$`)
)

var mappingKinds = []mappingKind{
	{name: "pci", file: "mapping/pci.cfg", required: map[string]*pattern.Regexp{"id": deviceID, "node": nodeName, "path": pciPath},
		optional: map[string]*pattern.Regexp{"subsystem-id": deviceID, "iommugroup": wholeNumber, "description": anyValue}},
	{name: "usb", file: "mapping/usb.cfg", required: map[string]*pattern.Regexp{"id": deviceID, "node": nodeName},
		optional: map[string]*pattern.Regexp{"path": usbPath, "description": anyValue}},
}

// mappingEndpoints are the API paths below /cluster/mapping.
func mappingEndpoints() []endpoint {
	var all []endpoint
	for _, kind := range mappingKinds {
		path := "cluster/mapping/" + kind.name
		all = append(all, change("create", path, kind.create), change("set", path+"/{}", kind.set),
			change("delete", path+"/{}", func(_ *Command, v *view, db *Database, parts []string, _ arguments) error {
				sections := ParseSections(db.Text(kind.file))
				if i := section(sections, parts[0]); i >= 0 {
					kind.write(v, db, slices.Delete(sections, i, i+1))
				}
				return nil
			}))
	}
	return all
}

// change returns an endpoint that changes the cluster's files. It needs a quorum and returns no result.
func change(verb, path string, fn func(c *Command, v *view, db *Database, parts []string, a arguments) error) endpoint {
	return endpoint{verb: verb, path: path, run: func(c *Command, parts []string, a arguments) error {
		c.changed = true
		var err error
		c.World.at(func(v *view) {
			switch db := v.database(c.Node.Name()); {
			case db == nil:
				err = failed(exitREFUSED, "ipcc_send_rec[1] failed: Connection refused")
			case !v.quorate(c.Node.Name()):
				err = failed(exitEACCES, "cluster not ready - no quorum?")
			default:
				err = fn(c, v, db, parts, a)
			}
		})
		return err
	}}
}

// unverified returns the error for a call with invalid parameters: each problem, then the usage.
func unverified(usage string, problems ...string) error {
	return failed(exitENOENT, "400 Parameter verification failed.\n%s\n\npvesh %s [OPTIONS] [FORMAT_OPTIONS]", strings.Join(problems, "\n"), usage)
}

func (k mappingKind) write(v *view, db *Database, all []Section) {
	db.Write(k.file, []byte(FormatSections(all, "map")), v.now)
}

func (k mappingKind) create(_ *Command, v *view, db *Database, _ []string, a arguments) error {
	var problems []string
	switch id := a.get("id"); {
	case !a.has("id"):
		problems = append(problems, "id: property is missing and it is not optional")
	case !configID.MatchString(id):
		problems = append(problems, fmt.Sprintf("id: invalid format - invalid configuration ID '%s'\n", id))
	}
	if !a.has("map") {
		problems = append(problems, "map: property is missing and it is not optional")
	}
	problems = append(problems, k.verify(a)...)
	if len(problems) > 0 {
		return unverified("create <api_path> --id <string> --map <array>", problems...)
	}
	all := ParseSections(db.Text(k.file))
	if section(all, a.get("id")) >= 0 {
		return failed(exitDie, "create hardware mapping failed: %s ID '%s' already defined", k.name, a.get("id"))
	}
	s := Section{ID: a.get("id"), Keys: map[string]string{}}
	k.apply(s, a)
	k.write(v, db, append(all, s))
	return nil
}

func (k mappingKind) set(_ *Command, v *view, db *Database, parts []string, a arguments) error {
	if problems := k.verify(a); len(problems) > 0 {
		return unverified("set <api_path>", problems...)
	}
	all := ParseSections(db.Text(k.file))
	i := section(all, parts[0])
	if i < 0 {
		return failed(exitDie, "update hardware mapping failed: %s ID '%s' does not exist", k.name, parts[0])
	}
	if a.has("digest") && a.get("digest") != digest(db.Text(k.file)) {
		return failed(exitDie, "update hardware mapping failed: detected modified configuration - file changed by other user? Try again.")
	}
	k.apply(all[i], a)
	k.write(v, db, all)
	return nil
}

// apply sets the properties of a mapping that a call gives. maps are replaced as a whole.
func (k mappingKind) apply(s Section, a arguments) {
	for _, key := range []string{"map", "description", "mdev", "live-migration-capable"} {
		switch {
		case !a.has(key):
		case key == "description":
			s.Keys[key] = encodeComment(a.get(key))
		case key == "map":
			s.Keys[key] = a.get(key)
		default:
			s.Keys[key] = fmt.Sprint(number(a.bool(key)))
		}
	}
	for _, key := range splitList(a.get("delete")) {
		delete(s.Keys, key)
	}
}

// verify returns the problems with the maps in a call.
func (k mappingKind) verify(a arguments) []string {
	var problems []string
	if !a.has("map") {
		return nil
	}
	for i, text := range strings.Split(a.get("map"), repeated) {
		var wrong []string
		given := properties(text)
		for key, value := range given {
			pattern, known := k.required[key]
			if !known {
				pattern, known = k.optional[key]
			}
			switch {
			case !known:
				wrong = append(wrong, fmt.Sprintf("map[%d].%s: property is not defined in schema and the schema does not allow additional properties", i, key))
			case !pattern.MatchString(value):
				wrong = append(wrong, fmt.Sprintf("map[%d].%s: value does not match the regex pattern", i, key))
			}
		}
		for key := range k.required {
			if _, ok := given[key]; !ok {
				wrong = append(wrong, fmt.Sprintf("map[%d].%s: property is missing and it is not optional", i, key))
			}
		}
		if len(wrong) > 0 {
			slices.Sort(wrong)
			problems = append(append(problems, fmt.Sprintf("map[%d]: invalid format - format error", i)), wrong...)
		}
	}
	return problems
}

// properties parses "key=value,key=value".
func properties(text string) map[string]string {
	found := map[string]string{}
	for _, item := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(item, "=")
		found[key] = value
	}
	return found
}
