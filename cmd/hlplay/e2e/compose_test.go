//go:build linux && e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/nspawn"
)

// TestCompose runs a project with Debian's Docker and Compose: Docker is installed, the image pulled, and the services
// started, recreated, restarted and removed. Check mode predicts each run, and a second run changes nothing.
func TestCompose(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1"}, Suite: "trixie", Packages: overlayPackages, SystemCalls: []string{"@keyring", "bpf"}})
	node := n.List[0]
	a := newArchive(t, n)
	a.publish(t, "", map[string][]string{"main": a.fetch(t, n, "", "docker.io", "docker-cli", "docker-compose")})
	registry := serveImages(t, n, image{name: "web", tag: "1.0", files: map[string]string{"web": buildWeb(t)}})
	r := newRunner(t, n, nspawn.Admin)
	r.vars = []string{"site=" + a.serve(t, n, 0), "keyring=" + a.keyring, "registry=" + registry.address}
	// changes runs the playbook in check mode and for real, and compares.
	changes := func(what string, want []string, vars ...string) outcome {
		t.Helper()
		var flags []string
		for _, v := range vars {
			flags = append(flags, "-e", v)
		}
		check := r.run(t, "compose.hcl", append(flags, "--check")...)
		check.wantCode(t, "check mode of "+what, exitOK)
		o := r.run(t, "compose.hcl", flags...)
		o.wantCode(t, what, exitOK)
		found := o.with("changed")
		slices.Sort(found)
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s changed other tasks (-expected +changed):\n%s", what, diff)
		}
		for _, task := range found {
			// What a new repository offers is not known beforehand.
			if s := check.status[task]; s != "changed" && !(s == "uncertain" && task == "node1: repository") {
				t.Errorf("check mode of %s did not predict %s: it is %q", what, task, s)
			}
		}
		r.run(t, "compose.hcl", flags...).wantUnchanged(t, "the run after "+what)
		r.run(t, "compose.hcl", append(flags, "--check")...).wantUnchanged(t, "check mode after "+what)
		return o
	}
	const project = "node1: project"
	container := func(service string) string {
		t.Helper()
		return shell(t, node, "docker ps --no-trunc --quiet --filter label=com.docker.compose.project=web --filter label=com.docker.compose.service="+service)
	}
	// get waits until the server answers: Docker accepts connections to a published port before the program behind it listens, and
	// a container without a health check counts as running after some seconds, whatever its program has done.
	get := func(port, want string) {
		t.Helper()
		wantOn(t, node, `for n in $(seq 240); do
	said=$(bash -c 'exec 3<>/dev/tcp/127.0.0.1/`+port+` && printf "GET / HTTP/1.0\r\n\r\n" >&3 && tail -n 1 <&3' 2>/dev/null)
	[ -z "$said" ] || break
	sleep 0.5
done
echo "$said"`, want)
	}

	changes("the first run", []string{
		"node1: Docker", "node1: directory of Docker's settings", project, "node1: registry without TLS", "node1: repository",
	})
	wantOn(t, node, "docker inspect --format '{{.State.Health.Status}}' web-web-1", "healthy")
	wantOn(t, node, "stat -c '%a %U' /srv/web", "700 root")
	get("8080", "one")
	get("8081", "one")
	if pulls := registry.pulls(); pulls != 1 {
		t.Errorf("the image was pulled %d times, expected once", pulls)
	}

	// Another file in the mounted directory restarts the containers, and does not replace them.
	web, inner := container("web"), container("inner")
	changes("another page", []string{project}, "page=two")
	get("8080", "two")
	get("8081", "two")
	if diff := cmp.Diff([]string{web, inner}, []string{container("web"), container("inner")}); diff != "" {
		t.Errorf("a restart has replaced the containers (-before +after):\n%s", diff)
	}

	// A changed description replaces the service, and no other.
	changes("another port", []string{project}, "page=two", "port=8090", "health=8090")
	get("8090", "two")
	if container("web") == web || container("inner") != inner {
		t.Errorf("web was %s and is %s, and inner was %s and is %s: expected another container for web alone", web, container("web"), inner, container("inner"))
	}

	// A container that somebody stops is started again.
	shell(t, node, "docker stop web-inner-1")
	changes("a stopped container", []string{project}, "page=two", "port=8090", "health=8090")

	// A service that is no longer in the file is removed.
	changes("a service less", []string{project}, "page=two", "port=8090", "health=8090", "second=false")
	wantOn(t, node, "docker ps --all --format '{{.Names}}'", "web-web-1")

	// The task fails if the service does not become healthy, and says what the health check says.
	o := r.run(t, "compose.hcl", "-e", "second=false", "-e", "health=1", "-e", "timeout=30s")
	o.wantCode(t, "a health check that fails", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "web is unhealthy") || !strings.Contains(failures, "127.0.0.1:1: connect: connection refused") {
		t.Errorf("the error does not say what the health check said:\n%s", failures)
	}
	changes("a health check that succeeds", []string{project}, "second=false")

	changes("the removal", []string{project}, "second=false", "state=absent")
	wantOn(t, node, "docker ps --all --quiet; docker network ls --quiet --filter label=com.docker.compose.project=web; ls /srv/web", "page")
}

// buildWeb builds testdata/e2e/web and returns the program.
func buildWeb(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web")
	t.Setenv("CGO_ENABLED", "0")
	command(t, filepath.Join(playbooks, "web"), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
