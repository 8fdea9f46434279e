package ansible

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// TestLoad compares inventories with the output of ansible-inventory --list: a recording of ansible-core 2.14 and, where it is
// installed, that of Ansible itself.
func TestLoad(t *testing.T) {
	for _, file := range []string{"testdata/ini/hosts.ini", "testdata/yaml/hosts.yml", "testdata/program/hosts", "testdata/old/hosts"} {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			inv, err := Load([]string{file}, os.ReadFile, runFile, nil)
			if err != nil {
				t.Fatal(err)
			}
			recorded, err := os.ReadFile(filepath.Join(filepath.Dir(file), "list.json"))
			if err != nil {
				t.Fatal(err)
			}
			compareLists(t, file, recorded)
			var groups map[string]struct{ Hosts, Children []string }
			var meta struct {
				Meta struct {
					Hostvars map[string]map[string]any
				} `json:"_meta"`
			}
			for _, into := range []any{&groups, &meta} {
				if err := json.Unmarshal(recorded, into); err != nil {
					t.Fatal(err)
				}
			}
			hosts := map[string]bool{}
			for name, group := range groups {
				for _, host := range group.Hosts {
					hosts[host] = true
				}
				if name == "_meta" || implicit(name) {
					continue
				}
				at := slices.IndexFunc(inv.Groups, func(g *Group) bool { return g.Name == name })
				if at < 0 {
					t.Errorf("group %s is missing", name)
					continue
				}
				if diff := cmp.Diff(group.Hosts, inv.Groups[at].Hosts); diff != "" {
					t.Errorf("hosts of %s (-ansible +hlplay):\n%s", name, diff)
				}
				if diff := cmp.Diff(sorted(group.Children), sorted(inv.Groups[at].Children)); diff != "" {
					t.Errorf("children of %s (-ansible +hlplay):\n%s", name, diff)
				}
			}
			if len(hosts) != len(inv.Hosts) {
				t.Errorf("%d hosts, ansible has %d", len(inv.Hosts), len(hosts))
			}
			for _, h := range inv.Hosts {
				want := meta.Meta.Hostvars[h.Name]
				if want == nil {
					want = map[string]any{}
				}
				if diff := cmp.Diff(want, plain(t, h.Vars)); diff != "" {
					t.Errorf("variables of %s (-ansible +hlplay):\n%s", h.Name, diff)
				}
			}
		})
	}
}

// compareLists compares a recording with what Ansible says now, if it is installed.
func compareLists(t *testing.T, file string, recorded []byte) {
	t.Helper()
	program, err := exec.LookPath("ansible-inventory")
	if err != nil {
		t.Log("ansible-inventory is not installed: only its recording is compared")
		return
	}
	version, err := exec.CommandContext(t.Context(), program, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(version, []byte("[core 2.14.")) {
		t.Logf("Ansible is not the one of the recording: %s", bytes.SplitN(version, []byte("\n"), 2)[0])
		return
	}
	cmd := exec.CommandContext(t.Context(), program, "-i", file, "--list")
	cmd.Env = append(os.Environ(), "ANSIBLE_LOCAL_TEMP="+t.TempDir(), "LC_ALL=C.UTF-8")
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	var was, is any
	for _, list := range []struct {
		text []byte
		into *any
	}{{recorded, &was}, {said, &is}} {
		if err := json.Unmarshal(list.text, list.into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Errorf("Ansible says something else than the recording (-recorded +now):\n%s", diff)
	}
}

// runFile treats a file without an extension as a program; noProgram treats no file as one.
func runFile(file string, args ...string) ([]byte, bool, error) {
	if filepath.Ext(file) != "" {
		return nil, false, nil
	}
	answer, err := exec.Command(file, args...).Output()
	return answer, true, err
}

func noProgram(string, ...string) ([]byte, bool, error) { return nil, false, nil }

// answers returns a Runner that gives the same answer to every call.
func answers(text string) Runner {
	return func(string, ...string) ([]byte, bool, error) { return []byte(text), true, nil }
}

func TestAnswerFaults(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       `hosts --list:1: expected JSON: it ends too early`,
		`[]`:                                     `hosts --list:1: expected a JSON object`,
		"{\n\"a\": [}":                           `hosts --list:2: expected JSON: invalid character '}' looking for beginning of value`,
		`{} {}`:                                  `hosts --list:1: expected one JSON object, and nothing after it`,
		`{"web": 1}`:                             `hosts --list:1: expected a mapping for group web`,
		"{\n\"web\": {\n\"hosts\": {}}}":         `hosts --list:3: expected a list for the hosts of web`,
		`{"web": [1]}`:                           `hosts --list:1: expected names for the hosts of web`,
		`{"web": {"children": "db"}}`:            `hosts --list:1: expected a list for the children of web`,
		`{"web": {"vars": []}}`:                  `hosts --list:1: expected a mapping for variables`,
		`{"ungrouped": {"vars": {"a": 1}}}`:      `hosts --list:1: variables of the group ungrouped are not supported`,
		`{"a": ["b"], "_meta": {"hostvars": 1}}`: `hosts --list:1: expected a mapping for _meta.hostvars`,
		`{"a": {"vars": {"b": 1e999}}}`:          `hosts --list:1: 1e999 is too large for a number`,
	} {
		_, err := Load([]string{"hosts"}, os.ReadFile, answers(text), nil)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWrappedValues(t *testing.T) {
	open := func(sealed []byte) (cty.Value, error) { return cty.StringVal("opened " + string(sealed)), nil }
	inv, err := Load([]string{"hosts"}, os.ReadFile, answers(`{"_meta": {"hostvars": {"a": {"v": {"__ansible_vault": "$ANSIBLE"}, "u": {"__ansible_unsafe": "{{ x }}"}}}}, "all": {"hosts": ["a"]}}`), open)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"v": "opened $ANSIBLE", "u": "{{ x }}"}, plain(t, inv.Hosts[0].Vars)); diff != "" {
		t.Errorf("the variables differ (-want +got):\n%s", diff)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"_meta": {"hostvars": {"a": {"b": [1, 1.5, null, "\ud83d"]}}}, "g": ["a"], "h": {"children": ["g", "h"]}, "i": {"x": {}}}`)
	f.Add(`{"web": {"hosts": ["web1"], "vars": {"__ansible_vault": "x"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Load([]string{"hosts"}, func(string) ([]byte, error) { return nil, os.ErrNotExist }, answers(text), nil)
	})
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// plain returns variables as encoding/json would decode them.
func plain(t *testing.T, vars map[string]cty.Value) map[string]any {
	t.Helper()
	value := cty.ObjectVal(vars)
	text, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"[web\n":               `hosts.ini:1: "[web" is not a section; write [group], [group:vars] or [group:children]`,
		"a\n[web:var]\nb=1\n":  `hosts.ini:2: there is no kind of section "var"; there are [group], [group:vars] and [group:children]`,
		"[web:vars]\nport\n":   `hosts.ini:2: expected name = value`,
		"web[3:1]\n":           `hosts.ini:1: "web[3:1]": the range [3:1] goes backwards`,
		"web[01:100]\n":        `hosts.ini:1: "web[01:100]": the range [01:100] must have as many digits at its end as at its beginning`,
		"web[1:9999999]\n":     `hosts.ini:1: "web[1:9999999]": the range [1:9999999] is longer than 100000`,
		"web[1-3]\n":           `hosts.ini:1: "web[1-3]" has an invalid range; write it as in web[01:50] or db[a:f]`,
		"web name='open\n":     `hosts.ini:1: a quote ' is not closed`,
		"web ansible_host = 1": `hosts.ini:1: "ansible_host" is no name=value`,
	} {
		_, err := Load([]string{"hosts.ini"}, func(string) ([]byte, error) { return []byte(text), nil }, noProgram, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("[a]\nb[1:3] c=d\n[a:vars]\ne=[1, {'f': None}]\n", true)
	f.Add("all: {hosts: {a: {b: !x c}}, children: {d: }}", false)
	f.Fuzz(func(t *testing.T, text string, ini bool) {
		name := "fuzz.yml"
		if ini {
			name = "fuzz.ini"
		}
		_, _ = Load([]string{name}, func(string) ([]byte, error) { return []byte(text), nil }, noProgram, nil)
	})
}
