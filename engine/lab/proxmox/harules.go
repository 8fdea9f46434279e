package proxmox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const rulesFile = "ha/rules.cfg"

func (db *Database) rules() []Section { return ParseSections(db.Text(rulesFile)) }

func (v *view) writeRules(db *Database, all []Section) {
	// The required keys come first, sorted: affinity or nodes, depending on the type, and resources for both types.
	db.Write(rulesFile, []byte(FormatSections(all, "affinity", "nodes", "resources")), v.now)
}

// ruleKeys merges arguments into the keys of a rule, sorting the items of lists.
func ruleKeys(a arguments, keys map[string]string) map[string]string {
	for _, key := range []string{"nodes", "resources"} {
		if a.has(key) {
			list := splitList(a.get(key))
			slices.Sort(list)
			for i, entry := range list {
				list[i] = strings.TrimSuffix(entry, ":0")
			}
			keys[key] = strings.Join(slices.Compact(list), ",")
		}
	}
	if a.has("affinity") {
		keys["affinity"] = a.get("affinity")
	}
	if a.has("strict") {
		keys["strict"] = fmt.Sprint(number(a.bool("strict")))
	}
	if a.has("comment") {
		keys["comment"] = encodeComment(a.get("comment"))
	}
	if a.has("disable") {
		delete(keys, "disable")
		if a.bool("disable") {
			keys["disable"] = ""
		}
	}
	return keys
}

func haRulesAdd(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		for _, need := range requiredRuleKeys(a.get("type")) {
			if !a.has(need) {
				return fmt.Errorf("400 Parameter verification failed.\n%s: property is missing and it is not optional\nha-manager rules add <type> <rule> [OPTIONS]", need)
			}
		}
		if len(ParseSections(db.Text(groupsFile))) > 0 {
			return errors.New("cannot create ha rule: ha groups have not been migrated yet")
		}
		all := db.rules()
		if section(all, a.get("rule")) >= 0 {
			return fmt.Errorf("create ha rule failed: HA rule '%s' already defined", a.get("rule"))
		}
		rule := Section{Type: a.get("type"), ID: a.get("rule"), Keys: ruleKeys(a, map[string]string{})}
		if err := v.checkRule(db, rule, append(all, rule)); err != nil {
			return fmt.Errorf("create ha rule failed: %w", err)
		}
		v.writeRules(db, append(all, rule))
		return nil
	})
}

func requiredRuleKeys(kind string) []string {
	if kind == "node-affinity" {
		return []string{"nodes", "resources"}
	}
	return []string{"affinity", "resources"}
}

func haRulesSet(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		all := db.rules()
		i := section(all, a.get("rule"))
		if i < 0 {
			return fmt.Errorf("update HA rules failed: HA rule '%s' does not exist", a.get("rule"))
		}
		if a.has("digest") && a.get("digest") != digest(db.Text(rulesFile)) {
			return failed(exitDie, "update HA rules failed: detected modified configuration - file changed by other user? Try again.")
		}
		if all[i].Type != a.get("type") {
			return fmt.Errorf("update HA rules failed: HA rule '%s' is of type '%s' but got '%s'", a.get("rule"), all[i].Type, a.get("type"))
		}
		ruleKeys(a, all[i].Keys)
		for _, key := range splitList(a.get("delete")) {
			if slices.Contains(requiredRuleKeys(all[i].Type), key) {
				return fmt.Errorf("update HA rules failed: unable to delete required option '%s'", key)
			}
			delete(all[i].Keys, key)
		}
		if err := v.checkRule(db, all[i], all); err != nil {
			return fmt.Errorf("update HA rules failed: %w", err)
		}
		v.writeRules(db, all)
		return nil
	})
}

func haRulesRemove(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		all := db.rules()
		if i := section(all, a.get("rule")); i >= 0 {
			v.writeRules(db, slices.Delete(all, i, i+1))
		}
		return nil
	})
}

// purgeRules removes a resource from all rules, and removes rules that become empty.
func (v *view) purgeRules(db *Database, sid string) {
	all := db.rules()
	if len(all) == 0 {
		return
	}
	var kept []Section
	for _, rule := range all {
		rest := slices.DeleteFunc(splitList(rule.Keys["resources"]), func(r string) bool { return r == sid })
		if len(rest) == 0 {
			continue
		}
		rule.Keys["resources"] = strings.Join(rest, ",")
		kept = append(kept, rule)
	}
	v.writeRules(db, kept)
}

// checkRule checks whether a rule can be satisfied together with the others.
func (v *view) checkRule(db *Database, rule Section, all []Section) error {
	resources := splitList(rule.Keys["resources"])
	if len(resources) == 0 {
		return errors.New("no resources were specified")
	}
	managed := map[string]bool{}
	for _, r := range db.resources() {
		managed[r.Type+":"+r.ID] = true
	}
	var unmanaged []string
	for _, sid := range resources {
		if !managed[sid] {
			unmanaged = append(unmanaged, sid)
		}
	}
	if len(unmanaged) > 0 {
		return failed(exitDie, "cannot use unmanaged resource(s) %s.", strings.Join(unmanaged, ", "))
	}
	if rule.Type == "node-affinity" {
		if rule.Keys["nodes"] == "" {
			return errors.New("no nodes were specified")
		}
		var unknown []string
		conf := db.corosync()
		for _, name := range sortedKeys(nodePriorities(rule.Keys["nodes"])) {
			if conf == nil || conf.node(name) == nil {
				unknown = append(unknown, name)
			}
		}
		if len(unknown) > 0 {
			return failed(exitDie, "cannot use non-existent node(s) %s.", strings.Join(unknown, ", "))
		}
	}
	if problems := conflicts(rule.ID, all, len(db.HA.Nodes)); len(problems) > 0 {
		return fmt.Errorf("400 Rule '%s' is invalid.\nresources: %s", rule.ID, strings.Join(problems, ", "))
	}
	return nil
}

// ruleList returns the rules as the API shows them.
func (v *view) ruleList(db *Database, a arguments) []any {
	sum := digest(db.Text(rulesFile))
	list := []any{}
	all := db.rules()
	for i, rule := range all {
		if a.has("type") && a.get("type") != rule.Type ||
			a.has("resource") && !slices.Contains(splitList(rule.Keys["resources"]), a.get("resource")) {
			continue
		}
		entry := map[string]any{"rule": rule.ID, "type": rule.Type, "digest": sum, "order": i + 1}
		for key, value := range rule.Keys {
			switch key {
			case "strict":
				entry[key] = count(value, 0)
			case "disable":
				entry[key] = 1
			case "comment":
				entry[key] = decodeComment(value)
			default:
				entry[key] = value
			}
		}
		if problems := conflicts(rule.ID, all, len(db.HA.Nodes)); len(problems) > 0 {
			entry["errors"] = map[string]any{"resources": []any{strings.Join(problems, ", ")}}
		}
		list = append(list, entry)
	}
	return list
}

func haRulesList(c *Command, a arguments) int {
	var list []any
	code := c.read(func(v *view, db *Database) error {
		list = v.ruleList(db, a)
		return nil
	})
	switch {
	case code != 0:
		return code
	case a.get("output-format") != "json":
		return c.notSimulated("rules list without --output-format json")
	}
	c.printf("%s", canonical(list))
	return 0
}
