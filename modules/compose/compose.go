// Package compose implements the module for projects of Docker Compose.
package compose

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "compose",
	Aliases: []string{"docker_compose", "docker_compose_v2", "docker_container"},
	Summary: "A Docker Compose project: its files, containers and their health",
	Doc: `Writes the files of a project into a directory that only root may enter, pulls images that are missing, and has ` + "`docker compose up`" + `
create, replace and start the containers. The task is done when every container has been running for five seconds without a restart or, if it
has a health check, is healthy. Each run checks that again. Containers of services that are no longer in the file are removed; volumes
are kept.

A service is restarted if a file below the directory that it mounts (` + "`volumes`, `configs`, `secrets`" + `) has changed since it was started, because a
container keeps the file that it was started with. A change that only Compose sees, such as one of networks, is noted in ` + "`.compose-due`" + ` until
Compose has applied it, so that the next run continues what an interrupted one left. A service that is scaled to 0 has no containers.

Every image needs a version: a tag other than latest, or a digest. Write it into the file, not into a variable of Compose. Images that are
built on the host (` + "`build`" + `), ` + "`include` and `extends`" + ` are not supported.

Mark files with secrets as sensitive. Then they are not shown, and appear neither in a command line nor, unless the file itself
puts them there, in the environment of a container.

The host needs Compose 2: on Debian 13 the packages docker.io, docker-cli and docker-compose. Debian 12 has only Compose 1; install docker-ce and
docker-compose-plugin from Docker's own repository there. A host with Proxmox VE is refused unless ` + "`on_proxmox`" + ` is set, because
Docker's packet filter rules drop forwarded packets, including those of guests: run containers in a guest.

` + "`state = \"absent\"`" + ` removes the containers and networks of the project, and the listed files. Volumes, images, and everything else in the
directory are kept.`,
	Example: `task "a web server" {
  compose {
    directory = "/srv/web"
    files = {
      "Caddyfile"   = ":80\nrespond \"hello\"\n"
      "compose.yml" = <<-EOT
        services:
          caddy:
            image: caddy:2.10.0
            network_mode: host
            restart: unless-stopped
            volumes:
              - ./Caddyfile:/etc/caddy/Caddyfile:ro
      EOT
    }
  }
}

task "no longer this one" {
  compose {
    directory = "/srv/old"
    state     = "absent"
  }
}`,
	Packages: []modules.Package{
		{Name: "docker.io", Depends: []string{"containerd"}, Recommends: []string{"docker-cli"}, Running: []string{"docker.service"}},
		{Name: "containerd", Running: []string{"containerd.service"}},
		{Name: "docker-cli", Programs: []string{"docker"}},
		{Name: "docker-compose", Recommends: []string{"docker-cli"}, Installed: arrives},
	},
	Result: result{},
	New:    func() modules.Module { return &Project{} },
}

// result is what the module registers.
type result struct {
	Name string `cty:"name" doc:"Name of the project."`
}

// Project holds the module's arguments.
type Project struct {
	Directory string            `hcl:"directory" doc:"Directory of the project: /srv/web. It is created, accessible to root only."`
	Name      string            `hcl:"name,optional" doc:"Name of the project: lower-case letters, digits, hyphens and underscores. The default is the name of the directory."`
	Files     map[string]string `hcl:"files,optional" doc:"Files of the project by their paths below the directory, with their content; one of them must be compose.yml, compose.yaml, docker-compose.yml or docker-compose.yaml. Files that are no longer listed are kept."`
	State     string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the project exists."`
	Timeout   time.Duration     `hcl:"timeout,optional" default:"2m" doc:"How long to wait until all containers run and are healthy."`
	OnProxmox bool              `hcl:"on_proxmox,optional" default:"false" doc:"Whether a host with Proxmox VE is accepted."`
}

const absent = "absent"

var (
	nameForm = pattern.New(`^[a-z0-9][a-z0-9_-]*$`)
	// overrideForm is a file that Compose adds to the main one if it looks for both itself.
	overrideForm = pattern.New(`^(docker-)?compose\.override\.ya?ml$`)
	// mainFiles are the names under which Compose looks for a project's file.
	mainFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
)

// Validate implements modules.Validator.
func (p *Project) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	switch {
	case !path.IsAbs(p.Directory) || path.Clean(p.Directory) != p.Directory || strings.Count(p.Directory, "/") < 2 || strings.ContainsAny(p.Directory, "\n\r\x00"):
		return fault("directory", fmt.Sprintf("%q cannot be the directory of a project", p.Directory), "an absolute path below another directory, as in /srv/web")
	case p.Name == "" && !nameForm.MatchString(p.name()):
		return fault("directory", fmt.Sprintf("%q cannot be the name of a project", p.name()), "give name as well: lower-case letters, digits, hyphens and underscores")
	case !nameForm.MatchString(p.name()):
		return fault("name", fmt.Sprintf("%q cannot be the name of a project", p.Name), "lower-case letters, digits, hyphens and underscores")
	case p.Timeout <= 0:
		return fault("timeout", "is not positive", `write it as in "2m"`)
	}
	var found []string
	for _, name := range sorted(p.Files) {
		switch base := path.Base(name); {
		case name == "" || path.IsAbs(name) || path.Clean(name) != name || name == "." || base == ".." || strings.HasPrefix(name, "../") || strings.ContainsAny(name, "\n\r\x00"):
			return fault("files", fmt.Sprintf("%q is not a path below the directory", name), `as in "compose.yml" or "caddy/Caddyfile"`)
		case overrideForm.MatchString(name):
			return fault("files", name+" would not be read", "one file describes the project")
		case len(p.Files[name]) > observe.FileLimit:
			return fault("files", fmt.Sprintf("%s has more than %d bytes", name, observe.FileLimit), "short files of settings")
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, both := p.Files[dir]; both {
				return fault("files", dir+" cannot be a file and the directory of "+name, "another name for one of them")
			}
		}
		for _, main := range mainFiles {
			if name == main {
				found = append(found, name)
			}
		}
	}
	switch {
	case p.State == absent:
		return nil
	case len(found) == 0:
		return fault("files", "has no compose.yml", "the file that describes the project, and the files that it needs")
	case len(found) > 1:
		return fault("files", fmt.Sprintf("has both %s and %s", found[0], found[1]), "one file describes the project")
	}
	if _, err := parse(p.Files[found[0]]); err != nil {
		return fault("files", found[0]+": "+err.Error(), wantOf(err))
	}
	return nil
}

func (p *Project) name() string {
	if p.Name != "" {
		return p.Name
	}
	return path.Base(p.Directory)
}

// main returns the name of the file that describes the project.
func (p *Project) main() string {
	for _, name := range mainFiles {
		if _, ok := p.Files[name]; ok {
			return name
		}
	}
	return ""
}

// at returns the path of a file of the project on the host.
func (p *Project) at(name string) string { return path.Join(p.Directory, name) }

// key returns the name under which the project is observed.
func (p *Project) key() string {
	file := ""
	if p.State != absent {
		file = p.at(p.main())
	}
	return location{Name: p.name(), Directory: p.Directory, File: file}.key()
}

// compose returns a command of Docker Compose for the project.
func (p *Project) compose(args ...string) []string {
	argv := []string{"docker", "compose", "--project-name", p.name()}
	if p.State != absent {
		argv = append(argv, "--project-directory", p.Directory, "--file", p.at(p.main()))
	}
	return append(argv, args...)
}

// proxmox is the package that makes a host one of Proxmox VE.
const proxmox = "pve-manager"

// Want implements modules.Announcer.
func (p *Project) Want(h modules.Host) {
	if p.Directory == "" || p.State != absent && p.main() == "" {
		return
	}
	observe.WantReplaceable(h, p.Directory)
	observe.Packages.Want(h, proxmox)
	for name := range p.Files {
		observe.Files.Want(h, p.at(name), path.Dir(p.at(name)))
	}
	projects.Want(h, p.key())
}

// Plan implements modules.Module.
func (p *Project) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	p.Want(h)
	plan := p.present
	if p.State == absent {
		plan = p.absent
	}
	planned, err := plan(ctx, h)
	planned.Data = modules.Data(result{Name: p.name()})
	return planned, err
}
