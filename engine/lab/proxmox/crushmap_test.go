package proxmox

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// A map is extracted, edited, tested and set as in the guide. A map that is out of date or not supported is rejected.
func TestCrushMapIsEdited(t *testing.T) {
	l := newLab(t, labOptions{ceph: "19.2.3", network: "10.10.10."})
	recordedCluster(6)(l)
	const edit = "ceph osd getcrushmap -o cm && crushtool -d cm -o cm.txt && "
	for _, step := range []struct{ line, want string }{
		{edit + `sed -i 's/item osd.5 weight 0.90970/item osd.5 weight 0.50000/; s/item pve3 weight 1.81940/item pve3 weight 1.40970/; s/^# end.*/rule two {\n\tid 7\n\ttype replicated\n\tstep take default class hdd\n\tstep choose firstn 0 type osd\n\tstep emit\n}/' cm.txt && crushtool -c cm.txt -o cm.new`, ""},
		{"crushtool -i cm.new --test --show-bad-mappings --rule 7 --num-rep 4", ""},
		{"crushtool -i cm.new --test --show-bad-mappings --rule 7 --num-rep 7 --min-x 0 --max-x 0", "bad mapping rule 7 x 0 num_rep 7 result ["},
		{"crushtool -i cm.new --compare cm", "rule 7 had 1024/1024 mismatched mappings (1)\nwarning: maps are NOT equivalent"},
		{"ceph osd setcrushmap 1 -i cm.new", "Error EPERM: prior_version 1 != crush version"},
		{"ceph osd setcrushmap -i cm.new", ""},
		{"ceph osd crush rule ls", "two"},
		{"ceph osd tree", " 5    hdd  0.50000          osd.5"},
		{"ceph osd crush rule dump two", `"item_name": "default~hdd"`},
		{edit + `sed -i 's/^# end.*/rule pair {\n\tid 8\n\ttype replicated\n\tstep take default\n\tstep choose firstn 2 type osd\n\tstep emit\n}/' cm.txt && crushtool -c cm.txt -o cm.pair && crushtool -i cm.pair --test --show-bad-mappings --rule 8 --num-rep 2`, ""},
		{"crushtool -i cm.pair --test --show-bad-mappings --rule 8 --num-rep 3 --min-x 0 --max-x 0", "bad mapping rule 8 x 0 num_rep 3 result ["},
		{edit + `sed -i '/^rule replicated_rule /,/^}/d' cm.txt && crushtool -c cm.txt -o cm.new && ceph osd setcrushmap -i cm.new`, "references crush_rule 0 but it is not present"},
		{edit + `sed -i 's/step emit/step bogus/' cm.txt && crushtool -c cm.txt -o cm.new`, "error: parse error at 'step'"},
		{edit + `sed -i 's/item osd.5 /item osd.9 /' cm.txt && crushtool -c cm.txt -o cm.new`, "item 'osd.9' in bucket 'pve3' is not defined"},
		{edit + `sed -i 's/type osd/type cellar/' cm.txt && crushtool -c cm.txt -o cm.new`, "type 'cellar' not defined"},
		{edit + `sed -i '/item osd.5 /d' cm.txt && crushtool -c cm.txt -o cm.new && ceph osd setcrushmap -i cm.new`, "it cannot follow host pve3 with osd.4"},
	} {
		r := l.sh("pve1", "cd /tmp && "+step.line)
		if got := r.stdout + r.stderr; !strings.Contains(got, step.want) {
			t.Errorf("%s: exit %d, %q, expected %q", step.line, r.code, got, step.want)
		}
	}
}

// The real run changes exactly what the dry run announced.
func TestReweightByPG(t *testing.T) {
	l := newLab(t, labOptions{ceph: "19.2.3", network: "10.10.10."})
	recordedCluster(6)(l)
	l.ok("pve1", "pveceph", "pool", "create", "vm", "--pg_num", "128")
	l.clock.Advance(time.Minute)
	plan := l.ok("pve1", "ceph", "osd", "test-reweight-by-pg", "110")
	if !strings.Contains(plan, "\nosd.3 weight 1.0000 -> 0.9500\n") || strings.Count(plan, " weight ") != 1 {
		t.Errorf("osd.3 has half of the others' weight and as many PGs; the plan is\n%s", plan)
	}
	if got := l.ok("pve1", "ceph", "osd", "tree"); strings.Contains(got, "0.95") {
		t.Errorf("a dry run changed the weights:\n%s", got)
	}
	if r := l.run("pve1", "", "ceph", "osd", "reweight-by-pg", "110"); r.code != 0 || r.stdout != plan || r.stderr != "" {
		t.Errorf("the same without a dry run: %+v, planned was\n%s", r, plan)
	}
	if got := l.ok("pve1", "ceph", "osd", "tree"); !strings.Contains(got, "osd.3      up   0.95001") {
		t.Errorf("after it:\n%s", got)
	}
}

// Compiling any text terminates, and decompiling and compiling the result yields the same map.
func FuzzCompileCrush(f *testing.F) {
	f.Add("device 0 osd.0 class hdd\ntype 0 osd\ntype 11 root\nroot default {\n\tid -1\n\titem osd.0 weight 0.50000\n}\nrule r {\n\tid 1\n\tstep take default\n\tstep choose firstn 0 type osd\n\tstep emit\n}\n")
	f.Add("# only a remark\n")
	f.Add("root default {\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, problem := compileCrush("cm.txt", text)
		if problem != "" {
			return
		}
		again, problem := compileCrush("cm.txt", m.text(18))
		if problem != "" {
			t.Fatalf("its own text is refused: %s\n%s", problem, m.text(18))
		}
		weights := regexp.MustCompile(`weight \S+`) // the last digit is truncated
		if weights.ReplaceAllString(m.text(18), "") != weights.ReplaceAllString(again.text(18), "") {
			t.Errorf("its own text makes another map:\n%s\n%s", m.text(18), again.text(18))
		}
	})
}

// A rule that chooses hosts and then OSDs in each can place five copies on three hosts.
func TestCrushRuleOfTwoCopiesAHost(t *testing.T) {
	l := newLab(t, labOptions{ceph: "19.2.3", network: "10.10.10."})
	recordedCluster(6)(l)
	const rule = `rule pairs {\n\tid 7\n\ttype replicated\n\tstep take default\n\tstep choose firstn 0 type host\n\tstep chooseleaf firstn 2 type osd\n\tstep emit\n}`
	if r := l.sh("pve1", "cd /tmp && ceph osd getcrushmap -o cm && crushtool -d cm -o cm.txt && printf '"+rule+`\n' >>cm.txt && crushtool -c cm.txt -o cm.new`); r.code != 0 {
		t.Fatalf("the map is not edited: %+v", r)
	}
	if got := l.ok("pve1", "crushtool", "-i", "/tmp/cm.new", "--test", "--show-bad-mappings", "--rule", "7", "--num-rep", "5"); got != "" {
		t.Errorf("five copies do not find their places: %s", got)
	}
	if got := l.ok("pve1", "crushtool", "-i", "/tmp/cm.new", "--test", "--show-bad-mappings", "--rule", "7", "--num-rep", "7", "--max-x", "0"); !strings.Contains(got, "bad mapping rule 7 x 0 num_rep 7 result [") {
		t.Errorf("seven copies on six OSDs: %q", got)
	}
	l.ok("pve1", "ceph", "osd", "setcrushmap", "-i", "/tmp/cm.new")
	if got := l.ok("pve1", "ceph", "osd", "crush", "rule", "dump", "pairs", "-f", "json"); !strings.Contains(got, `{"op":"choose_firstn","num":0,"type":"host"},{"op":"chooseleaf_firstn","num":2,"type":"osd"},{"op":"emit"}`) {
		t.Errorf("the rule is %s", got)
	}
	if got := l.sh("pve1", "ceph osd getcrushmap -o /tmp/again && crushtool -d /tmp/again").stdout; !strings.Contains(got, "step chooseleaf firstn 2 type osd") {
		t.Errorf("the map does not keep the rule:\n%s", got)
	}
	l.ok("pve1", "pveceph", "pool", "create", "five", "--size", "5", "--min_size", "3", "--pg_num", "32", "--crush_rule", "pairs")
	l.clock.Advance(time.Minute)
	if got := l.ok("pve1", "ceph", "-s"); strings.Contains(got, "undersized") {
		t.Errorf("five copies on three hosts of two OSDs:\n%s", got)
	}
}
