package compose

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"hlplay/engine/pattern"
)

// file is what the module knows about a project's file.
type file struct{ services map[string]service }

// service is a service of a project's file.
type service struct {
	image string
	// once is set if the service is expected to run to completion, because another service waits for that.
	once bool
	// optional is set if the service is started only by a profile.
	optional bool
	// none is set if the service is scaled to 0.
	none bool
	// mounts lists the paths that it mounts from the host, relative to the project's directory or absolute.
	mounts []string
	// settings lists the files from which Compose itself reads the service's variables and labels, in the form of mounts.
	settings []string
	// raw is the decoded service, which does not depend on YAML's formatting.
	raw any
}

// fileError is an error in a project's file.
type fileError struct{ problem, want string }

func (e *fileError) Error() string { return e.problem }

func wantOf(err error) string {
	if e := (*fileError)(nil); errors.As(err, &e) {
		return e.want
	}
	return ""
}

// written is a service as it is decoded from YAML.
type written struct {
	Image    yaml.Node `yaml:"image"`
	Build    yaml.Node `yaml:"build"`
	Extends  yaml.Node `yaml:"extends"`
	Profiles []string  `yaml:"profiles"`
	Volumes  []mount   `yaml:"volumes"`
	Configs  []mount   `yaml:"configs"`
	Secrets  []mount   `yaml:"secrets"`
	EnvFile  paths     `yaml:"env_file"`
	Labels   paths     `yaml:"label_file"`
	Scale    yaml.Node `yaml:"scale"`
	Deploy   struct {
		Replicas yaml.Node `yaml:"replicas"`
	} `yaml:"deploy"`
	// DependsOn is a list of names, or the conditions by name.
	DependsOn yaml.Node `yaml:"depends_on"`
}

// mount is an entry of volumes, configs or secrets, in its short or long form.
type mount struct{ source string }

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *mount) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		m.source, _, _ = strings.Cut(n.Value, ":")
		return nil
	}
	var long struct {
		Source string `yaml:"source"`
	}
	err := n.Decode(&long)
	m.source = long.Source
	return err
}

// paths is the value of env_file or label_file: a path, or a list of paths and of mappings with one.
type paths []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *paths) UnmarshalYAML(n *yaml.Node) error {
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	for _, entry := range entries {
		entry = aliased(entry)
		long := struct{ Path string }{Path: entry.Value}
		if entry.Kind != yaml.ScalarNode {
			if err := entry.Decode(&long); err != nil {
				return err
			}
		}
		*p = append(*p, long.Path)
	}
	return nil
}

// reason returns the message of a YAML error without the names of Go types.
func reason(err error) string {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) && len(wrong.Errors) > 0 {
		said = wrong.Errors[0]
	}
	if line, _, ok := strings.Cut(said, ": cannot unmarshal "); ok {
		return line + ": Compose expects a value of another type"
	}
	return said
}

// aliased returns what an alias stands for, and any other node itself.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// parse reads a project's file. Compose itself checks the rest of it.
func parse(text string) (file, error) {
	var f struct {
		Include  yaml.Node                        `yaml:"include"`
		Services map[string]yaml.Node             `yaml:"services"`
		Configs  map[string]struct{ File string } `yaml:"configs"`
		Secrets  map[string]struct{ File string } `yaml:"secrets"`
	}
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		return file{}, &fileError{reason(err), "a file as in Compose's reference"}
	}
	switch {
	case !f.Include.IsZero():
		return file{}, &fileError{fmt.Sprintf("line %d: include is not supported", f.Include.Line), "one file describes the project"}
	case len(f.Services) == 0:
		return file{}, &fileError{"there are no services", "services: and at least one of them"}
	}
	all := file{services: map[string]service{}}
	var ends []string
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		node := f.Services[name]
		var w written
		s := service{}
		if err := errors.Join(node.Decode(&w), node.Decode(&s.raw)); err != nil {
			return file{}, &fileError{fmt.Sprintf("service %s: %s", name, reason(err)), "a service as in Compose's reference"}
		}
		image, after := aliased(&w.Image), aliased(&w.DependsOn)
		switch {
		case !w.Build.IsZero():
			return file{}, &fileError{fmt.Sprintf("line %d: service %s is built on the host", w.Build.Line, name), "an image from a registry, with its version"}
		case !w.Extends.IsZero():
			return file{}, &fileError{fmt.Sprintf("line %d: extends is not supported", w.Extends.Line), "a service that is written in full, or YAML's << and &"}
		case image.Value == "":
			return file{}, &fileError{fmt.Sprintf("line %d: service %s has no image", node.Line, name), "an image with its version, as in caddy:2.10.0"}
		}
		if problem := pinned(image.Value); problem != "" {
			return file{}, &fileError{fmt.Sprintf("line %d: image %q of service %s %s", w.Image.Line, image.Value, name, problem), "a version, as in caddy:2.10.0, or a digest, so that each run has the same image"}
		}
		s.image, s.optional, s.settings = image.Value, len(w.Profiles) > 0, slices.Concat(w.EnvFile, w.Labels)
		s.none = aliased(&w.Scale).Value == "0" || aliased(&w.Deploy.Replicas).Value == "0"
		for _, v := range w.Volumes {
			if strings.Contains(v.source, "/") || v.source == "." { // anything else is the name of a volume
				s.mounts = append(s.mounts, v.source)
			}
		}
		for _, c := range w.Configs {
			s.mounts = append(s.mounts, f.Configs[c.source].File)
		}
		for _, c := range w.Secrets {
			s.mounts = append(s.mounts, f.Secrets[c.source].File)
		}
		var conditions map[string]struct{ Condition string }
		if after.Kind == yaml.MappingNode {
			if err := after.Decode(&conditions); err != nil {
				return file{}, &fileError{fmt.Sprintf("depends_on of service %s: %s", name, reason(err)), "a service as in Compose's reference"}
			}
		}
		for other, on := range conditions {
			if on.Condition == "service_completed_successfully" {
				ends = append(ends, other)
			}
		}
		all.services[name] = s
	}
	for _, name := range ends {
		if s, known := all.services[name]; known { // a dependency with required: false may be missing
			s.once = true
			all.services[name] = s
		}
	}
	return all, nil
}

// sees reports whether the service mounts a file of a project in that directory.
func (s service) sees(directory, file string) bool { return within(s.mounts, directory, file) }

// reads reports whether Compose itself reads the file for the service.
func (s service) reads(directory, file string) bool { return within(s.settings, directory, file) }

// within reports whether a file is one of the paths or below one of them. The paths may be relative to the directory.
func within(paths []string, directory, file string) bool {
	return slices.ContainsFunc(paths, func(source string) bool {
		if source == "" {
			return false
		}
		if !path.IsAbs(source) {
			source = path.Join(directory, source)
		}
		source = path.Clean(source)
		return file == source || strings.HasPrefix(file, source+"/")
	})
}

// same reports whether the service has the same description in another file.
func (s service) same(other service) bool { return reflect.DeepEqual(s.raw, other.raw) }

var (
	imageForm  = pattern.New(`^[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$`)
	digestForm = pattern.New(`@sha256:[0-9a-f]{64}$`)
)

// pinned returns why an image reference does not always mean the same version; empty if it does.
func pinned(image string) string {
	base := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, tagged := strings.Cut(base, ":")
	switch {
	case strings.Contains(image, "$"):
		return "depends on a Compose variable"
	case !imageForm.MatchString(image):
		return "is not the name of an image"
	case digestForm.MatchString(image):
		return ""
	case !tagged || tag == "":
		return "has no version"
	case tag == "latest":
		return "refers to whatever is latest"
	}
	return ""
}
