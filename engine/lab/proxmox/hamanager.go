package proxmox

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The program ha-manager: resources, groups (up to PVE 8), rules (since PVE 9), crm-commands.

const migratedToRules = "ha groups have been migrated to rules"

func haManagerCommands() []perlCommand {
	state := oneOf("started", "stopped", "enabled", "disabled", "ignored")
	options := func(more map[string]check) map[string]check {
		all := map[string]check{"comment": anyText, "group": anyText, "max_relocate": integer(0, 0), "max_restart": integer(0, 0), "state": state}
		for name, chk := range more {
			all[name] = chk
		}
		return all
	}
	var all []perlCommand
	for _, debian := range []string{"trixie", "bookworm"} {
		more := map[string]check{}
		if debian == "trixie" {
			more["failback"] = boolean
		}
		add, set := options(more), options(more)
		add["type"] = oneOf("ct", "vm")
		set["delete"], set["digest"] = anyText, anyText
		all = append(all,
			perlCommand{name: "add", args: []string{"sid"}, usage: "<sid> [OPTIONS]", options: add, debian: debian, run: haAdd},
			perlCommand{name: "set", args: []string{"sid"}, usage: "<sid> [OPTIONS]", options: set, debian: debian, run: haSet})
	}
	group := map[string]check{"nodes": anyText, "restricted": boolean, "nofailback": boolean, "comment": anyText, "type": oneOf("group")}
	groupset := map[string]check{"delete": anyText, "digest": anyText}
	for name, chk := range group {
		groupset[name] = chk
	}
	rule := map[string]check{"comment": anyText, "disable": boolean, "nodes": anyText, "resources": anyText, "strict": boolean, "affinity": oneOf("positive", "negative")}
	ruleset := map[string]check{"delete": anyText, "digest": anyText}
	for name, chk := range rule {
		ruleset[name] = chk
	}
	kinds := oneOf("node-affinity", "resource-affinity")
	list := map[string]check{"type": kinds, "resource": anyText, "output-format": outputFormat, "noborder": boolean, "noheader": boolean}
	return append(all,
		perlCommand{name: "remove", args: []string{"sid"}, usage: "<sid> [OPTIONS]", options: map[string]check{"purge": boolean}, run: haRemove},
		perlCommand{name: "config", usage: "[OPTIONS]", options: map[string]check{"type": oneOf("ct", "vm")}, run: haConfig},
		perlCommand{name: "status", run: haStatusCommand},
		perlCommand{name: "groupadd", args: []string{"group"}, usage: "<group> --nodes <string> [OPTIONS]", options: group, run: haGroupadd},
		perlCommand{name: "groupset", args: []string{"group"}, usage: "<group> [OPTIONS]", options: groupset, run: haGroupset},
		perlCommand{name: "rules add", args: []string{"type", "rule"}, usage: "<type> <rule> [OPTIONS]", options: rule,
			checks: map[string]check{"type": kinds}, debian: "trixie", run: haRulesAdd},
		perlCommand{name: "rules set", args: []string{"type", "rule"}, usage: "<type> <rule> [OPTIONS]", options: ruleset,
			checks: map[string]check{"type": kinds}, debian: "trixie", run: haRulesSet},
		perlCommand{name: "rules remove", args: []string{"rule"}, usage: "<rule>", debian: "trixie", run: haRulesRemove},
		perlCommand{name: "rules list", usage: "[OPTIONS] [FORMAT_OPTIONS]", options: list, debian: "trixie", run: haRulesList},
		perlCommand{name: "crm-command migrate", args: []string{"sid", "node"}, usage: "<sid> <node>", run: haMigrate("migrate")},
		perlCommand{name: "crm-command relocate", args: []string{"sid", "node"}, usage: "<sid> <node>", run: haMigrate("relocate")},
		perlCommand{name: "migrate", args: []string{"sid", "node"}, usage: "<sid> <node>", run: haMigrate("migrate")},
		perlCommand{name: "relocate", args: []string{"sid", "node"}, usage: "<sid> <node>", run: haMigrate("relocate")},
		perlCommand{name: "crm-command node-maintenance enable", args: []string{"node"}, usage: "<node>", run: haMaintenance("enable")},
		perlCommand{name: "crm-command node-maintenance disable", args: []string{"node"}, usage: "<node>", run: haMaintenance("disable")},
		perlCommand{name: "crm-command disarm-ha", args: []string{"resource-mode"}, usage: "<resource-mode>", debian: "trixie",
			checks: map[string]check{"resource-mode": oneOf("freeze", "ignore")}, run: haArm},
		perlCommand{name: "crm-command arm-ha", debian: "trixie", run: haArm},
	)
}

// failure is an error in the real program's wording, with its exit code.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func failed(code int, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// change runs fn on the state of the node's cluster and prints its error. It needs a quorum.
func (c *Command) change(fn func(v *view, db *Database) error) int {
	c.changed = true
	var err error
	c.World.at(func(v *view) {
		if !v.quorate(c.Node.Name()) {
			err = failed(exitDie, "cluster not ready - no quorum?")
			return
		}
		err = fn(v, v.database(c.Node.Name()))
	})
	return c.report(err)
}

// read is like change but needs no quorum.
func (c *Command) read(fn func(v *view, db *Database) error) int {
	var err error
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if db == nil {
			err = failed(111, "ipcc_send_rec[1] failed: Connection refused\nUnable to load access control list: Connection refused")
			return
		}
		err = fn(v, db)
	})
	return c.report(err)
}

func (c *Command) report(err error) int {
	if err == nil {
		return 0
	}
	code := exitDie
	var f *failure
	if errors.As(err, &f) {
		code = f.code
	}
	return c.die(code, "%s", err)
}

// missing returns the exit code of a die after the lookup of a file.
func (db *Database) missing(file string) int {
	if db.Has(file) {
		return exitDie
	}
	return exitENOENT
}

// parseSID parses "vm:100" or "100" into the type and the ID of a resource.
func (db *Database) parseSID(sid string) (kind, id string, err error) {
	kind, id, found := strings.Cut(sid, ":")
	if !found {
		g, ok := db.guests()[sid]
		if !ok {
			return "", "", failed(exitEEXIST, "unable to detect SID from VMID - VM/CT %s does not exist", sid)
		}
		return guestKind(g), sid, nil
	}
	if kind != "vm" && kind != "ct" {
		return "", "", failed(exitEEXIST, "unknown section type '%s'", kind)
	}
	return kind, id, nil
}

func guestKind(g guest) string {
	if g.kind == "lxc" {
		return "ct"
	}
	return "vm"
}

const resourcesFile = "ha/resources.cfg"

func (v *view) writeResources(db *Database, all []Section) {
	db.Write(resourcesFile, []byte(FormatSections(all)), v.now)
}

func haAdd(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		kind, id, err := db.parseSID(a.get("sid"))
		if err != nil {
			return err
		}
		sid := kind + ":" + id
		new9 := c.Node.Debian() != "bookworm"
		if new9 && a.has("group") {
			return failed(exitENOENT, "invalid parameter 'group': %s", migratedToRules)
		}
		g, ok := db.guests()[id]
		if !ok {
			return failed(exitEEXIST, "resource '%s' does not exist in cluster", sid)
		}
		if new9 && guestKind(g) != kind {
			what := map[string]string{"vm": "a VM", "ct": "a container"}[kind]
			return failed(exitEEXIST, "resource '%s' - guest with ID %s is not %s", sid, id, what)
		}
		all := db.resources()
		if section(all, id) >= 0 {
			return fmt.Errorf("create resource failed: resource ID '%s' already defined", sid)
		}
		keys := map[string]string{}
		for _, key := range []string{"group", "max_relocate", "max_restart", "failback", "state", "comment"} {
			if a.has(key) {
				keys[key] = resourceValue(key, a.get(key))
			}
		}
		if a.has("comment") {
			keys["comment"] = encodeComment(a.get("comment"))
		}
		v.writeResources(db, append(all, Section{Type: kind, ID: id, Keys: keys}))
		v.useHA(db)
		return nil
	})
}

// resourceValue returns a value as resources.cfg stores it: booleans as 1 and 0, numbers without leading zeros.
func resourceValue(key, value string) string {
	switch key {
	case "failback":
		return fmt.Sprint(number(truth(value)))
	case "max_restart", "max_relocate":
		return fmt.Sprint(count(value, 1))
	}
	return value
}

func digest(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }

func haSet(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		kind, id, err := db.parseSID(a.get("sid"))
		if err != nil {
			return err
		}
		if a.has("group") {
			if c.Node.Debian() != "bookworm" {
				return failed(exitENOENT, "invalid parameter 'group': %s", migratedToRules)
			}
			if section(ParseSections(db.Text("ha/groups.cfg")), a.get("group")) < 0 {
				return fmt.Errorf("HA group '%s' does not exist", a.get("group"))
			}
		}
		all := db.resources()
		if a.has("digest") && a.get("digest") != digest(db.Text(resourcesFile)) {
			return failed(exitDie, "update resources config failed: detected modified configuration - file changed by other user? Try again.")
		}
		i := section(all, id)
		if i < 0 {
			return fmt.Errorf("update resources config failed: no such resource '%s:%s'", kind, id)
		}
		if s := db.HA.Services[kind+":"+id]; s != nil && s.State == "error" && a.get("state") != "disabled" {
			return fmt.Errorf("service '%s:%s' in error state, must be disabled and fixed first", kind, id)
		}
		for _, key := range []string{"group", "max_relocate", "max_restart", "failback", "state"} {
			if a.has(key) {
				all[i].Keys[key] = resourceValue(key, a.get(key))
			}
		}
		if a.has("comment") {
			all[i].Keys["comment"] = encodeComment(a.get("comment"))
		}
		for _, key := range splitList(a.get("delete")) {
			if !slices.Contains([]string{"group", "max_relocate", "max_restart", "failback", "state", "comment"}, key) {
				return fmt.Errorf("update resources config failed: no such option '%s'", key)
			}
			delete(all[i].Keys, key)
		}
		v.writeResources(db, all)
		return nil
	})
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == 0 })
}

func haRemove(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		kind, id, err := db.parseSID(a.get("sid"))
		if err != nil {
			return err
		}
		sid := kind + ":" + id
		all := db.resources()
		i := section(all, id)
		if i < 0 {
			return failed(db.missing(resourcesFile), "cannot delete service '%s', not HA managed!", sid)
		}
		v.writeResources(db, slices.Delete(all, i, i+1))
		if c.Node.Debian() != "bookworm" && (!a.has("purge") || a.bool("purge")) {
			v.purgeRules(db, sid)
		}
		return nil
	})
}

func haConfig(c *Command, a arguments) int {
	var out, warnings strings.Builder
	code := c.read(func(v *view, db *Database) error {
		groups := ParseSections(db.Text("ha/groups.cfg"))
		all := db.resources()
		slices.SortFunc(all, func(x, y Section) int { return strings.Compare(x.Type+":"+x.ID, y.Type+":"+y.ID) })
		for _, r := range all {
			if a.has("type") && a.get("type") != r.Type {
				continue
			}
			fmt.Fprintf(&out, "%s:%s\n", r.Type, r.ID)
			for _, key := range sortedKeys(r.Keys) {
				fmt.Fprintf(&out, "\t%s %s\n", key, decodeComment(r.Keys[key]))
			}
			out.WriteString("\n")
			if g := r.Keys["group"]; g != "" && section(groups, g) < 0 {
				fmt.Fprintf(&warnings, "error: property 'group' - group '%s' does not exist\n", g)
			}
		}
		return nil
	})
	c.printf("%s", out.String())
	fmt.Fprint(c.Stderr, warnings.String())
	return code
}

func haStatusCommand(c *Command, _ arguments) int {
	var out strings.Builder
	code := c.read(func(v *view, db *Database) error {
		for _, e := range v.haStatus(c.Node.Name()) {
			fmt.Fprintf(&out, "%s %s\n", e["type"], e["status"])
		}
		return nil
	})
	c.printf("%s", out.String())
	return code
}

// queue queues a command for the CRM.
func (v *view) queue(db *Database, format string, args ...any) {
	v.useHA(db)
	db.HA.Commands = append(db.HA.Commands, fmt.Sprintf(format, args...))
	db.Write("ha/crm_commands", []byte(strings.Join(db.HA.Commands, "\n")+"\n"), v.now)
}

func haMigrate(how string) func(*Command, arguments) int {
	return func(c *Command, a arguments) int {
		return c.change(func(v *view, db *Database) error {
			kind, id, err := db.parseSID(a.get("sid"))
			if err != nil {
				return err
			}
			if section(db.resources(), id) < 0 {
				return fmt.Errorf("resource '%s:%s' is not HA managed", kind, id)
			}
			v.queue(db, "%s %s:%s %s", how, kind, id, a.get("node"))
			return nil
		})
	}
}

func haMaintenance(how string) func(*Command, arguments) int {
	return func(c *Command, a arguments) int {
		return c.change(func(v *view, db *Database) error {
			if conf := db.corosync(); conf == nil || conf.node(a.get("node")) == nil {
				return fmt.Errorf("no such cluster node '%s'", a.get("node"))
			}
			v.queue(db, "%s-node-maintenance %s", how, a.get("node"))
			return nil
		})
	}
}

func haArm(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		if a.has("resource-mode") {
			v.queue(db, "disarm-ha %s", a.get("resource-mode"))
		} else {
			v.queue(db, "arm-ha")
		}
		return nil
	})
}
