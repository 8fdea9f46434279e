package apt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// What apt-get printed on Debian 12, for transactions of each kind.
var simulated = map[string]string{
	"install chrony": `Reading package lists...
Building dependency tree...
Reading state information...
Suggested packages:
  dnsutils networkd-dispatcher
The following packages will be REMOVED:
  systemd-timesyncd
The following NEW packages will be installed:
  chrony
0 upgraded, 1 newly installed, 1 to remove and 132 not upgraded.
Remv systemd-timesyncd [252.39-1~deb12u2]
Inst chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
Conf chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
`,
	"remove curl": `Reading package lists...
Building dependency tree...
Reading state information...
The following packages will be REMOVED:
  curl
0 upgraded, 0 newly installed, 1 to remove and 131 not upgraded.
Remv curl [7.88.1-10+deb12u14]
`,
	"full-upgrade": `Reading package lists...
The following packages will be upgraded:
  libc6
1 upgraded, 0 newly installed, 1 to remove and 0 not upgraded.
Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) [libc-bin:amd64 ]
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])
Purg mutt [2.2]
`,
	"install bash": "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n",
}

// holdsAfter reports whether a call of apt-get, as it was observed, holds when apt-get prints something else and ends with a code.
func holdsAfter(t *testing.T, call, observed, prints, code string) bool {
	t.Helper()
	name := call
	value, err := parseTransaction(out(observed))
	if err != nil {
		t.Fatal(err)
	}
	queries, ok := Transactions.Holds(map[string]Transaction{name: value})
	if !ok || len(queries) != 1 {
		t.Fatalf("%s: what was observed cannot be asked for", call)
	}
	programs := t.TempDir()
	program := "#!/bin/sh\n[ \"$*\" = '-s -y -q -o Debug::NoLocking=true " + call + "' ] || exit 9\ncat <<'END'\n" + prints + "END\nexit " + code + "\n"
	if err := os.WriteFile(filepath.Join(programs, "apt-get"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	host := remote.Local("here")
	defer host.Close()
	answers, err := host.Ask(t.Context(), queries)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers[0].Stdout)+len(answers[0].Stderr) > 0 {
		t.Errorf("%s: it prints %q and %q", call, answers[0].Stdout, answers[0].Stderr)
	}
	return answers[0].Exit == 0
}

// A transaction holds if apt-get would do the same, to the same versions, in the same order.
func TestTransactionsHold(t *testing.T) {
	for call, text := range simulated {
		if !holdsAfter(t, call, text, text, "0") {
			t.Errorf("%s does not hold", call)
		}
		if holdsAfter(t, call, text, text, "100") {
			t.Errorf("%s holds although apt-get refuses it", call)
		}
		if holdsAfter(t, call, text, text+"Conf half (1 localhost [all])\n", "0") || holdsAfter(t, call, text, text+"1 not fully installed or removed.\n", "0") {
			t.Errorf("%s holds although a package is not fully installed", call)
		}
		for _, more := range []string{"Inst new (1 localhost [all])\n", "Inst new [1] (2 localhost [all])\n", "Remv old [1]\n", "Purg old [1]\n"} {
			if holdsAfter(t, call, text, text+more, "0") || holdsAfter(t, call, text, more+text, "0") {
				t.Errorf("%s holds although there is also %s", call, more)
			}
		}
		lines := strings.SplitAfter(text, "\n")
		for i, line := range lines {
			verb, _, _ := strings.Cut(line, " ")
			if verb != "Inst" && verb != "Remv" && verb != "Purg" {
				continue
			}
			if holdsAfter(t, call, text, strings.Join(lines[:i], "")+strings.Join(lines[i+1:], ""), "0") {
				t.Errorf("%s holds without %s", call, line)
			}
			for _, change := range []*strings.Replacer{strings.NewReplacer("(", "(1:"), strings.NewReplacer(" [", " [1:"), strings.NewReplacer(verb+" ", verb+" x")} {
				other := change.Replace(line)
				if head, _, _ := strings.Cut(line, " Debian:"); strings.HasPrefix(other, head) {
					continue // what comes behind the versions does not matter
				}
				if holdsAfter(t, call, text, strings.Join(lines[:i], "")+other+strings.Join(lines[i+1:], ""), "0") {
					t.Errorf("%s holds with %s", call, other)
				}
			}
		}
	}
	for name, text := range map[string]string{
		"a refusal": "E: Unable to locate package none\n", "half": "1 not fully installed or removed.\nInst half [1] (2 localhost [all])\n", "unfinished": "Conf half (1 localhost [all])\n",
	} {
		answer := out(text)
		if name == "a refusal" {
			answer = remote.Answer{Exit: 100, Stderr: []byte(text)}
		}
		value, err := parseTransaction(answer)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Transactions.Holds(map[string]Transaction{"install none": value}); ok {
			t.Errorf("%s can be asked for", name)
		}
	}
}

// A removal belongs to its host alone if nothing stops with it.
func TestConfinedRemovals(t *testing.T) {
	kernels := []observe.Expectation{
		observe.Kernels.Expect("", observe.Kernel{Release: "6.8.12-4-pve"}), observe.InstalledKernels.Expect("", []string{"6.1.0-40-amd64", "6.8.12-4-pve"}),
	}
	gone := func(names ...string) (all []PackageChange) {
		for _, name := range names {
			all = append(all, PackageChange{Name: name, From: "1"})
		}
		return all
	}
	for _, test := range []struct {
		remove, also []string
		more         []PackageChange
		want         bool
	}{
		{remove: []string{"os-prober"}, want: true},
		{remove: []string{"linux-image-amd64", "linux-image-6.1.0-40-amd64"}, want: true},
		{remove: []string{"os-prober"}, also: []string{"linux-image-cloud-amd64"}, want: true},
		{remove: []string{"os-prober"}, also: []string{"nfs-kernel-server"}, want: false},
		{remove: []string{"linux-image-amd64"}, more: []PackageChange{{Name: "linux-image-6.1.0-41-amd64", To: "1"}}, want: false},
		{remove: []string{"chrony"}, want: false},
		{remove: []string{"linux-image-server"}, also: []string{"linux-image-helpers-1.0"}, want: false},
	} {
		module := modulestest.Decoded(&Module{Packages: test.remove, State: "absent"})
		changes := append(gone(append(test.remove, test.also...)...), test.more...)
		more := [][]observe.Expectation{kernels, transaction("remove "+strings.Join(test.remove, " "), changes...)}
		for _, name := range test.remove {
			more = append(more, installed(name, "1"))
		}
		plan, err := module.Plan(t.Context(), recorded(bookworm, more...))
		if err != nil || len(plan.Steps) == 0 {
			t.Fatalf("%q: %v, %v", test.remove, summaries(plan), err)
		}
		if plan.Confined != test.want {
			t.Errorf("%q with %v: confined is %v, want %v", test.remove, changes, plan.Confined, test.want)
		}
	}
}
