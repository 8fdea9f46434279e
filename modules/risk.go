package modules

import (
	"fmt"
	"strings"
)

// Risk is the class of what can go wrong when a step is carried out, from the least to the greatest.
type Risk int

const (
	// Harmless is the class of a step that says nothing else.
	Harmless Risk = iota
	// Unforeseen is that of a command of the playbook's author.
	Unforeseen
	// Restarts is that of a step that restarts, stops or moves a service or a guest.
	Restarts
	// CutsSSH is that of a step that can cut the connection, and is undone by the host itself if it does.
	CutsSSH
	// CostsQuorum is that of a step that can take a vote away from a cluster for a while.
	CostsQuorum
	// MovesData is that of a step after which a storage moves data between disks.
	MovesData
	// Destroys is that of a step that removes what cannot be brought back.
	Destroys
)

// risks are the names and meanings of the classes.
var risks = [...]struct{ name, meaning string }{
	Harmless:    {"harmless", "changes files or settings, or adds something"},
	Unforeseen:  {"command", "runs a command of the playbook, and only its author knows what that changes"},
	Restarts:    {"restart", "restarts, stops or moves a service or guest, or changes packages that may"},
	CutsSSH:     {"ssh", "can cut the SSH connection; the host undoes it by itself unless it is proven"},
	CostsQuorum: {"quorum", "can take a vote away from the cluster for a while: a reboot or what it will start, a change of membership"},
	MovesData:   {"data", "makes the storage move data between disks"},
	Destroys:    {"destroy", "removes what cannot be brought back: files, or what is on a disk"},
}

func (r Risk) String() string { return risks[r].name }

// Meaning says in a few words what the class is.
func (r Risk) Meaning() string { return risks[r].meaning }

// MarshalText implements encoding.TextMarshaler.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Risk) UnmarshalText(text []byte) error {
	risk, err := ParseRisk(string(text))
	*r = risk
	return err
}

// Risks are all classes.
func Risks() []Risk {
	all := make([]Risk, len(risks))
	for i := range risks {
		all[i] = Risk(i)
	}
	return all
}

// ParseRisk returns the class of that name.
func ParseRisk(name string) (Risk, error) {
	var names []string
	for i, r := range risks {
		if r.name == name {
			return Risk(i), nil
		}
		names = append(names, r.name)
	}
	return 0, fmt.Errorf("there is no class of risk %q; there are %s", name, strings.Join(names, ", "))
}

// RiskOf returns the class of a step of the plan: the greatest of what the step says, what its action is, and what the plan's guard
// says.
func (p Plan) RiskOf(s Step) Risk {
	risk := s.Risk
	switch s.Action.(type) {
	case Reboot:
		risk = max(risk, CostsQuorum)
	case Remove:
		risk = max(risk, Destroys)
	}
	if s.Unknown {
		risk = max(risk, Unforeseen)
	}
	if p.Guard != nil {
		risk = max(risk, CutsSSH)
	}
	return risk
}
