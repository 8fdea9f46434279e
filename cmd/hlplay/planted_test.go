package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/afero"

	"hlplay/engine/lab"
)

// planted are a script's secrets, in every form in which they could show, and the command lines of its nodes.
type planted struct {
	dir     string
	needles map[string]string // the texts to search for, and which secret each one is

	mu       sync.Mutex
	commands map[string]map[string]bool // by node
}

// plantedSecrets are the secrets of the running scripts, by the script's work directory.
var plantedSecrets sync.Map

func scriptPlant(ts *testscript.TestScript, neg bool, args []string) {
	l, ok := labs.Load(ts.Getenv("WORK"))
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: plant FILE, once there is a lab")
	}
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var secrets map[string]string
	ts.Check(json.Unmarshal(content, &secrets))
	p := &planted{dir: filepath.Dir(ts.MkAbs(args[0])), needles: needles(secrets), commands: map[string]map[string]bool{}}
	for _, h := range l.(*lab.Lab).Inventory().Hosts {
		seen := map[string]bool{}
		p.commands[h.Name] = seen
		l.(*lab.Lab).Machine(h.Name).WatchStarts(func(argv []string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			seen[strings.Join(argv, " ")] = true
		})
	}
	plantedSecrets.Store(ts.Getenv("WORK"), p)
	ts.Defer(func() { plantedSecrets.Delete(ts.Getenv("WORK")) })
}

// needles returns the texts that reveal a secret: itself, its lines, and both as encoders and quoters write them.
func needles(secrets map[string]string) map[string]string {
	all := map[string]string{}
	for name, secret := range secrets {
		texts := []string{secret}
		for line := range strings.SplitSeq(secret, "\n") {
			if len(line) >= 6 {
				texts = append(texts, line)
			}
		}
		for _, text := range texts {
			quoted, _ := json.Marshal(text)
			all[text] = name
			all[strings.Trim(string(quoted), `"`)] = name + ", quoted as JSON"
			all[strings.Trim(strconv.Quote(text), `"`)] = name + ", quoted"
			all[strings.ReplaceAll(text, "'", `'\''`)] = name + ", quoted for a shell"
			all[strings.ToUpper(text)] = name + ", in upper case"
			all[url.QueryEscape(text)] = name + ", escaped in a URL"
			all[hex.EncodeToString([]byte(text))] = name + ", in hexadecimal"
			all[strings.ToUpper(hex.EncodeToString([]byte(text)))] = name + ", in hexadecimal"
			for before := range 3 { // the digits of base64 depend on the number of bytes before
				padded := append(bytes.Repeat([]byte{'x'}, before), text...)
				for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
					digits := encoding.EncodeToString(padded)
					digits = digits[(before*8+5)/6 : len(padded)*8/6]
					if len(digits) >= 6 { // shorter ones occur by chance
						all[digits] = name + ", in base64"
					}
				}
			}
		}
	}
	return all
}

// leak returns which secret a text contains, with the text around it.
func (p *planted) leak(text []byte) (string, bool) {
	for _, needle := range slices.Sorted(maps.Keys(p.needles)) {
		if at := bytes.Index(text, []byte(needle)); at >= 0 {
			around := text[max(0, at-80):min(len(text), at+len(needle)+40)]
			return fmt.Sprintf("shows %s: …%q…", p.needles[needle], around), true
		}
	}
	return "", false
}

func scriptPlanted(ts *testscript.TestScript, neg bool) *planted {
	p, ok := plantedSecrets.Load(ts.Getenv("WORK"))
	if neg || !ok {
		ts.Fatalf("usage: hidden PATH… or hidden-on NODE [PATH…], after plant FILE")
	}
	return p.(*planted)
}

func scriptHidden(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptPlanted(ts, neg)
	var told []string
	looked := 0
	for _, arg := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(arg), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path == p.dir:
				return filepath.SkipDir
			case !d.Type().IsRegular():
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			looked++
			if leak, ok := p.leak(slices.Concat([]byte(path+"\n"), content)); ok {
				told = append(told, path+" "+leak)
			}
			return nil
		}))
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, file := range processes {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if leak, ok := p.leak(line); ok {
			told = append(told, "a process on this machine "+leak)
		}
	}
	if len(told) > 0 || looked == 0 {
		ts.Fatalf("of %d files:\n%s", looked, strings.Join(told, "\n"))
	}
}

func scriptHiddenOn(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptPlanted(ts, neg)
	if len(args) == 0 {
		ts.Fatalf("usage: hidden-on NODE [PATH…]")
	}
	m := scriptMachine(ts, args[0])
	var told []string
	look := func(what string, text []byte) {
		if leak, ok := p.leak(text); ok {
			told = append(told, what+" "+leak)
		}
	}
	p.mu.Lock()
	commands := maps.Clone(p.commands[args[0]])
	for line := range commands {
		look("a process", []byte(line))
	}
	p.mu.Unlock()
	for _, w := range m.Writes() {
		look("the record of "+w.By, []byte(w.What))
	}
	files := 0
	ts.Check(afero.Walk(m.FS(), "/", func(path string, info fs.FileInfo, err error) error {
		switch {
		case err != nil || slices.Contains(args[1:], path):
			return nil
		case info.IsDir() && slices.Contains([]string{"/proc", "/sys", "/dev"}, path):
			return filepath.SkipDir
		case !info.Mode().IsRegular():
			look(path, []byte(path))
			return nil
		}
		content, err := afero.ReadFile(m.FS(), path)
		if err != nil {
			return nil
		}
		files++
		look(path, slices.Concat([]byte(path+"\n"), content))
		return nil
	}))
	if len(told) > 0 || files == 0 || len(commands) == 0 {
		slices.Sort(told)
		ts.Fatalf("of %d files and %d commands:\n%s", files, len(commands), strings.Join(told, "\n"))
	}
}

// TestNeedles checks that secrets are found in each form, and that nothing is found in a text without the secret.
func TestNeedles(t *testing.T) {
	secret := "k#7&z'\nsecond line"
	p := &planted{needles: needles(map[string]string{"s": secret})}
	for _, text := range []string{
		"a" + secret, fmt.Sprintf("%q", secret), base64.StdEncoding.EncodeToString([]byte("u:" + secret)), base64.URLEncoding.EncodeToString([]byte("u " + secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(secret), url.QueryEscape(secret), "--- second line",
	} {
		if _, ok := p.leak([]byte(text)); !ok {
			t.Errorf("%q is not found in %q", secret, text)
		}
	}
	if leak, ok := p.leak([]byte("k#7& z second l1ne")); ok {
		t.Errorf("found without being there: %s", leak)
	}
}
