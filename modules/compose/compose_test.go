package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const web = `services:
  caddy:
    image: caddy:2.10.0
    volumes: ["./caddy:/etc/caddy:ro", "data:/data"]
`

func with(change func(*Project)) *Project {
	p := modulestest.Decoded(&Project{Directory: "/srv/web", Files: map[string]string{"compose.yml": web, "caddy/Caddyfile": ":80\n"}})
	if change != nil {
		change(p)
	}
	return p
}

func TestValidate(t *testing.T) {
	describe := func(text string) func(*Project) {
		return func(p *Project) { p.Files["compose.yml"] = text }
	}
	image := func(ref string) func(*Project) { return describe("services:\n  a:\n    image: " + ref + "\n") }
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for name, test := range map[string]struct {
		change func(*Project)
		want   string
	}{
		"right":               {nil, ""},
		"a digest":            {image("caddy" + digest), ""},
		"a tag and a digest":  {image("caddy:latest" + digest), ""},
		"a registry's port":   {image("registry.example.org:5000/caddy"), `line 3: image "registry.example.org:5000/caddy" of service a has no version`},
		"no tag":              {image("caddy"), `line 3: image "caddy" of service a has no version`},
		"latest":              {image("ghcr.io/a/b:latest"), `refers to whatever is latest`},
		"a variable":          {image("caddy:${TAG}"), "depends on a Compose variable"},
		"an alias":            {describe("x-image: &image caddy:2.10.0\nservices:\n  a:\n    image: *image\n"), ""},
		"an option":           {image("--all"), "is not the name of an image"},
		"no image":            {describe("services:\n  a:\n    command: x\n"), "line 3: service a has no image"},
		"built here":          {describe("services:\n  a:\n    build: .\n    image: a:1\n"), "line 3: service a is built on the host"},
		"extends":             {describe("services:\n  a:\n    extends: {file: b.yml}\n    image: a:1\n"), "line 3: extends is not supported"},
		"include":             {describe("include: [b.yml]\nservices: {}\n"), "line 1: include is not supported"},
		"no services":         {describe("services: {}\n"), "there are no services"},
		"no YAML":             {describe("services: [\n"), "compose.yml: line"},
		"another type":        {describe("services:\n  a:\n    image: a:1\n    volumes: data\n"), "service a: line 4: Compose expects a value of another type"},
		"a key twice":         {describe("services:\n  a:\n    image: a:1\n    image: a:2\n"), `line 4: mapping key "image" already defined at line 3`},
		"depending on text":   {describe("services:\n  a:\n    image: a:1\n    depends_on:\n      b: once\n"), "depends_on of service a: line 5: Compose expects a value of another type"},
		"an optional service": {describe("services:\n  a:\n    image: a\n    profiles: [x]\n"), "has no version"},
		"no compose.yml":      {func(p *Project) { delete(p.Files, "compose.yml") }, "files: has no compose.yml"},
		"two":                 {func(p *Project) { p.Files["compose.yaml"] = web }, "has both compose.yaml and compose.yml"},
		"an override":         {func(p *Project) { p.Files["compose.override.yml"] = web }, "would not be read"},
		"no override":         {func(p *Project) { p.Files["caddy/site.override.conf"] = "" }, ""},
		"outside":             {func(p *Project) { p.Files["../x"] = "" }, `"../x" is not a path below the directory`},
		"in a file":           {func(p *Project) { p.Files["caddy"] = "" }, "caddy cannot be a file and the directory of caddy/Caddyfile"},
		"absolute":            {func(p *Project) { p.Files["/etc/passwd"] = "" }, "is not a path below the directory"},
		"the root":            {func(p *Project) { p.Directory = "/" }, "cannot be the directory"},
		"a top directory":     {func(p *Project) { p.Directory = "/etc" }, "cannot be the directory"},
		"relative":            {func(p *Project) { p.Directory = "srv/web" }, "cannot be the directory"},
		"upper case":          {func(p *Project) { p.Directory = "/srv/Web" }, "give name as well"},
		"named":               {func(p *Project) { p.Directory, p.Name = "/srv/Web", "web" }, ""},
		"a bad name":          {func(p *Project) { p.Name = "a b" }, "name: "},
		"absent":              {func(p *Project) { p.State, p.Files = absent, nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := with(test.change).Validate()
			switch {
			case test.want == "" && err != nil, test.want != "" && err == nil:
				t.Errorf("found %v, expected %q", err, test.want)
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("found %v, expected %q", err, test.want)
			}
		})
	}
}

// host returns a host with the project as the task describes it, modified by the given expectations.
func host(p *Project, is project, more ...observe.Expectation) modules.Host {
	dir := func(name string, mode uint32) observe.Expectation {
		f := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
		if mode != 0 {
			f.Mode = 0o700
		}
		return observe.Files.Expect(name, f)
	}
	all := []observe.Expectation{dir("/", 0), dir("/srv", 0), dir("/srv/web", 1), dir("/srv/web/caddy", 0), observe.Packages.Expect(proxmox, observe.Package{}), projects.Expect(p.key(), is), images.Expect("caddy:2.10.0", true), images.Expect("api:1", false), observe.Files.Expect("/srv/web/.compose-due", observe.File{})}
	for name, content := range with(nil).Files {
		all = append(all, text(p.at(name), content))
	}
	return observe.NewRecorded("web1", append(all, more...)...)
}

// text expects a file with the given content.
func text(name, content string) observe.Expectation {
	return observe.Files.Expect(name, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content), Stamp: "7:1000.5"})
}

func running(change func(*containers)) project {
	c := containers{Current: true, Started: time.Unix(1000, 600_000_000)}
	if change != nil {
		change(&c)
	}
	return project{Services: map[string]containers{"caddy": c}}
}

func TestPlan(t *testing.T) {
	two := web + "  api:\n    image: api:1\n"
	for name, test := range map[string]struct {
		change func(*Project)
		is     project
		more   []observe.Expectation
		want   []string
	}{
		"as it is to be":                       {is: running(nil)},
		"no containers":                        {is: project{}, want: []string{"start caddy (project web)"}},
		"a stopped one":                        {is: running(func(c *containers) { c.Stopped, c.Problem = true, "is exited (exit code 0)" }), want: []string{"start caddy (project web)"}},
		"one that is described in another way": {is: running(func(c *containers) { c.Current = false }), want: []string{"replace caddy (project web)"}},
		"one that fails":                       {is: running(func(c *containers) { c.Problem = "is unhealthy" }), want: []string{"wait until the containers of web run"}},
		"a file that is newer":                 {is: running(func(c *containers) { c.Started = time.Unix(1000, 400_000_000) }), want: []string{"restart caddy of web, whose files have changed"}},
		"a file that changes": {
			change: func(p *Project) { p.Files["caddy/Caddyfile"] = ":81\n" }, is: running(nil),
			want: []string{"write /srv/web/caddy/Caddyfile", "restart caddy of web, whose files have changed"},
		},
		"a file that nobody mounts": {
			change: func(p *Project) { p.Files[".env"] = "A=1\n" }, is: running(nil), more: []observe.Expectation{observe.Files.Expect("/srv/web/.env", observe.File{})},
			want: []string{"note that the project web has changes to apply", "write /srv/web/.env", "bring the containers of web up to date", "remove that note"},
		},
		"what Compose reads, where a service mounts all": {
			change: func(p *Project) {
				p.Files["compose.yml"] = strings.Replace(web, "./caddy:/etc/caddy", ".:/etc/caddy", 1) + "networks:\n  default:\n    internal: true\n"
			}, is: running(nil), more: []observe.Expectation{text("/srv/web/compose.yml", strings.Replace(web, "./caddy:/etc/caddy", ".:/etc/caddy", 1))},
			want: []string{"note that the project web has changes to apply", "write /srv/web/compose.yml", "bring the containers of web up to date", "remove that note", "restart caddy of web, whose files have changed"},
		},
		"a file of a stopped service of a profile": {
			change: func(p *Project) {
				p.Files["compose.yml"] = web + "    profiles: [x]\n"
				p.Files["caddy/Caddyfile"] = ":81\n"
			}, is: running(func(c *containers) { c.Stopped = true }), more: []observe.Expectation{text("/srv/web/compose.yml", web+"    profiles: [x]\n")},
			want: []string{"write /srv/web/caddy/Caddyfile"},
		},
		"a file with variables": {
			change: func(p *Project) {
				p.Files["compose.yml"] = web + "    env_file: [{path: ./caddy/Caddyfile}]\n"
				p.Files["caddy/Caddyfile"] = "A=1\n"
			}, is: running(nil), more: []observe.Expectation{text("/srv/web/compose.yml", web+"    env_file: [{path: ./caddy/Caddyfile}]\n")},
			want: []string{"note that the project web has changes to apply", "write /srv/web/caddy/Caddyfile", "bring the containers of web up to date", "remove that note"},
		},
		"what an earlier run could not finish": {
			is: running(nil), more: []observe.Expectation{text("/srv/web/.compose-due", "")},
			want: []string{"bring the containers of web up to date", "remove that note"},
		},
		"absent, and unfinished": {
			change: func(p *Project) { p.State, p.Files = absent, map[string]string{} }, is: project{}, more: []observe.Expectation{text("/srv/web/.compose-due", "")},
			want: []string{"remove /srv/web/.compose-due"},
		},
		"a service scaled to none": {
			change: func(p *Project) { p.Files["compose.yml"] = two + "    scale: 0\n" }, is: running(nil),
			more: []observe.Expectation{text("/srv/web/compose.yml", two+"    scale: 0\n")},
		},
		"no replicas": {
			change: func(p *Project) { p.Files["compose.yml"] = two + "    deploy: {replicas: 0}\n" }, is: running(nil),
			more: []observe.Expectation{text("/srv/web/compose.yml", two+"    deploy: {replicas: 0}\n")},
		},
		"one that is scaled to none now": {
			change: func(p *Project) {
				p.Files["compose.yml"] = strings.Replace(two, "    volumes", "    scale: 0\n    volumes", 1)
			},
			is: project{Services: map[string]containers{"caddy": {Current: true}, "api": {Current: true}}}, more: []observe.Expectation{text("/srv/web/compose.yml", two), images.Expect("api:1", true)},
			want: []string{"write /srv/web/compose.yml", "remove caddy (project web)"},
		},
		"another service": {
			change: func(p *Project) { p.Files["compose.yml"] = two }, is: running(nil),
			want: []string{"write /srv/web/compose.yml", "pull api:1", "start api (project web)"},
		},
		"both change": {
			change: func(p *Project) {
				p.Files["compose.yml"], p.Files["caddy/Caddyfile"] = two, ":81\n"
			}, is: running(nil),
			want: []string{"write /srv/web/caddy/Caddyfile", "write /srv/web/compose.yml", "pull api:1", "start api (project web)", "restart caddy of web, whose files have changed"},
		},
		"a service that is replaced anyway": {
			change: func(p *Project) {
				p.Files["compose.yml"], p.Files["caddy/Caddyfile"] = strings.Replace(web, "data:/data", "data:/var", 1), ":81\n"
			}, is: running(nil),
			want: []string{"write /srv/web/caddy/Caddyfile", "write /srv/web/compose.yml", "replace caddy (project web)"},
		},
		"one that is no longer wanted": {
			is: project{Services: map[string]containers{"caddy": running(nil).Services["caddy"], "old": {Stopped: true}}}, want: []string{"remove old (project web)"},
		},
		"one that has come to its end": {
			change: func(p *Project) {
				p.Files["compose.yml"] = "services:\n  init:\n    image: api:1\n  caddy:\n    image: caddy:2.10.0\n    depends_on: {init: {condition: service_completed_successfully}}\n"
			}, is: project{Services: map[string]containers{"caddy": {Current: true}, "init": ended}},
			want: []string{"write /srv/web/compose.yml", "pull api:1", "replace caddy, init (project web)"},
		},
		"one that may be missing, and is": {
			change: func(p *Project) {
				p.Files["compose.yml"] = web + "    depends_on: {init: {condition: service_completed_successfully, required: false}}\n"
			}, is: running(nil),
			want: []string{"write /srv/web/compose.yml", "replace caddy (project web)"},
		},
		"absent": {change: func(p *Project) { p.State = absent }, is: running(nil), want: []string{"remove caddy (project web)", "remove /srv/web/caddy/Caddyfile", "remove /srv/web/compose.yml"}},
		"a directory for all": {
			is: running(nil), more: []observe.Expectation{observe.Files.Expect("/srv/web", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"})},
			want: []string{"let only root into /srv/web"},
		},
		"on a host with Proxmox VE, as told": {
			change: func(p *Project) { p.OnProxmox = true }, is: running(nil), more: []observe.Expectation{observe.Packages.Expect(proxmox, observe.Package{Status: observe.InstalledStatus})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := with(test.change)
			var found []string
			for _, step := range modulestest.Converges(t, p, host(p, test.is, test.more...)).Steps {
				found = append(found, step.Summary)
			}
			if diff := cmp.Diff(test.want, found); diff != "" {
				t.Errorf("-expected +found:\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		is   project
		more []observe.Expectation
		want string
	}{
		"Proxmox VE":       {running(nil), []observe.Expectation{observe.Packages.Expect(proxmox, observe.Package{Status: observe.InstalledStatus})}, "web1 is a host with Proxmox VE"},
		"no Compose":       {project{Missing: "docker compose"}, []observe.Expectation{observe.Programs.Expect("docker", true)}, "web1 has no docker compose: install"},
		"another project":  {project{Elsewhere: "/opt/web"}, nil, "already has a project web in /opt/web"},
		"refused":          {project{Refused: "services.caddy Additional property x is not allowed"}, nil, "docker compose refuses /srv/web/compose.yml"},
		"a user's":         {running(nil), []observe.Expectation{observe.Files.Expect("/srv", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "eve", Group: "eve"})}, "eve could put something else"},
		"a link":           {running(nil), []observe.Expectation{observe.Files.Expect("/srv/web/compose.yml", observe.File{Type: observe.Symlink, Target: "/etc/passwd", Owner: "root"})}, "is a symbolic link to /etc/passwd"},
		"a linked project": {running(nil), []observe.Expectation{observe.Files.Expect("/srv/web", observe.File{Type: observe.Symlink, Target: "/opt", Owner: "root"}), observe.Files.Expect("/opt", observe.File{Type: observe.Directory, Owner: "root", Mode: 0o755})}, "expected a directory"},
		"the system's directory": {running(nil), []observe.Expectation{
			observe.Files.Expect("/srv/web", observe.File{Type: observe.Directory, Owner: "root", Group: "root", Mode: 0o755}), observe.Files.Expect("/srv/web/compose.yml", observe.File{}),
		}, "/srv/web on web1 already exists (0755 root:root), without compose.yml: choose a separate directory for the project"},
	} {
		t.Run(name, func(t *testing.T) {
			p := with(nil)
			if _, err := p.Plan(t.Context(), host(p, test.is, test.more...)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("found %v, expected %q", err, test.want)
			}
		})
	}
}

// recorded returns what the query printed on a host with Docker 26.1.5 and Compose 2.26.1.
func recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseProject(t *testing.T) {
	for name, want := range map[string]project{
		"running": {Services: map[string]containers{"frps": {Current: true}, "caddy": {Current: true}}},
		"changed": {Services: map[string]containers{"frps": {Current: true}, "caddy": {}}},
		"failing": {Services: map[string]containers{
			"bad":  {Current: true, Problem: "keeps restarting: it has ended 5 times, the last time with exit code 1"},
			"ill":  {Current: true, Problem: "is unhealthy: cat: can't open '/none': No such file or directory"},
			"once": {Current: true, Problem: "is exited (exit code 0)", Stopped: true, End: true},
		}},
		"refused": {Refused: "validating /srv/edge/compose.yml: services.caddy Additional property netwrk_mode is not allowed", Services: map[string]containers{"frps": {}, "caddy": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := parseProject(location{Name: "edge", Directory: "/srv/edge", File: "/srv/edge/compose.yml"}, recorded(t, name))
			if err != nil {
				t.Fatal(err)
			}
			for service, c := range found.Services {
				if c.Started.IsZero() {
					t.Errorf("%s: no start", service)
				}
				c.Started = time.Time{}
				found.Services[service] = c
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("-expected +found:\n%s", diff)
			}
		})
	}
	if found, err := parseProject(location{Name: "edge", Directory: "/srv/other"}, recorded(t, "running")); err != nil || found.Elsewhere != "/srv/edge" {
		t.Errorf("found %+v, %v; expected another project", found, err)
	}
	if _, err := parseProject(location{}, "what\n"); err == nil {
		t.Error("an unexpected word is accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(web)
	f.Add("services:\n  a:\n    image: a:1\n    env_file: .env\n    label_file: [a, {path: b}]\n")
	f.Add("services:\n  a: &a\n    image: a:1\n  b:\n    <<: *a\n    configs: [{source: c}]\nconfigs:\n  c: {file: ./c}\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parse(text)
		if fault := (*fileError)(nil); err != nil && !errors.As(err, &fault) {
			t.Errorf("%v is no fileError", err)
		}
		for name, s := range found.services {
			if pinned(s.image) != "" {
				t.Errorf("%s: %q is accepted", name, s.image)
			}
			s.sees("/srv/web", "/srv/web/c")
		}
	})
}

func FuzzParseProject(f *testing.F) {
	for _, name := range []string{"running", "failing", "refused"} {
		text, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = parseProject(location{Name: "edge", Directory: "/srv/edge"}, text) // it must not panic
	})
}

// An image of which docker could not tell is not missing.
func TestImagesAreNotMissingUnasked(t *testing.T) {
	for says, want := range map[string]string{
		"":                                    "true",
		"Error: No such image: nginx":         "false",
		"Cannot connect to the Docker daemon": "docker image inspect: exit code 1: Cannot connect to the Docker daemon",
	} {
		dir := t.TempDir()
		docker := fmt.Sprintf("#!/bin/sh\n[ -n '%[1]s' ] || exit 0\necho '%[1]s' >&2\nexit 1\n", says)
		if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(docker), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		names := []string{"nginx"}
		images.Parse(names, modulestest.Answers(t, images.Ask(names)), func(_ string, has bool, err error) {
			got := fmt.Sprint(has)
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("docker says %q: %s, expected %s", says, got, want)
			}
		})
	}
}

// What a health check says is not cut: redaction knows a secret as a whole only.
func TestProblemsAreNotCut(t *testing.T) {
	var c inspected
	said := strings.Repeat("x", 190) + " token=hunter2-hunter2-hunter2"
	state := fmt.Sprintf(`{"State": {"Status": "running", "Health": {"Status": "unhealthy", "Log": [{"Output": "before"}, {"Output": %q}]}}}`, said+"\nmore\n")
	if err := json.Unmarshal([]byte(state), &c); err != nil {
		t.Fatal(err)
	}
	if problem, stopped := c.problem(0); problem != "is unhealthy: "+said || stopped {
		t.Errorf("%q, stopped %v", problem, stopped)
	}
}
