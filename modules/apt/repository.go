package apt

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Repository is the desired state of a file in /etc/apt/sources.list.d.
type Repository struct {
	Name          string   `hcl:"name" doc:"The file's name without its extension: pve-enterprise for pve-enterprise.sources or pve-enterprise.list."`
	Format        string   `hcl:"format,optional" default:"auto" enum:"auto,deb822,list" doc:"deb822 writes NAME.sources, list NAME.list; auto keeps the format of an existing file; for a new one it is deb822 from Debian 13 on."`
	Types         []string `hcl:"types,optional" default:"[\"deb\"]" enum:"deb,deb-src" doc:"Binary packages, sources or both."`
	URIs          []string `hcl:"uris,optional" doc:"URIs of the repository. Without them, an existing file is only enabled or disabled."`
	Suites        []string `hcl:"suites,optional" doc:"Suites, such as trixie."`
	Components    []string `hcl:"components,optional" doc:"Components, such as pve-no-subscription."`
	SignedBy      string   `hcl:"signed_by,optional" doc:"Path of the key that signs the repository."`
	Architectures []string `hcl:"architectures,optional" doc:"Limit the repository to these architectures, such as amd64."`
	Enabled       *bool    `hcl:"enabled,optional" default:"true" doc:"false disables the repository in place: with Enabled: no, or # at the start of the line. Without uris and without such a file, nothing is done."`
	State         string   `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent removes both files of that name."`
}

const sourcesDir = "/etc/apt/sources.list.d/"

// sourceName matches the names that apt accepts for a source file (sources.list(5)).
var sourceName = pattern.New(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)

func (r *Repository) validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: "repository." + argument, Problem: problem, Want: want}
	}
	switch {
	case !sourceName.MatchString(r.Name):
		return fault("name", fmt.Sprintf("apt ignores files with the name %q", r.Name), "expected letters, digits, _, - and .")
	case path.Ext(r.Name) == ".list" || path.Ext(r.Name) == ".sources":
		return fault("name", fmt.Sprintf("%q has an extension", r.Name), stem(r.Name)+", which format determines")
	case r.State == "absent":
		return nil
	case len(r.URIs) == 0 && len(r.Suites)+len(r.Components) > 0:
		return fault("uris", "is missing", "expected the URI of the repository, such as http://deb.example.org/debian")
	case len(r.URIs) > 0 && len(r.Suites) == 0:
		return fault("suites", "is missing", "expected a release such as trixie")
	case len(r.Types) == 0:
		return fault("types", "is empty", "expected deb, deb-src or both")
	case r.SignedBy != "" && !path.IsAbs(r.SignedBy):
		return fault("signed_by", fmt.Sprintf("%q is not an absolute path", r.SignedBy), "expected a path such as /usr/share/keyrings/proxmox-archive-keyring.gpg")
	}
	for _, suite := range r.Suites {
		if strings.HasSuffix(suite, "/") != (len(r.Components) == 0) {
			return fault("components", fmt.Sprintf("do not match the suite %q", suite), "expected components for a suite such as trixie, and none for a path that ends in a slash")
		}
	}
	for argument, values := range map[string][]string{"uris": r.URIs, "suites": r.Suites, "components": r.Components, "architectures": r.Architectures, "signed_by": {r.SignedBy}} {
		for _, v := range values {
			if strings.ContainsAny(v, " \t\n#[]") {
				return fault(argument, fmt.Sprintf("%q is not allowed in a source file", v), "expected no blanks, brackets or #")
			}
		}
	}
	return nil
}

func (r *Repository) path(format string) string {
	if format == "deb822" {
		return sourcesDir + r.Name + ".sources"
	}
	return sourcesDir + r.Name + ".list"
}

func (r *Repository) plan(ctx context.Context, h modules.Host) (steps []modules.Step, notes []string, err error) {
	deb822, list := r.path("deb822"), r.path("list")
	observe.Files.Want(h, deb822, list)
	if r.State == "absent" {
		for _, name := range []string{deb822, list} {
			removed, err := conffile.Remove(ctx, h, name, "remove repository "+r.Name+" ("+name+")")
			if err != nil {
				return nil, nil, err
			}
			steps = append(steps, removed...)
		}
		return steps, nil, mayAppear(ctx, h, deb822, list)
	}
	if len(r.URIs) == 0 {
		for _, name := range []string{deb822, list} {
			switchedOver, err := r.planSwitch(ctx, h, name)
			if err != nil {
				return nil, nil, err
			}
			steps = append(steps, switchedOver...)
		}
		return steps, nil, mayAppear(ctx, h, deb822, list)
	}
	observe.Files.Want(h, path.Clean(sourcesDir)) // which a new file is written to
	return r.planDefinition(ctx, h)
}

// mayAppear returns why one of the files may exist when the task runs although none exists now.
func mayAppear(ctx context.Context, h modules.Host, names ...string) error {
	files, err := observe.Files.ObserveAll(ctx, h, names)
	if err != nil || slices.ContainsFunc(names, func(name string) bool { return files[name].Exists() }) {
		return err
	}
	for _, name := range names {
		if err := observe.Files.MayAppear(h, name); err != nil {
			return err
		}
	}
	return nil
}

// planSwitch enables or disables the definitions in an existing file.
func (r *Repository) planSwitch(ctx context.Context, h modules.Host, name string) ([]modules.Step, error) {
	text, exists, err := observe.Text(ctx, h, name)
	if err != nil || !exists {
		return nil, err
	}
	verb := "disable"
	if *r.Enabled {
		verb = "enable"
	}
	return conffile.Write(ctx, h, name, switched(name, text, *r.Enabled), verb+" repository "+r.Name+" in "+name)
}

// planDefinition makes a single file define the repository.
func (r *Repository) planDefinition(ctx context.Context, h modules.Host) (steps []modules.Step, notes []string, err error) {
	format, err := r.format(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	name, other := r.path(format), r.path(map[string]string{"deb822": "list", "list": "deb822"}[format])
	text, exists, err := observe.Text(ctx, h, name)
	if err != nil {
		return nil, nil, err
	}
	wanted := observe.TextFile{Path: name, Content: r.render(format)}
	if *r.Enabled {
		elsewhere, err := r.elsewhere(ctx, h, wanted, exists, name, other)
		if err != nil {
			return nil, nil, err
		}
		if elsewhere != "" && !exists {
			return nil, []string{fmt.Sprintf("repository %s is already defined in %s: not written again", r.Name, elsewhere)}, nil
		}
	}
	if !exists || !r.asWanted(observe.TextFile{Path: name, Content: text}, wanted) {
		verb := "add"
		if exists {
			verb = "change"
		}
		if !*r.Enabled {
			verb += " disabled"
		}
		steps, err = conffile.Write(ctx, h, name, wanted.Content, fmt.Sprintf("%s repository %s (%s) in %s", verb, r.Name, strings.Join(r.URIs, ", "), name))
		if err != nil {
			return nil, nil, err
		}
	}
	removed, err := conffile.Remove(ctx, h, other, "remove "+other+", which "+name+" replaces")
	return append(steps, removed...), nil, err
}

// asWanted compares the meaning of two files rather than their text: order, comments and spelling are up to the person
// who wrote them.
func (r *Repository) asWanted(is, want observe.TextFile) bool {
	if *r.Enabled {
		return slices.Equal(enabledSources(is), enabledSources(want))
	}
	if len(enabledSources(is)) > 0 {
		return false
	}
	is.Content, want.Content = switched(is.Path, is.Content, true), switched(want.Path, want.Content, true)
	return slices.Equal(enabledSources(is), enabledSources(want))
}

// format returns the format of the file to be written.
func (r *Repository) format(ctx context.Context, h modules.Host) (string, error) {
	if r.Format == "deb822" || r.Format == "list" {
		return r.Format, nil
	}
	observe.Files.Want(h, "/etc/os-release")
	for _, format := range []string{"deb822", "list"} {
		f, err := observe.Files.Observe(ctx, h, r.path(format))
		if err != nil {
			return "", err
		}
		if f.Exists() {
			return format, nil
		}
	}
	release, _, err := observe.Text(ctx, h, "/etc/os-release")
	if err != nil {
		return "", err
	}
	if debianVersion(release) >= 13 {
		return "deb822", nil
	}
	return "list", nil
}

// codenames lists Debian's releases, after which suites are named.
var codenames = []string{"buster", "bullseye", "bookworm", "trixie", "forky", "duke"}

// foreign returns why it is doubtful, before it is tried, that the host can use the repository: it is for a different
// Debian release, which may be signed with a different key and depend on packages that are not available. Nil means
// that there is no such doubt.
func (r *Repository) foreign(ctx context.Context, h modules.Host) (doubt, err error) {
	if !*r.Enabled || r.State == "absent" {
		return nil, nil
	}
	release, _, err := observe.Text(ctx, h, "/etc/os-release")
	if err != nil {
		return nil, err
	}
	own := observe.Codename(release)
	for _, suite := range r.Suites {
		name, _, _ := strings.Cut(suite, "-")
		if name, _, _ = strings.Cut(name, "/"); own != "" && name != own && slices.Contains(codenames, name) {
			return fmt.Errorf("repository %s is for Debian %s and the host runs %s: check mode cannot tell whether its key matches and its packages can be installed", r.Name, name, own), nil
		}
	}
	return nil, nil
}

// debianVersion returns VERSION_ID of os-release(5). Testing and unstable have none and count as newest.
func debianVersion(release string) int {
	for line := range strings.Lines(release) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_ID="); ok {
			major, _, _ := strings.Cut(strings.Trim(value, `"'`), ".")
			if n, err := strconv.Atoi(major); err == nil {
				return n
			}
		}
	}
	return 99
}

// render returns the content of the file.
func (r *Repository) render(format string) string {
	if format == "deb822" {
		return r.renderDeb822()
	}
	var options []string
	if len(r.Architectures) > 0 {
		options = append(options, "arch="+strings.Join(r.Architectures, ","))
	}
	if r.SignedBy != "" {
		options = append(options, "signed-by="+r.SignedBy)
	}
	var out strings.Builder
	for _, kind := range r.Types {
		for _, uri := range r.URIs {
			for _, suite := range r.Suites {
				fields := []string{kind}
				if len(options) > 0 {
					fields = append(fields, "["+strings.Join(options, " ")+"]")
				}
				line := strings.Join(append(append(fields, uri, suite), r.Components...), " ")
				if !*r.Enabled {
					line = "# " + line
				}
				out.WriteString(line + "\n")
			}
		}
	}
	return out.String()
}

func (r *Repository) renderDeb822() string {
	var out strings.Builder
	field := func(name string, values ...string) {
		if value := strings.Join(values, " "); value != "" {
			out.WriteString(name + ": " + value + "\n")
		}
	}
	if !*r.Enabled {
		field("Enabled", "no")
	}
	field("Types", r.Types...)
	field("URIs", r.URIs...)
	field("Suites", r.Suites...)
	field("Components", r.Components...)
	field("Architectures", r.Architectures...)
	field("Signed-By", r.SignedBy)
	return out.String()
}

// elsewhere returns the other file, if any, that already defines everything that is wanted, whichever key it names.
// Nothing needs to be written then; the file may have been created by a person or by Proxmox's web interface. A file
// that defines a part of it with a different key is an error if a file of our own exists or has to be written: apt
// fails if there are two (`Conflicting values set for option Signed-By`).
func (r *Repository) elsewhere(ctx context.Context, h modules.Host, wanted observe.TextFile, exists bool, own ...string) (string, error) {
	files, err := SourceFiles.Observe(ctx, h, "")
	if observe.IsUnknown(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	want := enabledSources(wanted)
	complete := ""
	for _, f := range files {
		if slices.Contains(own, f.Path) {
			continue
		}
		is := enabledSources(f)
		covered := !slices.ContainsFunc(want, func(w signedSource) bool {
			return !slices.ContainsFunc(is, func(s signedSource) bool { return s.source == w.source })
		})
		if covered && !exists {
			return f.Path, nil
		}
		for _, s := range is {
			for _, w := range want {
				if s.uri == w.uri && s.suite == w.suite && s.signedBy != w.signedBy {
					return "", fmt.Errorf("%s also defines %s %s, with signed-by %q instead of %q, which apt rejects: disable or remove that one first, or use the same signed_by", f.Path, strings.TrimSuffix(s.uri, "/"), s.suite, s.signedBy, w.signedBy)
				}
			}
		}
		if covered {
			complete = f.Path
		}
	}
	return complete, nil
}
