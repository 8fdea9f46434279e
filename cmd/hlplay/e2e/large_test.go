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
	"hlplay/engine/localfile"
)

// peaks prints the peak resident size in kB of each program that runs on a node, until the run has ended.
const peaks = `until [ -e /srv/copied ]; do cat /proc/[0-9]*/status 2>/dev/null; sleep 0.2; done |
awk '/^Name:/ { name = $2 } /^VmHWM:/ && $2 > most[name] { most[name] = $2 } END { for (name in most) print most[name], name }' | sort -rn | head -n 3`

// usage is what a process has used.
type usage struct {
	peak int   // resident size in kB
	read int64 // bytes, as far as they were read shortly before it ended
}

// usageOf returns what a process has used, once it has ended. The rusage of a child does not tell the peak: Linux counts
// what the process that started the child had in memory at that time.
func usageOf(pid int) (u usage) {
	for ; ; time.Sleep(50 * time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, peak, running := strings.Cut(string(status), "\nVmHWM:")
		if err != nil || !running {
			return u
		}
		fmt.Sscan(peak, &u.peak)
		if io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)); err == nil {
			fmt.Sscanf(string(io), "rchar: %d", &u.read)
		}
	}
}

// awaitSettled waits until a change of a file would show in its times, so that hlplay need not read it to notice one.
func awaitSettled(t *testing.T, name string) {
	t.Helper()
	for {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		version, err := localfile.VersionOf(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if version.Settled() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// processorTime returns the processor time that a node has used since it was started.
func processorTime(t *testing.T, node *nspawn.Node) time.Duration {
	t.Helper()
	used, err := node.CPU()
	if err != nil {
		t.Fatal(err)
	}
	return used
}

var largePairs = flag.Int("pairs", 1, "how many times TestLargeFile copies the file with hlplay and with scp")

// TestLargeFile copies 500 MB to a node. Neither hlplay nor any program on the node uses 64 MiB for that, little more than the
// file is read and sent, and the node does not calculate its sum. The log compares the time with that of scp, which takes turns
// with hlplay, for the same file over the same link to the same file system. scp does not sync the file.
func TestLargeFile(t *testing.T) {
	const size, most = 500_000_000, 64 << 10 // bytes, kB
	n := startNodes(t, "node1")
	node := n.List[0]
	// A program that reads the file to calculate its sum takes as long as scp.
	shell(t, node, `mv /usr/bin/sha256sum /usr/bin/sha256sum.real
printf '#!/bin/sh\ntouch /srv/summed\nexec sha256sum.real "$@"\n' >/usr/bin/sha256sum
chmod 755 /usr/bin/sha256sum`)
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
	awaitSettled(t, source)
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
			used := processorTime(t, node)
			usages := make(chan usage, 1)
			r.started = func(p *os.Process) { usages <- usageOf(p.Pid) }
			o := r.run(t, "large.hcl")
			nodes := processorTime(t, node) - used
			o.wantCode(t, "the run of "+account, exitOK)
			wantOn(t, node, "sha256sum.real </srv/large", fmt.Sprintf("%x  -", sum.Sum(nil)))
			found := <-programs
			if kB, err := strconv.Atoi(strings.Fields(found + " none")[0]); err != nil || kB > most {
				t.Errorf("%s: the largest programs on the node took, in kB:\n%s", account, found)
			}
			own := <-usages
			if own.peak == 0 || own.peak > most {
				t.Errorf("%s: hlplay took %d kB, want at most %d", account, own.peak, most)
			}
			if own.read < size/2 || own.read > size*102/100 {
				t.Errorf("%s: hlplay read %d bytes to send %d once", account, own.read, size)
			}
			if filepath.Base(*program) != "hlplay-hold" { // which compares what the step expects with the node
				wantOn(t, node, "[ ! -e /srv/summed ] || echo its sum was calculated", "")
			}
			if sent := o.costs["node1"].Sent; sent > size*102/100 {
				t.Errorf("%s: %d bytes were sent for %d", account, sent, size)
			}
			used = processorTime(t, node)
			began := time.Now()
			scp := exec.CommandContext(t.Context(), "scp", "-q", "-i", filepath.Join(n.Dir, "key"), "-o", "UserKnownHostsFile="+filepath.Join(filepath.Dir(r.inventory), "known_hosts"),
				source, account+"@"+node.Address.String()+":/var/tmp/large")
			if err := n.Start(scp); err != nil {
				t.Fatal(err)
			}
			if err := scp.Wait(); err != nil {
				t.Fatal(err)
			}
			copied := time.Since(began)
			scpNodes := processorTime(t, node) - used
			ratios = append(ratios, o.took.Seconds()/copied.Seconds())
			t.Logf("%s: hlplay took %s (%s of a processor, the node %s) and %d kB, scp %s (%s, the node %s): %.2f times; the largest programs on the node took, in kB:\n%s", account, o.took.Round(time.Millisecond), o.busy.Round(time.Millisecond), nodes.Round(time.Millisecond), own.peak,
				copied.Round(time.Millisecond), (scp.ProcessState.UserTime() + scp.ProcessState.SystemTime()).Round(time.Millisecond), scpNodes.Round(time.Millisecond), ratios[len(ratios)-1], found)
			shell(t, node, "rm /srv/large /srv/copied /var/tmp/large")
		}
		slices.Sort(ratios)
		t.Logf("%s: hlplay took %.2f times as long as scp (median of %d pairs, %.2f to %.2f)", account, ratios[len(ratios)/2], len(ratios), ratios[0], ratios[len(ratios)-1])
	}
}
