package modules

import (
	"fmt"
	"strings"
)

// Risk classifies what can go wrong when a step is carried out, from the least to the worst.
type Risk int

const (
	// Harmless is the default.
	Harmless Risk = iota
	// Unforeseen marks a command from the playbook, whose effects hlplay cannot know.
	Unforeseen
	// Restarts marks a step that restarts, stops or moves a service or a guest.
	Restarts
	// CutsSSH marks a step that can cut the connection, and that the host undoes by itself if it does.
	CutsSSH
	// CostsQuorum marks a step that can cost a cluster a vote for a while.
	CostsQuorum
	// MovesData marks a step after which a storage moves data between disks.
	MovesData
	// Destroys marks a step that removes what cannot be brought back.
	Destroys
)

// risks holds the name and meaning of each class.
var risks = [...]struct{ name, meaning string }{
	Harmless:    {"harmless", "changes files or settings, or adds something"},
	Unforeseen:  {"command", "runs a command from the playbook, whose effects only its author knows"},
	Restarts:    {"restart", "restarts, stops or moves a service or guest, or changes packages that may do so"},
	CutsSSH:     {"ssh", "can cut the SSH connection; the host undoes it unless a new connection succeeds"},
	CostsQuorum: {"quorum", "can cost the cluster a vote for a while: a reboot, a change that a reboot will apply, a change of membership"},
	MovesData:   {"data", "makes the storage move data between disks"},
	Destroys:    {"destroy", "removes what cannot be brought back: files, accounts, nodes, or the contents of a disk"},
}

func (r Risk) String() string { return risks[r].name }

// Meaning describes the class in a few words.
func (r Risk) Meaning() string { return risks[r].meaning }

// MarshalText implements encoding.TextMarshaler.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Risk) UnmarshalText(text []byte) error {
	risk, err := ParseRisk(string(text))
	*r = risk
	return err
}

// Risks returns all classes, from the least to the worst.
func Risks() []Risk {
	all := make([]Risk, len(risks))
	for i := range risks {
		all[i] = Risk(i)
	}
	return all
}

// ParseRisk returns the class called name.
func ParseRisk(name string) (Risk, error) {
	var names []string
	for i, r := range risks {
		if r.name == name {
			return Risk(i), nil
		}
		names = append(names, r.name)
	}
	return 0, fmt.Errorf("there is no risk class %q; the classes are %s", name, strings.Join(names, ", "))
}

// RiskOf returns the class of a step of the plan: the worst of what the step declares and what its action and the plan's guard imply.
func (p Plan) RiskOf(s Step) Risk {
	risk := s.Risk
	switch action := s.Action.(type) {
	case Reboot:
		risk = max(risk, CostsQuorum)
	case Remove:
		if !action.Lossless {
			risk = max(risk, Destroys)
		}
	}
	if s.Unknown {
		risk = max(risk, Unforeseen)
	}
	if p.Guard != nil {
		risk = max(risk, CutsSSH)
	}
	return risk
}
