package sysctl

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const name = "/etc/sysctl.d/90-hlplay.conf"

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func recorded(file observe.File, more ...observe.Expectation) modules.Host {
	return observe.NewRecorded("pve1", append([]observe.Expectation{
		observe.Files.Expect(name, file),
		observe.Files.Expect("/etc/sysctl.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		bootFiles.Expect("", nil),
	}, more...)...)
}

func now(name, value string) observe.Expectation {
	return observe.Sysctls.Expect(name, observe.Sysctl{Exists: true, Value: value})
}

func value(s string) *string { return &s }

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name   string
		module Module
		host   modules.Host
		want   []string
	}{
		{"bare", Module{Name: "vm.swappiness", Value: value("10")}, recorded(observe.File{}, now("vm.swappiness", "60")),
			[]string{"set vm.swappiness = 10", "set vm.swappiness at boot in " + name}},
		{"as desired", Module{Name: "vm.swappiness", Value: value("10")}, recorded(text("# mine\nvm/swappiness=10\n"), now("vm.swappiness", "10")), nil},
		{"blanks and tabs", Module{Settings: map[string]string{"net.ipv4.tcp_rmem": "4096\t131072  6291456"}},
			recorded(text("net.ipv4.tcp_rmem = 4096 131072 6291456\n"), now("net.ipv4.tcp_rmem", "4096 131072 6291456")), nil},
		{"only now", Module{Name: "vm.swappiness", Value: value("10")}, recorded(text("vm.swappiness = 10\n"), now("vm.swappiness", "60")),
			[]string{"set vm.swappiness = 10"}},
		{"only at boot", Module{Name: "vm.swappiness", Value: value("10")}, recorded(text("vm.swappiness = 20\n"), now("vm.swappiness", "10")),
			[]string{"set vm.swappiness at boot in " + name}},
		{"several in one command", Module{Settings: map[string]string{"vm.swappiness": "10", "kernel.pid_max": "4194304"}},
			recorded(observe.File{}, now("vm.swappiness", "60"), now("kernel.pid_max", "32768")),
			[]string{"set kernel.pid_max = 4194304, vm.swappiness = 10", "set kernel.pid_max, vm.swappiness at boot in " + name}},
		{"absent", Module{Name: "vm.swappiness", State: "absent"}, recorded(text("a.b = 1\nvm.swappiness = 10\n")), []string{"no longer set vm.swappiness at boot"}},
		{"absent, the last one", Module{Name: "vm.swappiness", State: "absent"}, recorded(text(header + "vm.swappiness = 10\n")),
			[]string{"no longer set vm.swappiness at boot: remove " + name}},
		{"absent already", Module{Name: "vm.swappiness", State: "absent"}, recorded(observe.File{}), nil},
		{"unknown, but the file changes", Module{Name: "net.bridge.bridge-nf-call-iptables", Value: value("0")},
			recorded(observe.File{}, observe.Sysctls.Unknown("net.bridge.bridge-nf-call-iptables", "br_netfilter is about to be loaded")),
			[]string{"set net.bridge.bridge-nf-call-iptables = 0", "set net.bridge.bridge-nf-call-iptables at boot in " + name}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &c.module, c.host)
			var got []string
			for _, s := range plan.Steps {
				got = append(got, s.Summary)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the steps differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommandAndContent(t *testing.T) {
	m := &Module{Settings: map[string]string{"vm.swappiness": "10", "net.ipv4.tcp_rmem": "4096 131072 6291456"}}
	plan := modulestest.Converges(t, m, recorded(text("# mine\nfs.file-max = 1\nvm.swappiness = 60\nvm.swappiness = 61\nzz.top = 1"),
		now("vm.swappiness", "60"), now("net.ipv4.tcp_rmem", "1 2 3")))
	want := []string{"sysctl", "-w", "net.ipv4.tcp_rmem=4096 131072 6291456", "vm.swappiness=10"}
	if diff := cmp.Diff(want, plan.Steps[0].Action.(modules.Run).Argv); diff != "" {
		t.Errorf("the command differs (-want +got):\n%s", diff)
	}
	content := "# mine\nfs.file-max = 1\nnet.ipv4.tcp_rmem = 4096 131072 6291456\nvm.swappiness = 10\nzz.top = 1\n"
	if diff := cmp.Diff(content, string(plan.Steps[1].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("the file differs (-want +got):\n%s", diff)
	}
}

func TestMissingSetting(t *testing.T) {
	m := &Module{Name: "net.bridge.bridge-nf-call-iptables", Value: value("1")}
	_, err := modulestest.Decoded(m).Plan(t.Context(), recorded(observe.File{}, observe.Sysctls.Expect(m.Name, observe.Sysctl{})))
	if err == nil || !strings.Contains(err.Error(), `modprobe { modules = ["br_netfilter"] }`) {
		t.Errorf("expected an error that names br_netfilter, got %v", err)
	}
}

func TestUnknowableSetting(t *testing.T) {
	m := &Module{Name: "vm.swappiness", Value: value("10")}
	_, err := modulestest.Decoded(m).Plan(t.Context(), recorded(text("vm.swappiness = 10\n"), observe.Sysctls.Unknown("vm.swappiness", "reasons")))
	if !observe.IsUnknown(err) {
		t.Errorf("expected the plan to be unknowable, got %v", err)
	}
}

func TestOverrides(t *testing.T) {
	files := []observe.TextFile{
		{Path: "/etc/sysctl.d/10-early.conf", Content: "vm.swappiness = 1\n"},
		{Path: "/etc/sysctl.d/99-sysctl.conf", Content: "vm.swappiness=60\n"},
		{Path: "/usr/lib/sysctl.d/99-same.conf", Content: "vm.swappiness = 10\n"},
	}
	h := recorded(text("vm.swappiness = 10\n"), now("vm.swappiness", "10"))
	h.Predict([]observe.Expectation{bootFiles.Expect("", files)})
	plan := modulestest.Converges(t, &Module{Name: "vm.swappiness", Value: value("10")}, h)
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "/etc/sysctl.d/99-sysctl.conf") {
		t.Errorf("expected one note about 99-sysctl.conf, got %q", plan.Notes)
	}
}

// TestForms compares values in the forms that people write with the forms that Linux 6 shows.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		name, want, is string
		same           bool
	}{
		{"net.ipv4.tcp_rmem", "4096 131072  6291456", "4096\t131072\t6291456", true},
		{"net.ipv4.tcp_rmem", "4096 131072", "4096\t131072\t6291456", true},
		{"net.ipv4.tcp_rmem", "4096 131072 6291456", "4096\t131072", false},
		{"kernel.printk", "3", "3\t4\t1\t7", true},
		{"kernel.printk", "4", "3\t4\t1\t7", false},
		{"net.ipv4.ip_forward", "0x1", "1", true},
		{"net.ipv4.ip_forward", "010", "8", true},
		{"net.ipv4.ip_forward", "1", "1\t", true},
		{"kernel.sched_rt_runtime_us", "-1", "-1", true},
		{"fs.file-max", "-1", "18446744073709551615", true},
		{"net.ipv4.ip_local_reserved_ports", "8082,8081,8080,22", "22,8080-8082", true},
		{"net.ipv4.ip_local_reserved_ports", "8080-8082", "8080-8083", false},
		{"kernel.watchdog_cpumask", "0,1,2,3", "0-3", true},
		{"net.core.flow_limit_cpu_bitmap", "0f", "00000000,0000000f", true},
		{"net.core.flow_limit_cpu_bitmap", "0f", "00000000,0000001f", false},
		{"kernel.core_pattern", "|/usr/lib/dump %p  %s", "|/usr/lib/dump %p %s", true},
		{"kernel.core_pattern", "core", "core.%p", false},
		{"net.ipv4.tcp_congestion_control", "bbr", "cubic", false},
		{"kernel.domainname", "1_0", "10", false},
	} {
		if got := equal(c.name, c.want, c.is); got != c.same {
			t.Errorf("%s: %q and %q count as the same: %v, expected %v", c.name, c.want, c.is, got, c.same)
		}
	}
}

func TestTextKeepsBlanks(t *testing.T) {
	m := &Module{Name: "kernel.core_pattern", Value: value(" |/usr/lib/dump %p  %s ")}
	plan := modulestest.Converges(t, m, recorded(observe.File{}, now("kernel.core_pattern", "core")))
	if got, want := plan.Steps[0].Action.(modules.Run).Argv[2], "kernel.core_pattern=|/usr/lib/dump %p  %s"; got != want {
		t.Errorf("it is written as %q, expected %q", got, want)
	}
}

// Settings that reset others come first: in the command, in the file, and in an existing file with another order.
func TestResetComesFirst(t *testing.T) {
	m := &Module{Settings: map[string]string{"net.ipv4.conf.all.accept_redirects": "0", "net.ipv4.ip_forward": "0", "net.ipv4.conf.eth0.rp_filter": "1"}}
	before := text("net.ipv4.conf.all.accept_redirects = 0\nnet.ipv4.ip_forward = 1\nvm.swappiness = 1\n")
	plan := modulestest.Converges(t, m, recorded(before, now("net.ipv4.ip_forward", "1"), now("net.ipv4.conf.all.accept_redirects", "1"), now("net.ipv4.conf.eth0.rp_filter", "0")))
	want := []string{"sysctl", "-w", "net.ipv4.ip_forward=0", "net.ipv4.conf.all.accept_redirects=0", "net.ipv4.conf.eth0.rp_filter=1"}
	if diff := cmp.Diff(want, plan.Steps[0].Action.(modules.Run).Argv); diff != "" {
		t.Errorf("the command differs (-want +got):\n%s", diff)
	}
	content := "net.ipv4.ip_forward = 0\nnet.ipv4.conf.all.accept_redirects = 0\nnet.ipv4.conf.eth0.rp_filter = 1\nvm.swappiness = 1\n"
	if diff := cmp.Diff(content, string(plan.Steps[1].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("the file differs (-want +got):\n%s", diff)
	}
	if !plan.Partial {
		t.Error("nothing looks again whether a setting has reset another")
	}
}

// A file that somebody else has written stays as it is, unless one of its settings would be reset at boot.
func TestOrderThatResetsNothing(t *testing.T) {
	const file = "vm.swappiness = 10\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.all.accept_redirects = 0\nnet.ipv6.conf.all.forwarding = 1\n"
	for line := range strings.Lines(file) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		plan := modulestest.Converges(t, &Module{Name: name, Value: &value}, recorded(text(file), now(name, value)))
		for _, step := range plan.Steps {
			t.Errorf("%s: %s", name, step.Summary)
		}
	}
}

func TestResets(t *testing.T) {
	const all, byDefault, port = "net.ipv4.conf.all.", "net.ipv4.conf.default.", "net/ipv4/conf/eth0.100/"
	for _, c := range []struct {
		name, other string
		want        bool
	}{
		{"net.ipv4.ip_forward", all + "accept_redirects", true},
		{"net.ipv4.ip_forward", all + "forwarding", true},
		{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", false},
		{"net.ipv4.ip_forward", "vm.swappiness", false},
		{"net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.accept_ra", true},
		{"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6", true},
		{"net.ipv6.conf.default.stable_secret", "net.ipv6.conf.eth0.addr_gen_mode", true},
		{all + "rp_filter", byDefault + "rp_filter", true},
		{all + "rp_filter", byDefault + "log_martians", false},
		{all + "rp_filter", all + "log_martians", false},
		{byDefault + "rp_filter", all + "rp_filter", false},
		{byDefault + "rp_filter", port + "rp_filter", true},
		{byDefault + "forwarding", port + "rp_filter", false},
		{port + "rp_filter", byDefault + "rp_filter", false},
	} {
		if got := resets(c.name, c.other); got != c.want {
			t.Errorf("whether %s resets %s: %t, expected %t", c.name, c.other, got, c.want)
		}
	}
}

func TestResetMakesUnknown(t *testing.T) {
	h := recorded(observe.File{}, now("net.ipv6.conf.all.forwarding", "0"))
	modulestest.Converges(t, &Module{Name: "net.ipv6.conf.all.forwarding", Value: value("1")}, h)
	if _, err := observe.Sysctls.Observe(t.Context(), h, "net.ipv6.conf.eth0.forwarding"); !observe.IsUnknown(err) {
		t.Errorf("forwarding of an interface is %v, expected it to be unknown", err)
	}
}

func TestNotState(t *testing.T) {
	for name, c := range map[string]struct {
		now  observe.Sysctl
		want string
	}{
		"net.ipv4.route.flush":      {observe.Sysctl{Exists: true, Hidden: true}, `command { argv = ["sysctl", "-w", "net.ipv4.route.flush=1"] }`},
		"net.ipv4.tcp_fastopen_key": {observe.Sysctl{Exists: true, Hidden: true, Fixed: true}, "become root"},
		"kernel.ostype":             {observe.Sysctl{Exists: true, Value: "Linux", Fixed: true}, "cannot be written"},
	} {
		_, err := modulestest.Decoded(&Module{Name: name, Value: value("1")}).Plan(t.Context(), recorded(observe.File{}, observe.Sysctls.Expect(name, c.now)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, expected one with %q", name, err, c.want)
		}
	}
	// A setting that cannot be written but has the desired value need not be written.
	h := recorded(text("kernel.ostype = Linux\n"), observe.Sysctls.Expect("kernel.ostype", observe.Sysctl{Exists: true, Value: "Linux", Fixed: true}))
	if plan := modulestest.Converges(t, &Module{Name: "kernel.ostype", Value: value("Linux")}, h); len(plan.Steps) > 0 {
		t.Errorf("there is something to do: %s", modulestest.Summaries(plan))
	}
}

func TestKernelLimitsValue(t *testing.T) {
	plan := modulestest.Converges(t, &Module{Name: "net.core.x", Value: value("5000")}, recorded(observe.File{}, now("net.core.x", "4096")))
	if got := plan.Steps[0].Unmet; !strings.Contains(got, `stores net.core.x as "4096"`) {
		t.Errorf("if it is found again, %q is said", got)
	}
}

func TestMaskedFiles(t *testing.T) {
	wins := observe.TextFile{Path: "/usr/lib/sysctl.d/99-wins.conf", Content: "vm.swappiness = 60\n"}
	for name, c := range map[string]struct {
		files []observe.TextFile
		notes string
	}{
		"a later file wins":       {[]observe.TextFile{wins}, wins.Path},
		"it is masked":            {[]observe.TextFile{wins, {Path: "/etc/sysctl.d/99-wins.conf"}}, ""},
		"it is masked until boot": {[]observe.TextFile{wins, {Path: "/run/sysctl.d/99-wins.conf"}}, ""},
		"another file hides it":   {[]observe.TextFile{wins, {Path: "/etc/sysctl.d/99-wins.conf", Content: "-vm.swappiness = 10\n"}}, ""},
		"the hiding file wins":    {[]observe.TextFile{wins, {Path: "/etc/sysctl.d/99-wins.conf", Content: "-vm.swappiness = 30\n"}}, "/etc/sysctl.d/99-wins.conf"},
		"a pattern never wins":    {[]observe.TextFile{{Path: "/usr/lib/sysctl.d/99-glob.conf", Content: "vm.* = 60\n-vm.swappiness\n"}}, ""},
	} {
		h := recorded(text("vm.swappiness = 10\n"), now("vm.swappiness", "10"))
		h.Predict([]observe.Expectation{bootFiles.Expect("", append(c.files, observe.TextFile{Path: name, Content: "vm.swappiness = 10\n"}))})
		plan := modulestest.Converges(t, &Module{Name: "vm.swappiness", Value: value("10")}, h)
		if got := strings.Join(plan.Notes, "\n"); (got == "") != (c.notes == "") || !strings.Contains(got, c.notes) {
			t.Errorf("%s: the notes are %q, expected one about %q", name, got, c.notes)
		}
	}
}

func TestCounterparts(t *testing.T) {
	for want, m := range map[bool]Module{
		true:  {Settings: map[string]string{"vm.dirty_bytes": "1000000", "vm/dirty_ratio": "20"}},
		false: {Settings: map[string]string{"vm.dirty_bytes": "1000000", "vm.dirty_ratio": "0"}},
	} {
		if err := modulestest.Decoded(&m).Validate(); (err != nil) != want {
			t.Errorf("%v: the fault is %v", m.Settings, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for argument, m := range map[string]Module{
		"name":     {Name: "net.ipv4.conf.*.rp_filter", Value: value("1")},
		"value":    {Name: "vm.swappiness"},
		"file":     {Name: "vm.swappiness", Value: value("1"), File: "/etc/sysctl.d/noext"},
		"settings": {Settings: map[string]string{"vm.swappiness": "1", "vm/swappiness": "2"}},
	} {
		err, ok := modulestest.Decoded(&m).Validate().(*modules.ArgumentError)
		if !ok || err.Argument != argument {
			t.Errorf("%+v: expected a fault in %s, got %v", m, argument, modulestest.Decoded(&m).Validate())
		}
	}
	for _, of := range []string{"core\n%p", "", " \t"} {
		var fault *modules.ArgumentError
		m := Module{Name: "vm.swappiness", Value: value(of)}
		if err := modulestest.Decoded(&m).Validate(); !errors.As(err, &fault) || fault.Argument != "value" {
			t.Errorf("value %q: %v, expected a fault in value", of, err)
		}
	}
}

// FuzzSet checks that a setting that was set is read back, exactly once, that setting it again changes nothing, and
// that unsetting it keeps the lines of other settings.
func FuzzSet(f *testing.F) {
	f.Add("# c\nvm.swappiness = 60\n", "vm.swappiness", "10")
	f.Add("a.b=1\r\n;x\n-vm.x = 2", "vm/x", "1 2")
	f.Fuzz(func(t *testing.T, before, name, value string) {
		m := Module{Name: name, Value: &value}
		if modulestest.Decoded(&m).Validate() != nil {
			return // not a setting
		}
		value = written(value)
		after := set(before, name, value)
		if got, ok := get(after, name); !ok || got != value {
			t.Errorf("%q: %s reads %q, expected %q", after, name, got, value)
		}
		if again := set(after, name, value); again != after {
			t.Errorf("setting again turns %q into %q", after, again)
		}
		if _, ok := get(unset(after, name), name); ok {
			t.Errorf("%s is still set in %q", name, unset(after, name))
		}
	})
}

func init() { observe.AddMeanings(placed) } // as the registry does

// A router does not accept redirects, whatever was set before; a host does.
func TestForwardingResetsRedirects(t *testing.T) {
	const redirects = "net.ipv4.conf.all.accept_redirects"
	for value, want := range map[string]string{"0": "1", "1": "0"} {
		h := recorded(observe.File{}, now("net.ipv4.ip_forward", "2"), now(redirects, "1"))
		modulestest.Converges(t, &Module{Name: "net.ipv4.ip_forward", Value: &value}, h)
		if got, err := observe.Sysctls.Observe(t.Context(), h, redirects); err != nil || got.Value != want {
			t.Errorf("ip_forward = %s: %s is %q (%v), want %s", value, redirects, got.Value, err, want)
		}
	}
	m := &Module{Settings: map[string]string{"net.ipv4.ip_forward": "1", redirects: "1"}}
	modulestest.Converges(t, m, recorded(observe.File{}, now("net.ipv4.ip_forward", "0"), now(redirects, "1")))
}
