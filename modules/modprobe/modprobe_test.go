package modprobe

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func recorded(load, options observe.File, more ...observe.Expectation) modules.Host {
	return observe.NewRecorded("pve1", append([]observe.Expectation{
		observe.Files.Expect(LoadFile, load),
		observe.Files.Expect(OptionsFile, options),
		observe.Files.Expect("/etc/modules-load.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/etc/modprobe.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.StaleInitramfs.Expect(OptionsFile, false),
		observe.Kernels.Expect("", observe.Kernel{Release: "6.8.12-9-pve"}),
	}, more...)...)
}

func state(name string, m observe.KernelModule) observe.Expectation {
	return observe.KernelModules.Expect(name, m)
}

var (
	available = observe.KernelModule{Available: true}
	loaded    = observe.KernelModule{Available: true, Loaded: true}
)

func TestPlan(t *testing.T) {
	passthrough := Module{Options: map[string]string{"kvm": "ignore_msrs=1"}, Blacklist: []string{"nouveau"}, Softdep: map[string]string{"nouveau": "pre: vfio-pci"}}
	const configured = "blacklist nouveau\noptions kvm  ignore_msrs=1\nsoftdep nouveau pre: vfio-pci\n"
	const rebuild = "rebuild the initramfs images of all kernels"
	for _, c := range []struct {
		name   string
		module Module
		host   modules.Host
		want   []string
	}{
		{"bare", Module{Modules: []string{"vfio", "vfio-pci"}}, recorded(observe.File{}, observe.File{}, state("vfio", available), state("vfio-pci", available)),
			[]string{"load kernel module vfio", "load kernel module vfio-pci", "load vfio, vfio-pci at boot"}},
		{"as desired", Module{Modules: []string{"vfio-pci"}}, recorded(text("vfio_pci\n"), observe.File{}, state("vfio-pci", loaded)), nil},
		{"loaded by hand", Module{Modules: []string{"vfio"}}, recorded(observe.File{}, observe.File{}, state("vfio", loaded)), []string{"load vfio at boot"}},
		{"options", passthrough, recorded(observe.File{}, observe.File{}, state("nouveau", available)),
			[]string{"configure kernel modules kvm, nouveau in " + OptionsFile, rebuild}},
		{"options in a container, which has no kernel of its own", passthrough, recorded(observe.File{}, observe.File{}, state("nouveau", available), observe.InstalledKernels.Expect("", nil)),
			[]string{"configure kernel modules kvm, nouveau in " + OptionsFile}},
		{"options as desired", passthrough, recorded(observe.File{}, text(configured), state("nouveau", available)), nil},
		{"an interrupted rebuild", passthrough, recorded(observe.File{}, text(configured), state("nouveau", available), observe.StaleInitramfs.Expect(OptionsFile, true)), []string{rebuild}},
		{"absent", Module{Modules: []string{"vfio"}, State: "absent"}, recorded(text("vfio\nzfs\n"), observe.File{}), []string{"no longer load vfio at boot"}},
		{"absent, the last one", Module{Modules: []string{"vfio"}, State: "absent"}, recorded(text(loadHeader+"vfio\n"), observe.File{}), []string{"remove " + LoadFile + ", in which nothing is left"}},
		{"another kernel will run", Module{Modules: []string{"vfio"}},
			recorded(observe.File{}, observe.File{}, observe.KernelModules.Unknown("vfio", "another kernel will run after the reboot")),
			[]string{"load kernel module vfio", "load vfio at boot"}},
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

// TestReadsWithoutAModule plans for a kernel that lacks the first of several modules, as Debian's may until Proxmox VE's runs. Once that
// runs, the plan must not come to anything that was not read with the last step before it.
func TestReadsWithoutAModule(t *testing.T) {
	ctx, saw := observe.Track(t.Context())
	m := modulestest.Decoded(&Module{Modules: []string{"vfio", "vfio_iommu_type1", "vfio_pci"}})
	h := recorded(observe.File{}, observe.File{}, state("vfio", observe.KernelModule{}), state("vfio_iommu_type1", observe.KernelModule{}), state("vfio_pci", available))
	planned := make(chan error)
	h.Go(ctx, func(ctx context.Context) {
		_, err := m.Plan(ctx, h)
		planned <- err
	})
	err := <-planned
	if err == nil || !strings.Contains(err.Error(), "no module vfio:") {
		t.Errorf("error %v, expected that there is no module vfio", err)
	}
	read := map[observe.Key]bool{}
	for _, r := range saw.Reads() {
		read[r.Key()] = true
	}
	for _, want := range []observe.Key{
		observe.Files.Key(LoadFile), configFiles.Key(""),
		observe.KernelModules.Key("vfio"), observe.KernelModules.Key("vfio_iommu_type1"), observe.KernelModules.Key("vfio_pci"),
	} {
		if !read[want] {
			t.Errorf("%s was not read", want)
		}
	}
}

func TestContent(t *testing.T) {
	m := &Module{Options: map[string]string{"kvm": "ignore_msrs=1"}, Blacklist: []string{"nouveau"}}
	plan := modulestest.Converges(t, m, recorded(observe.File{}, text("# mine\noptions kvm ignore_msrs=0\noptions kvm nested=1\noptions bonding mode=4"), state("nouveau", available)))
	want := "# mine\noptions kvm ignore_msrs=1\noptions bonding mode=4\nblacklist nouveau\n"
	if diff := cmp.Diff(want, string(plan.Steps[0].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("the file differs (-want +got):\n%s", diff)
	}
}

func TestModuleThatIsGone(t *testing.T) {
	for name, want := range map[string]string{"vfio_virqfd": "since kernel 6.2", "vfoi": "modules.dep"} {
		_, err := (&Module{Modules: []string{name}}).Plan(t.Context(), recorded(observe.File{}, observe.File{}, state(name, observe.KernelModule{})))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "6.8.12-9-pve") {
			t.Errorf("%s: expected an error that names the kernel and says %q, got %v", name, want, err)
		}
	}
}

func TestLoadedAlthoughBlacklisted(t *testing.T) {
	plan := modulestest.Converges(t, &Module{Blacklist: []string{"nouveau"}}, recorded(observe.File{}, text("blacklist nouveau\n"), state("nouveau", loaded)))
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "until the next boot") {
		t.Errorf("expected a note about nouveau, got %q", plan.Notes)
	}
}

func TestBridgeSettingsAppear(t *testing.T) {
	h := recorded(observe.File{}, observe.File{}, state("br_netfilter", available))
	modulestest.Converges(t, &Module{Modules: []string{"br_netfilter"}}, h)
	s, err := observe.Sysctls.Observe(t.Context(), h, "net.bridge.bridge-nf-call-iptables")
	if err != nil || s != (observe.Sysctl{Exists: true, Value: "1"}) {
		t.Errorf("after loading br_netfilter its setting is %+v (%v), expected 1", s, err)
	}
}

func TestValidate(t *testing.T) {
	for argument, m := range map[string]Module{
		"modules":   {},
		"blacklist": {Blacklist: []string{"nvidia*"}},
		"options":   {Options: map[string]string{"kvm": ""}},
		"softdep":   {Softdep: map[string]string{"a b": "pre: c"}},
	} {
		err, ok := m.Validate().(*modules.ArgumentError)
		if !ok || err.Argument != argument {
			t.Errorf("%+v: expected a fault in %s, got %v", m, argument, m.Validate())
		}
	}
}

// FuzzLine checks that a line which is put into a file is found there, that putting it again changes nothing, and that
// removing it leaves no trace.
func FuzzLine(f *testing.F) {
	f.Add("# c\noptions kvm nested=1\n", "options", "kvm", "ignore_msrs=1")
	f.Add("vfio\n", "", "vfio-pci", "")
	f.Fuzz(func(t *testing.T, before, keyword, module, rest string) {
		if keyword != "" && keyword != "options" && keyword != "blacklist" && keyword != "softdep" || !namePattern.MatchString(module) || strings.ContainsAny(rest, "\n#") {
			return
		}
		l := line{keyword, module, normal(rest)}
		after := l.putInto(before)
		if again := l.putInto(after); again != after {
			t.Errorf("putting %q again turns %q into %q", l, after, again)
		}
		removed := l.removeFrom(after)
		for text := range strings.Lines(removed) {
			if other, ok := parse(text, keyword != ""); ok && l.about(other) {
				t.Errorf("%q is still in %q", l, removed)
			}
		}
	})
}

// Other files in modprobe.d that take precedence, or only seem to.
func TestOtherFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files []observe.TextFile
		want  string
	}{
		"a later option wins":             {[]observe.TextFile{{Path: "/etc/modprobe.d/z.conf", Content: "options kvm-intel nested=0\n"}}, "nested=0"},
		"behind a backslash":              {[]observe.TextFile{{Path: "/usr/lib/modprobe.d/z.conf", Content: "options kvm_intel \\\n\tnested=0\n"}}, "nested=0"},
		"an earlier option loses":         {[]observe.TextFile{{Path: "/etc/modprobe.d/a.conf", Content: "options kvm_intel nested=0\n"}}, ""},
		"the same value":                  {[]observe.TextFile{{Path: "/etc/modprobe.d/z.conf", Content: "options kvm_intel nested=1 ept=0\n"}}, ""},
		"a comment":                       {[]observe.TextFile{{Path: "/etc/modprobe.d/z.conf", Content: "# options kvm_intel \\\noptions kvm_intel nested=0\n"}}, ""},
		"masked":                          {[]observe.TextFile{{Path: "/usr/lib/modprobe.d/z.conf", Content: "options kvm_intel nested=0\n"}, {Path: "/etc/modprobe.d/z.conf"}}, ""},
		"blacklisted, in whatever order":  {[]observe.TextFile{{Path: "/lib/modprobe.d/a.conf", Content: "blacklist vfio-pci\n"}}, "at boot it is not loaded"},
		"a command in its place":          {[]observe.TextFile{{Path: "/etc/modprobe.d/a.conf", Content: "install vfio_pci /bin/false\n"}}, "/bin/false"},
		"a soft dependency of an earlier": {[]observe.TextFile{{Path: "/etc/modprobe.d/a.conf", Content: "softdep nouveau post: x\n"}}, "post: x"},
		"a soft dependency of a later":    {[]observe.TextFile{{Path: "/etc/modprobe.d/z.conf", Content: "softdep nouveau post: x\n"}}, ""},
	} {
		m := &Module{Modules: []string{"vfio_pci"}, Options: map[string]string{"kvm_intel": "nested=1"}, Softdep: map[string]string{"nouveau": "pre: vfio-pci"}}
		h := observe.NewRecorded("pve1", configFiles.Expect("", c.files))
		if got := strings.Join(m.others(t.Context(), h), "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the notes are %q, expected one with %q", name, got, c.want)
		}
	}
}

func TestContinuedLine(t *testing.T) {
	l := line{"options", "kvm", "ignore_msrs=1"}
	for before, want := range map[string]string{
		"options kvm \\\n  ignore_msrs=0\nblacklist x\n": "options kvm ignore_msrs=1\nblacklist x\n",
		"options kvm \\\n  ignore_msrs=1\n":              "options kvm \\\n  ignore_msrs=1\n",
		"# a comment \\\noptions kvm ignore_msrs=1\n":    "# a comment \\\noptions kvm ignore_msrs=1\noptions kvm ignore_msrs=1\n",
		"blacklist x\\\n":                                "blacklist x\noptions kvm ignore_msrs=1\n",
		"blacklist x\\":                                  "blacklist x\noptions kvm ignore_msrs=1\n",
	} {
		if got := l.putInto(before); got != want {
			t.Errorf("%q becomes %q, expected %q", before, got, want)
		}
	}
	if got := l.removeFrom("options kvm \\\n  ignore_msrs=0\nblacklist x\n"); got != "blacklist x\n" {
		t.Errorf("what is left is %q, expected the blacklist alone", got)
	}
	// The list of modules to load has no continuation lines.
	if got := (line{module: "b"}).putInto("a \\\nb\n"); got != "a \\\nb\n" {
		t.Errorf("the list is %q", got)
	}
}

func init() { observe.AddMeanings(placed) } // as the registry does
