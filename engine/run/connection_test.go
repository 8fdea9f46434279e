package run

import (
	"context"
	"errors"
	"slices"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// guarded is a connection whose user may not become nobody. Its answer to each query is the user who asks.
type guarded struct {
	remote.Conn
	login, user string
	flights     *[]string
}

func (c guarded) User() string          { return c.login }
func (c guarded) Done() <-chan struct{} { return nil }

func (c guarded) As(user string) remote.Session {
	c.user = user
	if user == "" {
		c.user = c.login
	}
	return c
}

func (c guarded) Ask(_ context.Context, queries []remote.Query) ([]remote.Answer, error) {
	*c.flights = append(*c.flights, c.user)
	if c.user == "nobody" {
		return nil, &remote.BecomeError{Host: "node", Login: c.login, User: c.user, Reason: "sudo does not allow it"}
	}
	answers := make([]remote.Answer, len(queries))
	for i := range answers {
		answers[i].Stdout = []byte(c.user)
	}
	return answers, nil
}

// If a user cannot be become, only queries as that user fail.
func TestUserThatCannotBeBecome(t *testing.T) {
	var flights []string
	l := newConnection(&inventory.Host{Name: "node"}, func(context.Context, *inventory.Host) (remote.Conn, error) {
		return guarded{login: "admin", flights: &flights}, nil
	}, "root")
	h := observe.NewHost(t.Context(), "node", "", l.dial)
	ended := make(chan struct{})
	h.Go(t.Context(), func(ctx context.Context) {
		defer close(ended)
		whoami := observe.Reading{Argv: []string{"whoami"}}
		for _, user := range []string{"", loginUser, "nobody"} {
			asUser := whoami
			asUser.User = user
			observe.AuthorCommands.Want(h, asUser.Key())
		}
		for user, want := range map[string]string{"": "root", loginUser: "admin"} {
			asUser := whoami
			asUser.User = user
			if a, err := observe.AuthorCommands.Observe(ctx, h, asUser.Key()); err != nil || string(a.Stdout) != want {
				t.Errorf("user %q: %q, error %v, want %q", user, a.Stdout, err, want)
			}
		}
		asNobody := whoami
		asNobody.User = "nobody"
		_, err := observe.AuthorCommands.Observe(ctx, h, asNobody.Key())
		if become := (*remote.BecomeError)(nil); !errors.As(err, &become) || become.User != "nobody" {
			t.Errorf("as nobody: error %v, want that nobody cannot be become", err)
		}
	})
	<-ended
}

// If root logs in, root reads, whatever users the playbook becomes: another user sees less.
func TestRootReadsWhereItLogsIn(t *testing.T) {
	for login, want := range map[string]string{"root": "root", "admin": "www-data"} {
		var flights []string
		l := newConnection(&inventory.Host{Name: "node"}, func(context.Context, *inventory.Host) (remote.Conn, error) {
			return guarded{login: login, flights: &flights}, nil
		}, "www-data")
		if _, err := l.Ask(t.Context(), []remote.Query{{Script: "id"}}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(flights, []string{want}) {
			t.Errorf("%s logs in: asked as %v, want %s", login, flights, want)
		}
	}
}
