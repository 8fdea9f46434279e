package locale

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func regular(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func host(more ...observe.Expectation) modules.Host {
	dir := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	return observe.NewRecorded("n1", append([]observe.Expectation{
		generated.Expect("", []string{"C", "C.utf8", "POSIX", "en_US.utf8"}),
		observe.Programs.Expect("locale-gen", true),
		observe.Files.Expect("/etc", dir), observe.Files.Expect("/etc/default", dir),
		observe.Files.Expect(list, regular("# de_DE.UTF-8 UTF-8\n# en_US ISO-8859-1\nen_US.UTF-8 UTF-8\n")),
		observe.Files.Expect(supported, regular("de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n")),
		observe.Files.Expect(setting, regular("LANG=C.UTF-8\nLC_TIME=C.UTF-8\n")),
	}, more...)...)
}

func TestPlans(t *testing.T) {
	for _, test := range []struct {
		name   string
		locale locale
		host   modules.Host
		want   []string
		text   map[string]string // by path
	}{
		{"there", locale{Generate: []string{"en_US.UTF-8"}}, host(), nil, nil},
		{"one that is listed as a comment", locale{Generate: []string{"de_DE.UTF-8"}}, host(),
			[]string{"list de_DE.UTF-8 in /etc/locale.gen", "generate the locales de_DE.UTF-8"}, map[string]string{list: "de_DE.UTF-8 UTF-8\n# en_US ISO-8859-1\nen_US.UTF-8 UTF-8\n"}},
		{"one that is not listed", locale{Generate: []string{"fr_FR.UTF-8", "en_US.UTF-8"}}, host(),
			[]string{"list fr_FR.UTF-8, en_US.UTF-8 in /etc/locale.gen", "generate the locales fr_FR.UTF-8"}, map[string]string{list: "# de_DE.UTF-8 UTF-8\n# en_US ISO-8859-1\nen_US.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n"}},
		{"listed, and not made", locale{Generate: []string{"en_US.UTF-8"}}, host(generated.Expect("", []string{"C.utf8"})), []string{"generate the locales en_US.UTF-8"}, nil},
		{"another language", locale{Lang: "en_US.UTF-8"}, host(), []string{"set the host's locale to en_US.UTF-8"}, map[string]string{setting: "LANG=en_US.UTF-8\nLC_TIME=C.UTF-8\n"}},
		{"the language that it has", locale{Lang: "C.UTF-8"}, host(), nil, nil},
		{"no file yet", locale{Lang: "C.UTF-8"}, host(observe.Files.Expect(setting, observe.File{})), []string{"set the host's locale to C.UTF-8"}, map[string]string{setting: "LANG=C.UTF-8\n"}},
		{"in quotes", locale{Lang: "en_US.UTF-8"}, host(observe.Files.Expect(setting, regular("LANG=\"en_US.UTF-8\"\n"))), nil, nil},
		{"with the line ends of Windows", locale{Generate: []string{"de_DE.UTF-8", "fr_FR.UTF-8"}, Lang: "de_DE.UTF-8"},
			host(observe.Files.Expect(list, regular("# de_DE.UTF-8 UTF-8\r\nen_US.UTF-8 UTF-8\r\n")), observe.Files.Expect(setting, regular("LANG=C.UTF-8\r\nLC_TIME=C.UTF-8\r\n"))),
			[]string{"list de_DE.UTF-8, fr_FR.UTF-8 in /etc/locale.gen", "generate the locales de_DE.UTF-8, fr_FR.UTF-8", "set the host's locale to de_DE.UTF-8"},
			map[string]string{list: "de_DE.UTF-8 UTF-8\r\nen_US.UTF-8 UTF-8\r\nfr_FR.UTF-8 UTF-8\r\n", setting: "LANG=de_DE.UTF-8\r\nLC_TIME=C.UTF-8\r\n"}},
		{"made and set", locale{Generate: []string{"de_DE.UTF-8"}, Lang: "de_DE.UTF-8"}, host(),
			[]string{"list de_DE.UTF-8 in /etc/locale.gen", "generate the locales de_DE.UTF-8", "set the host's locale to de_DE.UTF-8"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.locale.Validate(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range modulestest.Converges(t, &test.locale, test.host).Steps {
				got = append(got, step.Summary)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong steps (-want +got):\n%s", diff)
			}
			for name, want := range test.text {
				if text, _, err := observe.Text(t.Context(), test.host, name); err != nil || text != want {
					t.Errorf("%s is %q (%v), expected %q", name, text, err, want)
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		want   string
		locale locale
		host   modules.Host
	}{
		{"n1 has no locale xx_XX.UTF-8", locale{Generate: []string{"xx_XX.UTF-8"}}, host()},
		{"(package locales) needs locale-gen", locale{Generate: []string{"de_DE.UTF-8"}}, host(observe.Programs.Expect("locale-gen", false))},
		{"n1 has no locale de_DE.UTF-8: add it to generate", locale{Lang: "de_DE.UTF-8"}, host()},
	} {
		if plan, err := test.locale.Plan(t.Context(), test.host); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the error is %v, expected one with %q; the plan is:\n%s", err, test.want, modulestest.Summaries(plan))
		}
	}
	for argument, faulty := range map[string]locale{"generate": {Generate: []string{"german"}}, "lang": {Lang: "de"}} {
		var fault *modules.ArgumentError
		if err := faulty.Validate(); !errors.As(err, &fault) || fault.Argument != argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", faulty, err, argument)
		}
	}
	if (&locale{}).Validate() == nil {
		t.Error("there is nothing to do, and that is no fault")
	}
}

// The C library prints names of locales in a form of its own. They are compared with the usual ones without regard to the
// case and the hyphens of the codeset.
func TestObservedLocales(t *testing.T) {
	got := modulestest.Parsed(t, generated, []string{""}, remote.Answer{Stdout: []byte("C\nC.utf8\nde_DE.utf8\nca_ES.utf8@valencia\nde_DE.UTF-8\n")})[""]
	if want := []string{"C", "C.utf8", "ca_ES.utf8@valencia", "de_DE.utf8"}; !cmp.Equal(got, want) {
		t.Errorf("the locales are %q, expected %q", got, want)
	}
	if real := modulestest.Fetch(t, generated, "")[""]; len(real) == 0 {
		t.Error("this machine has no locale")
	}
}
