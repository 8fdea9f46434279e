//go:build linux && e2e

package e2e

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPageInABrowser opens the page of a run (--report run.html) in a browser, in a wide window and in one as narrow as
// a phone's: everything fits, and all failures are visible without a click. With HLPLAY_WRITE_DOCS set, it takes the
// screenshot for the README.
func TestPageInABrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	dir := t.TempDir()
	playbook := filepath.Join(dir, "broken.hcl")
	if err := os.WriteFile(playbook, []byte(brokenPlay), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		playbook string
		code     int
		visible  []string
	}{
		{"playbooks/cluster.hcl", exitOK, []string{"changes made on 3 hosts", "When each host was at work", "G1.26 G1.27 create the cluster"}},
		{playbook, exitFailed, []string{"What failed", "pve2: a task with a long name", strings.Repeat("word", 60), "exit code 3"}},
	} {
		page := filepath.Join(dir, "run.html")
		rehearsal := exec.CommandContext(t.Context(), absolute(t, *program), "run", test.playbook, "-i", "inventory", "--rehearse", "--report", page)
		rehearsal.Dir = "../../.."
		said, err := rehearsal.CombinedOutput()
		if rehearsal.ProcessState.ExitCode() != test.code {
			t.Fatalf("rehearsing %s: %v\n%s", test.playbook, err, said)
		}
		for _, width := range []int{420, 1280} {
			t.Run(fmt.Sprintf("%s at %d", filepath.Base(test.playbook), width), func(t *testing.T) {
				measured := measure(t, chromium, page, width)
				for _, what := range measured.wide {
					t.Errorf("wider than the window of %d: %s", width, what)
				}
				for _, text := range test.visible {
					if !strings.Contains(measured.text, text) {
						t.Errorf("not to be seen: %s", text)
					}
				}
			})
		}
		if test.code == exitOK && os.Getenv("HLPLAY_WRITE_DOCS") != "" {
			browse(t, chromium, "--window-size=1280,1010", "--screenshot="+absolute(t, "../../../docs/run.png"), "file://"+page)
		}
	}
}

// brokenPlay fails on one host, with words that are longer than a line.
var brokenPlay = `play "site" {
  hosts = "all"
  task "a task with a long name, as people give them who want to say ` + strings.Repeat("every", 30) + `thing" {
    command {
      argv   = ["sh", "-c", "echo ` + strings.Repeat("word", 60) + `; test \"$(hostname)\" != pve2 || exit 3"]
      always = true
    }
  }
}
`

// rendered is what is visible of a page.
type rendered struct {
	text string
	wide []string // elements that overflow the window
}

// measure returns what is visible of a page in a window of the given width. The window is a frame, because a browser's
// own window cannot be as narrow as a phone's.
func measure(t *testing.T, chromium, page string, width int) rendered {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	frame := fmt.Sprintf(`<!DOCTYPE html>
<iframe srcdoc="%s" style="width: %dpx; height: 1000px; border: 0"></iframe>
<script>
onload = () => {
	const page = document.querySelector("iframe").contentDocument, width = page.defaultView.innerWidth, wide = [];
	if (page.documentElement.scrollWidth > width) wide.push("the page");
	for (const e of page.querySelectorAll("body *")) {
		if (e.getBoundingClientRect().right > width + 1 && !e.closest(".scroll")) wide.push(e.outerHTML.slice(0, 200));
	}
	const found = document.createElement("pre");
	found.textContent = wide.join("\n") + "\n====\n" + page.body.innerText;
	document.body.append(found);
};
</script>`, html.EscapeString(string(content)), width)
	framed := filepath.Join(t.TempDir(), "frame.html")
	if err := os.WriteFile(framed, []byte(frame), 0o600); err != nil {
		t.Fatal(err)
	}
	dom := browse(t, chromium, "--dump-dom", "file://"+framed)
	found := regexp.MustCompile(`(?s)<pre>([^<]*)\n====\n([^<]*)</pre>\s*</body>`).FindStringSubmatch(dom)
	if found == nil {
		t.Fatalf("the browser shows\n%s", dom)
	}
	s := rendered{text: html.UnescapeString(found[2])}
	if found[1] != "" {
		s.wide = strings.Split(html.UnescapeString(found[1]), "\n")
	}
	return s
}

// browse runs a headless browser and returns its standard output.
func browse(t *testing.T, chromium string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	args = append([]string{
		"--headless", "--no-sandbox", // root cannot use the sandbox
		"--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
	}, args...)
	cmd := exec.CommandContext(ctx, chromium, args...)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errors.String())
	}
	return string(out)
}
