package apt

import (
	"slices"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
)

func TestAdvice(t *testing.T) {
	const trixie = "VERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"
	off, on := false, true
	release := observe.Files.Expect("/etc/os-release", observe.File{Type: observe.Regular, Content: []byte(trixie)})
	installed := observe.Packages.Expect("appliance", observe.Package{Status: observe.InstalledStatus, Version: "9.0"})
	absent := observe.Packages.Expect("appliance", observe.Package{})
	suite := func(uri, suite string) Module {
		return Module{Repositories: []Repository{{Name: "appliance", URIs: []string{uri}, Suites: []string{suite}, Enabled: &on}}}
	}
	for _, test := range []struct {
		name   string
		module Module
		host   observe.Expectation
		want   []string
	}{
		{"a safe upgrade of a host with the product", Module{Upgrade: "safe"}, installed, []string{modules.AdviceUpgrade}},
		{"a safe upgrade of Debian", Module{Upgrade: "safe"}, absent, nil},
		{"a full upgrade of a host with the product", Module{Upgrade: "full"}, installed, nil},
		{"a safe upgrade that installs the product", Module{Upgrade: "safe", Packages: []string{"appliance"}}, absent, []string{modules.AdviceUpgrade}},
		{"a suite of another release", suite("http://download.appliance.example/debian", "bookworm"), release, []string{modules.AdviceSuite}},
		{"a suite of another release, by the archive's bare domain", suite("https://appliance.example/debian", "bookworm"), release, []string{modules.AdviceSuite}},
		{"the host's own suite", suite("http://download.appliance.example/debian", "trixie"), release, nil},
		{"another release of a domain that ends alike", suite("http://notappliance.example/debian", "bookworm"), release, nil},
		{"another release of others", suite("http://deb.example.org/debian", "bookworm"), release, nil},
		{"the no-subscription source", Module{Repositories: []Repository{{Name: "pve-install-repo", State: "absent", Enabled: &on}}}, release, []string{modules.AdviceNoSource}},
		{"the no-subscription source, disabled", Module{Repositories: []Repository{{Name: "proxmox", Enabled: &off}}}, release, []string{modules.AdviceNoSource}},
		{"the source with one", Module{Repositories: []Repository{{Name: "pve-enterprise", Enabled: &off}}}, release, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := observe.NewRecorded("pve1", test.host)
			var got []string
			for _, a := range append(test.module.Advise(), test.module.advice(t.Context(), h)...) {
				got = append(got, a.Name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the advice is %q, expected %q", got, test.want)
			}
		})
	}
}
