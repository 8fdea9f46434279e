package observe

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// lookProgram returns the hand's program without its loop.
func lookProgram(t *testing.T) string {
	t.Helper()
	program := ""
	for _, name := range []string{"hand.pl", "look.pl"} {
		text, err := os.ReadFile("../remote/scripts/" + name)
		if err != nil {
			t.Fatal(err)
		}
		program += string(text) + "\n"
	}
	return program
}

// lookHere answers a query of the acting shell's hand with its function in look.pl.
func lookHere(t *testing.T, function string, args []string) remote.Answer {
	t.Helper()
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("there is no perl")
	}
	return ran(t, perl, append([]string{"-e", lookProgram(t) + "my $f = $does{+shift}; my $code = $f->(@ARGV); flush_out(); exit($code & 255)", function}, args...))
}

// scriptHere answers a query with its script.
func scriptHere(t *testing.T, script string, args []string) remote.Answer {
	t.Helper()
	return ran(t, "/bin/sh", append([]string{"-c", remote.Place + script, "sh"}, args...))
}

// ran runs a program, as an ordinary user if the test is one of them.
func ran(t *testing.T, program string, args []string) remote.Answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.Dir = "/"
	if strings.Contains(t.Name(), "ordinary") {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return remote.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: cmd.ProcessState.ExitCode()}
}

// byScript is the exit code of a function that leaves the answer to the script.
const byScript = 255

// sameAnswers compares what the hand and the script answer, and reports whether the hand answered.
func sameAnswers(t *testing.T, q remote.Query) bool {
	t.Helper()
	hand := lookHere(t, q.Hand, q.Args)
	if hand.Exit == byScript {
		if len(hand.Stdout)+len(hand.Stderr) > 0 {
			t.Errorf("%s %q leaves the answer to the script, but has printed %q and %q", q.Hand, q.Args, hand.Stdout, hand.Stderr)
		}
		return false
	}
	script := scriptHere(t, q.Script, q.Args)
	type said struct {
		Out, Err string
		Exit     int
	}
	processes := regexp.MustCompile(`(?m)^(d\S+ 0 \w+ 0) \d+ (.*: "/proc")$`) // its number of links
	of := func(a remote.Answer) said {
		return said{processes.ReplaceAllString(string(a.Stdout), "$1 $2"), string(a.Stderr), a.Exit}
	}
	if diff := cmp.Diff(of(script), of(hand)); diff != "" {
		t.Errorf("%s %q (-script +hand):\n%s", q.Hand, q.Args, diff)
	}
	return true
}

// asUsers runs a test as root, if it is root, and as an ordinary user.
func asUsers(t *testing.T, do func(t *testing.T)) {
	t.Helper()
	t.Run("this user", do)
	if os.Getuid() == 0 {
		t.Run("an ordinary user", do)
	}
}

// oddNames are names that quoting must get right.
var oddNames = []string{"plain", "two words", "it's", `it's "both"`, `a"b`, `back\slash`, "$x*", "new\nline", "tab\tbed", "caf\xc3\xa9", "\xff\xfe", "bell\aend", "~x", "x~", "#", "{", "{}", "a=b", "a^b'", "'", "''", "q?", "end\n", "\n\n\nx", "d\x7fl", "-n", "a b'c", "a!'", "`x`", "@a'b"}

// tree fills a directory at random and returns names in it, some of which are absent.
func tree(t *testing.T, rng *rand.Rand, dir string) []string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	pick := func(of []string) string { return of[rng.IntN(len(of))] }
	dirs := []string{dir}
	var names []string
	for range 3 + rng.IntN(12) {
		name := filepath.Join(pick(dirs), pick(oddNames))
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		names = append(names, name)
		switch rng.IntN(12) {
		case 0, 1:
			must(os.Mkdir(name, 0o755))
			dirs = append(dirs, name)
			mode := []os.FileMode{0o755, 0o755, 0o755, 0o700, 0o775, 0o777 | os.ModeSticky, 0o777, 0o2755 | os.ModeSetgid, 0o500}[rng.IntN(9)]
			must(os.Chmod(name, mode))
		case 2:
			must(os.Symlink(pick([]string{"plain", name, "../" + filepath.Base(dir), "nowhere", "/etc/hostname", "caf\xc3\xa9 \"x\"", dir}), name))
		case 3:
			must(syscall.Mkfifo(name, 0o644))
		case 4:
			names = append(names, name+"/below", name+"\n")
		default:
			content := []string{"", "one\n", "two\nlines", "\x00\xff\r\n", "\n==> " + name + " <==\n", strings.Repeat("x", 3<<20), strings.Repeat("y", 1<<20)}[min(rng.IntN(16), 6)]
			must(os.WriteFile(name, []byte(content), 0o644))
			must(os.Chmod(name, []os.FileMode{0o644, 0o600, 0o000, 0o755 | os.ModeSetuid, 0o644 | os.ModeSticky, 0o666, 0o6711 | os.ModeSetgid}[rng.IntN(7)]))
			if rng.IntN(5) == 0 {
				must(os.Link(name, filepath.Join(dir, fmt.Sprint("other", len(names)))))
			}
		}
		if os.Getuid() == 0 && rng.IntN(4) == 0 {
			if err := os.Lchown(name, []int{0, 65534, 1, 4242}[rng.IntN(4)], []int{0, 65534, 4243}[rng.IntN(3)]); !errors.Is(err, os.ErrNotExist) {
				must(err)
			}
		}
	}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return append(names, dir, "/proc/version", "/sys/kernel/mm", "/dev/null", "/proc/sys/nothing", "/")
}

// The hand tells of files, byte for byte, what the script of the query does.
func TestLookAtFiles(t *testing.T) {
	answered, all := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := plainDir(t)
		if os.Chmod(dir, 0o755) != nil {
			t.Fatal("the directory cannot be prepared")
		}
		names := tree(t, rng, dir)
		asUsers(t, func(t *testing.T) {
			for _, q := range askFiles(names) {
				if q.Hand == "" {
					continue
				}
				if all++; sameAnswers(t, q) {
					answered++
				}
			}
			for i := range 4 { // each name by itself, so that more of them can be answered
				for _, q := range askFiles(names[i : i+1]) {
					if all++; sameAnswers(t, q) {
						answered++
					}
				}
			}
		})
		os.RemoveAll(dir)
	}
	t.Logf("the hand answered %d of %d queries", answered, all)
	if answered < all/2 {
		t.Errorf("the hand answered %d of %d queries", answered, all)
	}
}

// Links, loops, and names above that are files.
func TestLookAtOddPlaces(t *testing.T) {
	dir := plainDir(t)
	for _, make := range []error{
		os.Chmod(dir, 0o755), os.Symlink("loop", dir+"/loop"), os.Symlink("/proc", dir+"/to proc"), os.WriteFile(dir+"/file", []byte("x"), 0o644),
		os.Mkdir(dir+"/closed", 0o700), os.WriteFile(dir+"/closed/file", []byte("x"), 0o644), os.Symlink("file", dir+"/link"),
	} {
		if make != nil {
			t.Fatal(make)
		}
	}
	asUsers(t, func(t *testing.T) {
		for _, names := range [][]string{
			{dir + "/loop"}, {dir + "/loop/below"}, {dir + "/to proc/version"}, {dir + "/file/below"}, {dir + "/closed/file"}, {dir + "/closed/none", dir + "/file"},
			{dir + "/link", dir + "/file"}, {dir + "/" + strings.Repeat("n", 300)}, {"/proc/1/environ", "/proc/sys/kernel/hostname"}, {"/sys/kernel/uevent_seqnum"}, {"/root/.bashrc"}, {"/tmp/x"}, {"//etc//hostname"},
		} {
			for _, q := range askFiles(names) {
				sameAnswers(t, q)
			}
		}
	})
}

// The hand compares files as the script does, whatever has changed since.
func TestLookWhetherFilesHold(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		dir := plainDir(t)
		names := tree(t, rng, dir)
		values := map[string]File{}
		h := localHost(t)
		for _, name := range names {
			f, err := Files.Observe(t.Context(), h, name)
			if _, ok := holdsFiles(map[string]File{name: f}); err == nil && ok {
				values[name] = f
			}
		}
		change := func() {
			name := names[rng.IntN(len(names))]
			if !strings.HasPrefix(name, dir+"/") {
				return
			}
			switch rng.IntN(6) {
			case 0:
				_ = os.Remove(name)
			case 1:
				_ = os.WriteFile(name+"x", nil, 0o644)
			case 2:
				_ = os.Chmod(name, 0o640)
			case 3:
				if f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
					_, _ = f.WriteString("1")
					f.Close()
				}
			case 4:
				_ = os.Chmod(filepath.Dir(name), 0o777)
			}
		}
		for range 4 {
			queries, ok := holdsFiles(values)
			if !ok {
				t.Fatalf("seed %d: it cannot be asked", seed)
			}
			sameAnswers(t, queries[len(queries)-1]) // those before have no function of the hand
			change()
		}
		os.RemoveAll(dir)
	}
}

// The hand reads and compares kernel settings as grep does.
func TestLookAtSettings(t *testing.T) {
	dir := plainDir(t)
	files := map[string]string{"plain": "1\n", "tabs": "4096\t131072  6291456 \n", "two": "a\nb\n", "empty": "", "blank": "\n", "blanks": "x\n\n\n", "open": "x", "nul": "a\x00b\n", "high": "caf\xc3\xa9\n", "colon": "a:b\n", "long": strings.Repeat("x ", 5000) + "\n"}
	var paths []string
	for name, text := range files {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(paths[0], 0o200); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, dir, dir+"/none")
	settings := []string{"net.ipv4.ip_forward", "net.ipv4.tcp_rmem", "vm.compact_memory", "kernel.hostname", "kernel.none", "kernel.osrelease", "net.ipv4.route.flush", "kernel"}
	asUsers(t, func(t *testing.T) {
		for _, q := range Sysctls.Ask(settings) {
			sameAnswers(t, q)
		}
		for _, q := range Sysctls.Ask(nil) {
			sameAnswers(t, q)
		}
		for i, q := range Sysctls.Ask([]string{"net.ipv4.ip_forward"}) {
			for _, p := range paths {
				q.Args = []string{p}
				if !sameAnswers(t, q) && i > 0 {
					t.Errorf("%s does not answer", q.Hand)
				}
			}
			q.Args = paths
			sameAnswers(t, q)
		}
		for _, value := range []string{"0", "1", "2", "0 1", ""} {
			for _, setting := range settings {
				sameAnswers(t, remote.Query{Hand: "look_holds_sysctls", Script: holdsSysctlsScript, Args: []string{SysctlPath(setting) + ":" + value + "\n", SysctlPath(setting)}})
			}
		}
		for _, p := range paths {
			for _, line := range []string{"1", "4096 131072 6291456", "a\n" + p + ":b", "", "x", "café", "a:b"} {
				sameAnswers(t, remote.Query{Hand: "look_holds_sysctls", Script: holdsSysctlsScript, Args: []string{p + ":" + line + "\n", p}})
			}
		}
	})
}

// The hand reads and compares drop-ins as the script does.
func TestLookAtTextFiles(t *testing.T) {
	dir := plainDir(t)
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), mode), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write("a/10-x.conf", "x = 1\n", 0o644)
	write("a/9.conf", "", 0o644)
	write("a/Z_y-1.conf", "no newline", 0o644)
	write("a/.hidden.conf", "h\n", 0o644)
	write("a/.conf", "h\n", 0o644)
	write("a/two words.conf", "w\n", 0o644)
	write("a/caf\xc3\xa9.conf", "w\n", 0o644)
	write("a/readme", "r\n", 0o644)
	write("b/10-x.conf", "\x00binary\xff", 0o644)
	write("b/20.conf", "==> x <==\n", 0o600)
	write("c/1.conf", "c\n", 0o644)
	write("single.list", "s\n", 0o644)
	for name, target := range map[string]string{"a/50.conf": "/dev/null", "a/60.conf": "nowhere", "b/30.conf": "../a/10-x.conf", "b/40.conf": "40.conf"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(dir+"/b/dir.conf", 0o755), syscall.Mkfifo(dir+"/b/pipe.conf", 0o644), os.Mkdir(dir+"/empty", 0o755), os.Chmod(dir+"/c", 0o700)); err != nil {
		t.Fatal(err)
	}
	sets := [][]string{{"a/*.conf"}, {"b/*.conf"}, {"a/*.conf", "b/*.conf", "none/*.conf", "empty/*.conf"}, {"c/*.conf", "a/*.conf"}, {"single.list", "a/*.conf"}, {"none.list"}, {"empty/*.conf"}, {"a/*"}, {"a/1*.conf"}}
	asUsers(t, func(t *testing.T) {
		for _, set := range sets {
			var patterns []string
			for _, p := range set {
				patterns = append(patterns, filepath.Join(dir, p))
			}
			kind := TextFiles("test", patterns...)
			q := kind.Ask(nil)[0]
			if !sameAnswers(t, q) {
				t.Errorf("the hand does not answer %q", set)
			}
			files, err := parseTextFiles(scriptHere(t, q.Script, q.Args))
			if err != nil {
				continue
			}
			var changed []TextFile
			for i, f := range files {
				changed = append(changed, f)
				if i == 0 {
					changed[0].Content += "more"
				}
			}
			for _, expected := range [][]TextFile{files, changed, nil, files[:len(files)/2], append(files[:len(files):len(files)], TextFile{patterns[0] + "x", "y"})} {
				queries, ok := kind.Holds(map[string][]TextFile{"": expected})
				if !ok {
					continue
				}
				sameAnswers(t, queries[0])
			}
		}
	})
}

// Contents of which the hand knows the sum are compared without a process, and what it does not know once.
func TestLookKnowsContents(t *testing.T) {
	dir := plainDir(t)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for name, text := range map[string]string{a: "one\n", b: "two\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	program := `
my ($a, $b, $one, $two) = @ARGV;
sub write_to { open my $to, '>', $_[0] or die; print $to $_[1]; close $to }
my @said;
$ENV{PATH} = "/nowhere";
look_keep($one, "one\n");
push @said, look_sums([$a, $one]);           # known
push @said, look_sums([$b, $two]);           # unknown, and there is no program
$ENV{PATH} = "/usr/bin:/bin";
push @said, look_sums([$b, $one]);           # known, and different
push @said, look_sums([$a, $one], [$b, $two]);
$ENV{PATH} = "/nowhere";
push @said, look_sums([$a, $one], [$b, $two]);
write_to($b, "twO\n");
push @said, look_sums([$b, $two]);
unlink $b;
push @said, look_sums([$b, $two]);
look_keep("sum$_", $_ x 500_000) for 1 .. 100;
push @said, $look_size <= 4 << 20 ? 1 : 0, keys(%look_known) == @look_order ? 1 : 0;
print join " ", @said;
`
	got := ran(t, "perl", []string{"-e", lookProgram(t) + program, a, b, sum("one\n"), sum("two\n")})
	if want := "1 0 0 1 1 0 0 1 1"; string(got.Stdout) != want {
		t.Errorf("got %s (%s), want %s", got.Stdout, got.Stderr, want)
	}
}

// A directory that could not be listed is not an empty one: the script answers.
func TestLookCannotList(t *testing.T) {
	dir := plainDir(t)
	program := `
my @all;
while (open my $one, '<', '/dev/null') { push @all, $one }
my @got = ($does{look_text}->($ARGV[0]), $does{look_holds_text}->("", 1, $ARGV[0]));
@all = ();
print "@got";
`
	pattern := filepath.Join(dir, "*.conf")
	got := ran(t, "sh", []string{"-c", `ulimit -n 64; exec perl "$@"`, "sh", "-e", lookProgram(t) + program, pattern})
	if want := "-1 -1"; string(got.Stdout) != want {
		t.Errorf("got %q (%s), want %q", got.Stdout, got.Stderr, want)
	}
}

// A file that grows while it is read is told of as it was at some moment, and never breaks the answer.
func TestLookAtChangingFiles(t *testing.T) {
	dir := plainDir(t)
	name := filepath.Join(dir, "log")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(name, []byte(strings.Repeat("line "+strconv.Itoa(i)+"\n", i%500)), 0o644)
			time.Sleep(100 * time.Microsecond)
		}
	}()
	q := askFiles([]string{name})
	for range 20 {
		a := lookHere(t, q[0].Hand, q[0].Args)
		if a.Exit != 0 {
			t.Fatalf("exit code %d: %s", a.Exit, a.Stderr)
		}
		files := parseBatch(fileBatches([]string{name})[0], a)
		if r := files[name]; r.err != nil && !changing(r.err) {
			t.Errorf("%v", r.err)
		}
	}
	close(stop)
	<-stopped
}
