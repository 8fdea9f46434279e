//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// peaks prints the peak resident size in kB of each program that runs on a node, until the run has ended.
const peaks = `until [ -e /srv/copied ]; do cat /proc/[0-9]*/status 2>/dev/null; sleep 0.2; done |
awk '/^Name:/ { name = $2 } /^VmHWM:/ && $2 > most[name] { most[name] = $2 } END { for (name in most) print most[name], name }' | sort -rn | head -n 3`

// peakOf returns the peak resident size in kB of a process, once it has ended. The rusage of a child does not tell it:
// Linux counts what the process that started the child had in memory at that time.
func peakOf(pid int) int {
	for kB := 0; ; time.Sleep(50 * time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, peak, running := strings.Cut(string(status), "\nVmHWM:")
		if err != nil || !running {
			return kB
		}
		fmt.Sscan(peak, &kB)
	}
}

var largePairs = flag.Int("pairs", 1, "how many times TestLargeFile copies the file with hlplay and with scp")

// TestLargeFile copies 500 MB to a node. Neither hlplay nor any program on the node uses 64 MiB for that, and little
// more than the file is sent. The log compares the time with that of scp, which takes turns with hlplay, for the same file
// over the same link. scp neither syncs the file nor reads it again to compare checksums.
func TestLargeFile(t *testing.T) {
	const size, most = 500_000_000, 64 << 10 // bytes, kB
	n := startNodes(t, "node1")
	node := n.List[0]
	source := filepath.Join(n.Dir, "large")
	f, err := os.Create(source)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{}), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{nspawn.Root, nspawn.Admin} {
		var ratios []float64
		for range *largePairs {
			r := newRunner(t, n, account)
			r.vars = []string{"source=" + source}
			programs := make(chan string, 1)
			go func() {
				out, err := node.Exec(t.Context(), "sh", "-c", peaks)
				if err != nil {
					t.Error(err)
				}
				programs <- out
			}()
			peak := make(chan int, 1)
			r.started = func(p *os.Process) { peak <- peakOf(p.Pid) }
			o := r.run(t, "large.hcl")
			o.wantCode(t, "the run of "+account, exitOK)
			wantOn(t, node, "sha256sum </srv/large", fmt.Sprintf("%x  -", sum.Sum(nil)))
			found := <-programs
			if kB, err := strconv.Atoi(strings.Fields(found + " none")[0]); err != nil || kB > most {
				t.Errorf("%s: the largest programs on the node took, in kB:\n%s", account, found)
			}
			took := <-peak
			if took == 0 || took > most {
				t.Errorf("%s: hlplay took %d kB, want at most %d", account, took, most)
			}
			if sent := o.costs["node1"].Sent; sent > size*102/100 {
				t.Errorf("%s: %d bytes were sent for %d", account, sent, size)
			}
			began := time.Now()
			scp := exec.CommandContext(t.Context(), "scp", "-q", "-i", filepath.Join(n.Dir, "key"), "-o", "UserKnownHostsFile="+filepath.Join(filepath.Dir(r.inventory), "known_hosts"),
				source, account+"@"+node.Address.String()+":/tmp/large")
			if err := n.Start(scp); err != nil {
				t.Fatal(err)
			}
			if err := scp.Wait(); err != nil {
				t.Fatal(err)
			}
			copied := time.Since(began)
			ratios = append(ratios, o.took.Seconds()/copied.Seconds())
			t.Logf("%s: hlplay took %s (%s of a processor) and %d kB, scp %s (%s): %.2f times; the largest programs on the node took, in kB:\n%s", account, o.took.Round(time.Millisecond), o.busy.Round(time.Millisecond), took,
				copied.Round(time.Millisecond), (scp.ProcessState.UserTime() + scp.ProcessState.SystemTime()).Round(time.Millisecond), ratios[len(ratios)-1], found)
			shell(t, node, "rm /srv/large /srv/copied /tmp/large")
		}
		slices.Sort(ratios)
		t.Logf("%s: hlplay took %.2f times as long as scp (median of %d pairs, %.2f to %.2f)", account, ratios[len(ratios)/2], len(ratios), ratios[0], ratios[len(ratios)-1])
	}
}
