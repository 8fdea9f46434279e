// Package pbs configures Proxmox Backup Server: datastores, who may use them, and the jobs that look after them.
package pbs

import (
	"context"
	"fmt"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// Module is one part of the server's configuration.
type Module struct {
	Datastore *Datastore `hcl:"datastore,block" doc:"A directory that keeps backups."`
	Token     *Token     `hcl:"token,block" doc:"A user and an API token, for unattended backups."`
	PruneJob  *PruneJob  `hcl:"prune_job,block" doc:"A job that prunes old backups of a datastore."`
	VerifyJob *VerifyJob `hcl:"verify_job,block" doc:"A job that reads the backups of a datastore and compares them with their checksums."`
}

// part is one of the blocks.
type part interface {
	validate() error
	plan(ctx context.Context, h modules.Host, have pbs.Server) (modules.Plan, error)
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "pbs",
	Summary: "Proxmox Backup Server: a datastore, a token, a prune or verify job",
	Doc: `A task has exactly one block. The current state is read from the server's files and compared property by property; properties that the
task does not set are left alone. Only jobs are ever removed.

A **datastore** is created in a directory that is empty or does not exist yet. Only garbage collection frees space in a datastore: it removes
data that no backup refers to any more. A note warns if the datastore is on a Proxmox VE node, which would lose its guests and their
backups together, or on Ceph.

A **token** belongs to a user, which is created without a password. The server grants the token only rights that the user has too, so both get
the role on the datastore; a note names any other rights. With the default role, DatastoreBackup, a cluster can make and restore its own
backups but not remove them: a job on the server prunes them.

The server prints a token's secret only once, when the token is generated. It is stored on the server's host, in a file below ` + "`/etc/hlplay/pbs-tokens`" + ` that only root
can read, and is neither shown nor recorded. The module ` + "`pvesm`" + ` reads it there (` + "`backup_server`" + `). If the secret of an
existing token is not stored there, the task fails.

A **prune job** does not free space by itself. A **verify job** finds damage before a restore does.`,
	Example: `task "a datastore" {
  pbs {
    datastore {
      name = "main"
      path = "/srv/backup/main"
    }
  }
}

task "what the cluster may do there" {
  pbs {
    token {
      user      = "pve@pbs"
      name      = "cluster"
      datastore = "main"
    }
  }
}

task "old backups are forgotten" {
  pbs {
    prune_job {
      id        = "main-prune"
      datastore = "main"
      keep      = { last = 3, daily = 7, weekly = 4, monthly = 6 }
    }
  }
}

task "backups are read again" {
  pbs {
    verify_job {
      id        = "main-verify"
      datastore = "main"
    }
  }
}`,
	Packages: []modules.Package{{
		Name:     "proxmox-backup-server",
		Archive:  pve.Archive,
		Running:  []string{"proxmox-backup.service", "proxmox-backup-proxy.service"}, // debian/postinst of proxmox-backup
		Programs: []string{"proxmox-backup-manager"},
		Files:    []string{pbs.Program},
		Installed: func(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
			source, err := pve.EnterpriseSource(ctx, h, "pbs")
			if err != nil {
				return nil, err
			}
			server, err := pbs.Servers.Observe(ctx, h, "")
			if err != nil {
				return nil, err
			}
			if server.Fingerprint == "" { // the services create a certificate when they start
				server.Fingerprint = pbs.Predict(h.Name())
			}
			return append(source, observe.Paths.Expect(pbs.Program, true), pbs.Servers.Expect("", server)), nil
		},
	}},
	New: func() modules.Module { return &Module{} },
}

// parts returns the blocks that are given, by their names.
func (m *Module) parts() map[string]part {
	given := map[string]part{}
	if m.Datastore != nil {
		given["datastore"] = m.Datastore
	}
	if m.Token != nil {
		given["token"] = m.Token
	}
	if m.PruneJob != nil {
		given["prune_job"] = m.PruneJob
	}
	if m.VerifyJob != nil {
		given["verify_job"] = m.VerifyJob
	}
	return given
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	given := m.parts()
	if len(given) != 1 {
		return &modules.ArgumentError{Argument: "datastore", Problem: fmt.Sprintf("%d blocks are given", len(given)), Want: "expected one of datastore, token, prune_job, verify_job"}
	}
	for _, p := range given {
		return p.validate()
	}
	return nil
}

// Want announces what Plan reads.
func (m *Module) Want(h modules.Host) {
	observe.Files.Want(h, pbs.Program)
	pbs.Servers.Want(h, "")
	if m.Token != nil {
		observe.Files.Want(h, pbs.SecretFile(m.Token.id()))
	}
}

// Plan compares the part with the server's configuration.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if there, err := observe.Exists(ctx, h, pbs.Program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package proxmox-backup-server first", h.Name(), pbs.Program)
	}
	have, err := pbs.Servers.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	for _, p := range m.parts() {
		return p.plan(ctx, h, have)
	}
	return modules.Plan{}, nil
}

// names matches the names of datastores and jobs (PROXMOX_SAFE_ID_FORMAT).
var names = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{2,31}$`)

func checkName(argument, name string) error {
	return pve.CheckForm(names, argument, name, "3 to 32 letters, digits, dots, hyphens and underscores")
}

// run returns a command that runs proxmox-backup-manager.
func run(args ...string) modules.Run {
	return modules.Run{Argv: append([]string{"proxmox-backup-manager"}, args...), Dir: "/root", Limit: time.Minute}
}

// noDatastore returns the error for a part that names a datastore which the server does not have.
func noDatastore(h modules.Host, argument, name string, have pbs.Server) error {
	if _, ok := have.Datastores[name]; ok {
		return nil
	}
	return fmt.Errorf("%s: %s has no datastore %s; it has: %s", argument, h.Name(), name, list(have.Datastores))
}
