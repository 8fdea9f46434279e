package machine

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/transcript"
)

// TestDocker compares the simulated docker with a recorded session of the real one. Compose works concurrently, so the
// order of its messages is ignored.
func TestDocker(t *testing.T) {
	m := bare(t)
	if _, stderr, code := run(t, m, "root", "docker compose version --short"); code != 127 {
		t.Fatalf("a host without Docker: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := run(t, m, "root", "apt-get update -qq && apt-get install -y docker.io docker-cli docker-compose >/dev/null"); code != 0 {
		t.Fatal(stderr)
	}
	m.docker().images["caddy:2.8.4"], m.docker().images["ghcr.io/example/frps:v0.61.1"] = true, true
	files, err := filepath.Glob("testdata/compose/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	hex := regexp.MustCompile(`[0-9a-f]{64}`)
	normal := func(text string) []string {
		lines := strings.Split(hex.ReplaceAllString(text, "HEX"), "\n")
		slices.Sort(lines)
		return lines
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := transcript.Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := run(t, m, "root", want.Command)
		if code != want.Code {
			t.Errorf("%s: exit code %d, recorded %d: %s", want.Command, code, want.Code, stderr)
		}
		if diff := cmp.Diff([][]string{normal(want.Stdout), normal(want.Stderr)}, [][]string{normal(stdout), normal(stderr)}); diff != "" {
			t.Errorf("%s: -recorded +simulated:\n%s", want.Command, diff)
		}
	}
}

// TestDockerNotSimulated uses features that the lab refuses rather than fakes.
func TestDockerNotSimulated(t *testing.T) {
	m := bare(t)
	run(t, m, "root", "apt-get update -qq && apt-get install -y docker.io docker-cli docker-compose >/dev/null; mkdir -p /srv/a")
	for _, line := range []string{
		"docker run x", "docker ps", "docker compose up", "docker compose --project-name a up",
		"docker compose --project-name a --project-directory /srv/a --file /srv/a/compose.yml logs",
	} {
		if _, stderr, code := run(t, m, "root", "printf 'services: {a: {image: a:1}}\n' >/srv/a/compose.yml; "+line); code != 2 || !strings.Contains(stderr, "not supported on simulated nodes") {
			t.Errorf("%s: exit code %d, %q", line, code, stderr)
		}
	}
	for _, service := range []string{"{image: a:1, privileged: true}", "{image: a:1, network_mode: bridge}", "{image: 'a:${X:-1}'}", "{image: a:1, healthcheck: {test: [CMD, x]}}", "{image: a:1, volumes: [{type: bind}]}"} {
		_, stderr, code := run(t, m, "root", "printf '%s\n' \"services: {a: "+strings.ReplaceAll(service, "$", `\$`)+"}\" >/srv/a/compose.yml; docker compose --project-name a --project-directory /srv/a --file /srv/a/compose.yml up --detach --remove-orphans --quiet-pull")
		if code != 2 || !strings.Contains(stderr, "not supported on simulated nodes") {
			t.Errorf("%s: exit code %d, %q", service, code, stderr)
		}
	}
	if _, stderr, code := run(t, m, "root", "systemctl stop docker; docker ps --all --quiet --no-trunc --filter label=a=b"); code != 1 || stderr != noDaemon {
		t.Errorf("without a daemon: exit code %d, %q", code, stderr)
	}
}
