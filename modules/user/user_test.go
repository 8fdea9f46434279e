package user

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const (
	key1 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNyUm1Y3VGt4Z7qPV0oQrkpuWh1x3jWgA6jQGqmjmyD ops@example.org"
	key2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f root@pve2"
	hash = "$y$j9T$salt$0123456789"
)

func regular(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func directory() observe.File {
	return observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}
}

var ops = observe.User{Name: "ops", UID: 1000, GID: 1000, Home: "/home/ops", Shell: "/bin/sh", Group: "ops", Groups: []string{"adm"}}

func owns(name string, mode fs.FileMode, f observe.File) observe.File {
	f.Owner, f.Group, f.Mode = name, name, mode
	return f
}

// sshd does not use keys that it may not read, or that others could have written. Such files are repaired; a problem
// with the home directory is only reported.
func TestKeysThatSshdDoesNotRead(t *testing.T) {
	const dir, keys = "/home/ops/.ssh", "/home/ops/.ssh/authorized_keys"
	there := regular(key2 + "\n")
	for _, test := range []struct {
		name string
		at   string
		lies observe.File
		want []string
		note string
	}{
		{"a group may write to the directory", dir, owns("ops", 0o770, directory()), []string{"attributes " + dir + " 0750 ops:ops"}, ""},
		{"the directory is root's", dir, owns("root", 0o700, directory()), []string{"attributes " + dir + " 0700 ops:ops"}, ""},
		{"the directory is another's", dir, owns("mallory", 0o755, directory()), []string{"attributes " + dir + " 0755 ops:ops"}, ""},
		{"the keys are root's", keys, owns("root", 0o600, there), []string{"attributes " + keys + " 0600 ops:ops"}, ""},
		{"the keys are root's and readable", keys, owns("root", 0o644, there), nil, ""},
		{"everybody may write the keys", keys, owns("ops", 0o666, there), []string{"attributes " + keys + " 0644 ops:ops"}, ""},
		{"a group may write to the home", "/home/ops", owns("ops", 0o775, directory()), nil, "home directory /home/ops has mode 0775"},
		{"the home is another's", "/home/ops", owns("mallory", 0o755, directory()), nil, "belongs to mallory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := &User{Name: "ops", AuthorizedKeys: []string{key2}}
			plan := modulestest.Converges(t, u, host(observe.Files.Expect(test.at, test.lies)))
			var did []string
			for _, step := range plan.Steps {
				a := step.Action.(modules.SetAttributes)
				did = append(did, fmt.Sprintf("attributes %s %04o %s:%s", a.Path, uint32(*a.Mode), a.Owner, a.Group))
			}
			if diff := cmp.Diff(test.want, did); diff != "" {
				t.Errorf("wrong actions (-want +got):\n%s", diff)
			}
			if said := strings.Join(plan.Notes, "; "); (test.note == "") != (said == "") || !strings.Contains(said, test.note) {
				t.Errorf("the notes are %q, want one that says %q", said, test.note)
			}
		})
	}
}

// host returns a host with root and ops, but without the account new.
func host(more ...observe.Expectation) modules.Host {
	return observe.NewRecorded("pve1", append([]observe.Expectation{
		observe.Users.Expect("root", observe.User{Name: "root", Home: "/root", Shell: "/bin/bash", Group: "root"}),
		observe.Users.Expect("ops", ops),
		observe.Users.Expect("new", observe.User{}),
		observe.Groups.Expect("adm", observe.Group{Name: "adm", GID: 4, Members: []string{"ops"}}),
		observe.Groups.Expect("sudo", observe.Group{Name: "sudo", GID: 27}),
		observe.Groups.Expect("ops", observe.Group{Name: "ops", GID: 1000}),
		observe.Groups.Expect("new", observe.Group{}),
		observe.Groups.Expect("kvm-ops", observe.Group{}),
		observe.Programs.Expect("/bin/sh", true),
		observe.Programs.Expect("/bin/bash", true),
		observe.Programs.Expect("/bin/zsh", false),
		observe.Files.Expect("/etc/passwd", regular("root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000::/home/ops:/bin/sh\n")),
		observe.Passwords.Expect("ops", "!"),
		observe.Passwords.Expect("new", ""),
		observe.Files.Expect("/", owns("root", 0o755, directory())),
		observe.Files.Expect("/home", owns("root", 0o755, directory())),
		observe.Files.Expect("/home/new", observe.File{}),
		observe.Files.Expect("/home/new/.ssh", observe.File{}),
		observe.Files.Expect("/home/new/.ssh/authorized_keys", observe.File{}),
		observe.Files.Expect("/home/ops", owns("ops", 0o755, directory())),
		observe.Files.Expect("/home/ops/.ssh", owns("ops", 0o700, directory())),
		observe.Files.Expect("/home/ops/.ssh/authorized_keys", owns("ops", 0o600, regular("# mine\n"+key2+"\n"))),
	}, more...)...)
}

// acts returns the actions of a plan, one line each.
func acts(p modules.Plan) []string {
	var all []string
	for _, step := range p.Steps {
		switch a := step.Action.(type) {
		case modules.Run:
			all = append(all, strings.Join(a.Argv, " "))
		case modules.MakeDir:
			all = append(all, "mkdir "+a.Path+" "+a.Owner)
		case modules.WriteFile:
			all = append(all, "write "+a.Path+" "+a.Owner)
		default:
			all = append(all, "something else")
		}
	}
	return all
}

// The home directory of a new account is refused if another user could replace it by a link, because useradd gives it to
// the account by name.
func TestHomeWithinHome(t *testing.T) {
	for home, want := range map[string]string{"/home/ops/new": "ops can replace /home/ops/new", "/tmp/deep/new": "every user can replace"} {
		h := host(
			observe.Files.Expect("/tmp", owns("root", 0o1777, directory())),
			observe.Files.Expect("/tmp/deep", owns("ops", 0o755, directory())),
			observe.Files.Expect(home, observe.File{}),
		)
		plan, err := (&User{Name: "new", Home: home, Group: "ops"}).Plan(t.Context(), h)
		if err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%s: %d steps, %v; expected %q", home, len(plan.Steps), err, want)
		}
	}
}

// The plan rejects what would yield an account that cannot log in, and what useradd would refuse.
func TestHostLacks(t *testing.T) {
	taken := 1000
	for want, u := range map[string]User{
		"shell: to log in, ops needs /bin/zsh, which the host does not have": {Name: "ops", Shell: "/bin/zsh"},
		"shell: to log in, new needs /bin/zsh, which the host does not have": {Name: "new", Shell: "/bin/zsh"},
		"uid: account ops already has id 1000":                               {Name: "new", UID: &taken},
		`groups: the new account gets a group new of its own`:                {Name: "new", Groups: []string{"adm", "new"}},
	} {
		if _, err := modulestest.Decoded(&u).Plan(t.Context(), host()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A group with the account's name makes useradd fail. Check mode reports that, even if an earlier task creates the group.
func TestGroupOfThatName(t *testing.T) {
	h := host(observe.Groups.Expect("new", observe.Group{Name: "new", GID: 1001}))
	if plan, err := modulestest.Decoded(&User{Name: "new"}).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), `there is a group new already`) || len(plan.Steps) > 0 {
		t.Errorf("%d steps, %v", len(plan.Steps), err)
	}
	plan := modulestest.Converges(t, modulestest.Decoded(&User{Name: "new", Group: "new"}), h)
	if got := strings.Join(acts(plan), "\n"); !strings.Contains(got, "--gid new") {
		t.Errorf("with the group: %s", got)
	}
}

func TestPlans(t *testing.T) {
	uid := 4000
	for _, test := range []struct {
		name string
		user User
		want []string
	}{
		{"as desired", User{Name: "ops", Groups: []string{"adm"}, Shell: "/bin/sh", AuthorizedKeys: []string{key2}}, nil},
		{"a new account", User{Name: "new"}, []string{"useradd --create-home --user-group --home-dir /home/new --shell /bin/sh new"}},
		{"a new account with everything",
			User{Name: "new", UID: &uid, Group: "ops", Groups: []string{"sudo", "kvm-ops"}, Shell: "/bin/bash", Comment: "N", Password: hash, AuthorizedKeys: []string{key1}},
			[]string{
				"groupadd kvm-ops",
				"useradd --create-home --uid 4000 --gid ops --home-dir /home/new --shell /bin/bash --comment N --groups kvm-ops,sudo new",
				"chpasswd --encrypted", "mkdir /home/new/.ssh new", "write /home/new/.ssh/authorized_keys new",
			}},
		{"a system account", User{Name: "new", System: true, Home: "/var/lib/new"}, []string{"useradd --system --no-create-home --user-group --home-dir /var/lib/new --shell /bin/sh new"}},
		{"one group more", User{Name: "ops", Groups: []string{"sudo"}}, []string{"usermod --groups adm,sudo ops"}},
		{"these groups only", User{Name: "ops", Groups: []string{"sudo"}, GroupsExclusive: true}, []string{"usermod --groups sudo ops"}},
		{"the primary group is no membership", User{Name: "ops", Groups: []string{"ops", "adm"}}, nil},
		{"shell and comment", User{Name: "ops", Shell: "/bin/bash", Comment: "Ops"}, []string{"usermod --shell /bin/bash --comment Ops ops"}},
		{"password", User{Name: "ops", Password: hash}, []string{"chpasswd --encrypted"}},
		{"a locked password is one", User{Name: "ops", Password: "!"}, nil},
		{"one key more", User{Name: "ops", AuthorizedKeys: []string{key1}}, []string{"write /home/ops/.ssh/authorized_keys "}},
		{"a key less", User{Name: "ops", AuthorizedKeyItems: []Key{{Key: key2, State: "absent"}}}, []string{"write /home/ops/.ssh/authorized_keys "}},
		{"gone already", User{Name: "new", State: "absent"}, nil},
		{"remove", User{Name: "ops", State: "absent"}, []string{"userdel ops"}},
		{"remove all", User{Name: "ops", State: "absent", RemoveHome: true}, []string{"userdel --remove ops"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := modulestest.Decoded(&test.user).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.user, host())
			if diff := cmp.Diff(test.want, acts(plan)); diff != "" {
				t.Errorf("wrong actions (-want +got):\n%s", diff)
			}
		})
	}
}

// A home that does not belong to the account alone is not removed, and neither is the account.
func TestHomesThatStay(t *testing.T) {
	for want, more := range map[string][]observe.Expectation{
		"belongs to root":                         {observe.Files.Expect("/home/ops", directory())},
		"is a symbolic link":                      {observe.Files.Expect("/home/ops", observe.File{Type: observe.Symlink, Owner: "ops", Target: "/srv/ops"})},
		"contains that of guest, /home/ops/guest": {observe.Files.Expect("/etc/passwd", regular("ops:x:1000:1000::/home/ops:/bin/sh\nguest:x:1001:1001::/home/ops/guest:/bin/sh\n"))},
		"is a system directory":                   {observe.Users.Expect("ops", observe.User{Name: "ops", Home: "/", Group: "ops"})},
	} {
		u := User{Name: "ops", State: "absent", RemoveHome: true}
		plan, err := modulestest.Decoded(&u).Plan(t.Context(), host(more...))
		if err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%d steps, %v; expected that the home %s", len(plan.Steps), err, want)
		}
	}
	u := User{Name: "ops", State: "absent", RemoveHome: true}
	_, err := modulestest.Decoded(&u).Plan(t.Context(), host(observe.Files.Expect("/home", owns("mallory", 0o755, directory()))))
	if err == nil || !strings.Contains(err.Error(), "mallory can replace /home/ops") {
		t.Errorf("a home that somebody else could exchange: %v", err)
	}
}

func TestPasswordHidden(t *testing.T) {
	u := User{Name: "ops", Password: hash}
	plan, err := modulestest.Decoded(&u).Plan(t.Context(), host())
	if err != nil {
		t.Fatal(err)
	}
	step := plan.Steps[0]
	run := step.Action.(modules.Run)
	if strings.Contains(step.Summary+strings.Join(run.Argv, " "), hash) || step.Diff != nil {
		t.Errorf("the hash shows in the step %+v", step)
	}
	if string(run.Stdin) != "ops:"+hash+"\n" {
		t.Errorf("chpasswd reads %q", run.Stdin)
	}
}

func TestRootOfAClusterMember(t *testing.T) {
	const shared = "/etc/pve/priv/authorized_keys"
	member := func(keys observe.File, more ...observe.Expectation) modules.Host {
		return host(append([]observe.Expectation{
			observe.Files.Expect("/root", directory()),
			observe.Files.Expect("/root/.ssh", directory()),
			observe.Files.Expect("/root/.ssh/authorized_keys", observe.File{Type: observe.Symlink, Target: shared}),
			observe.Files.Expect(shared, keys),
			observe.Files.Expect("/etc/pve/priv", directory()),
		}, more...)...)
	}
	there := observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "www-data", Content: []byte(key2 + "\n")}
	u := &User{Name: "root", AuthorizedKeys: []string{key1}}
	plan := modulestest.Converges(t, u, member(there))
	want := modules.WriteFile{Path: shared, Content: []byte(key2 + "\n" + key1 + "\n")}
	if len(plan.Steps) != 1 || !cmp.Equal(plan.Steps[0].Action, modules.Action(want)) || !plan.Steps[0].Wide {
		t.Errorf("the steps are %+v, expected one wide write of %+v, with the mode and owner left to the cluster file system", plan.Steps, want)
	}
	modulestest.Converges(t, u, member(observe.File{}))

	u.KeysExclusive = true
	if _, err := modulestest.Decoded(u).Plan(t.Context(), member(there)); err == nil || !strings.Contains(err.Error(), "shared by all nodes") {
		t.Errorf("the error is %v: the other nodes' keys must be safe", err)
	}
	u.KeysExclusive = false
	if _, err := modulestest.Decoded(u).Plan(t.Context(), member(observe.File{}, observe.Files.Expect("/etc/pve/priv", observe.File{}))); err == nil || !strings.Contains(err.Error(), "pve-cluster") {
		t.Errorf("the error is %v, expected a hint at pve-cluster: /etc/pve is not mounted", err)
	}
}

func TestRefusals(t *testing.T) {
	uid := 1
	for _, test := range []struct {
		user User
		want string
	}{
		{User{Name: "ops", UID: &uid}, "has id 1000"},
		{User{Name: "ops", Home: "/srv"}, "not moved"},
	} {
		if _, err := modulestest.Decoded(&test.user).Plan(t.Context(), host()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: the error is %v, expected one with %q", test.user, err, test.want)
		}
	}
}

func TestUnknownAccountsStayUnknown(t *testing.T) {
	u := User{Name: "ceph"}
	if _, err := modulestest.Decoded(&u).Plan(t.Context(), host(observe.Users.Unknown("ceph", "a package makes it"))); !observe.IsUnknown(err) {
		t.Errorf("the error is %v, expected an unknown one", err)
	}
}

func TestKeysAreEdited(t *testing.T) {
	options := `from="192.0.2.0/24" ` + key1
	for _, test := range []struct {
		name, text string
		wanted     []wantedKey
		exclusive  bool
		want       string
	}{
		{"added", "", []wantedKey{{line: key1, state: present}}, false, key1 + "\n"},
		{"added after a line without end", key2, []wantedKey{{line: key1, state: present}}, false, key2 + "\n" + key1 + "\n"},
		{"there", key1, []wantedKey{{line: key1, state: present}}, false, key1},
		{"new options, once", key1 + "\n" + key2 + "\n" + key1 + " x\n", []wantedKey{{line: options, state: present}}, false, options + "\n" + key2 + "\n"},
		{"removed whatever its options", "# c\n" + options + "\n", []wantedKey{{line: key1, state: absent}}, false, "# c\n"},
		{"alone", "# c\n" + key2 + "\nnoise\n", []wantedKey{{line: key1, state: present}}, true, "# c\nnoise\n" + key1 + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, editKeys(test.text, test.wanted, test.exclusive)); diff != "" {
				t.Errorf("the keys are wrong (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzKeys checks that editing keys is idempotent, and that the wanted key is present exactly once.
func FuzzKeys(f *testing.F) {
	f.Add("# c\n"+key2+"\n"+key1, true)
	f.Add("from=\"x\" "+key1+"\r\n\n", false)
	wanted := []wantedKey{{line: key1, state: present}, {line: key2, state: absent}}
	f.Fuzz(func(t *testing.T, text string, exclusive bool) {
		once := editKeys(text, wanted, exclusive)
		if twice := editKeys(once, wanted, exclusive); twice != once {
			t.Errorf("editing %q gave %q, and again %q", text, once, twice)
		}
		n := 0
		for line := range strings.Lines(once) {
			switch keyID(line) {
			case keyID(key1):
				n++
			case keyID(key2):
				t.Errorf("the key that should go is in %q", once)
			}
		}
		if n != 1 {
			t.Errorf("the wanted key is %d times in %q", n, once)
		}
	})
}

func TestFaultsInArguments(t *testing.T) {
	uid := -1
	for _, test := range []struct {
		argument string
		user     User
	}{
		{"name", User{Name: "0"}},
		{"name", User{Name: "a b"}},
		{"groups", User{Name: "a", Groups: []string{"x,y"}}},
		{"state", User{Name: "root", State: "absent"}},
		{"remove_home", User{Name: "a", RemoveHome: true}},
		{"uid", User{Name: "a", UID: &uid}},
		{"shell", User{Name: "a", Shell: "bash"}},
		{"comment", User{Name: "a", Comment: "x:y"}},
		{"comment", User{Name: "a", Comment: "x\ty"}},
		{"home", User{Name: "a", Home: "/srv/x/../a"}},
		{"home", User{Name: "a", Home: "/srv/a/"}},
		{"shell", User{Name: "a", Shell: "/bin/bash/"}},
		{"password", User{Name: "a", Password: "secret"}},
		{"authorized_keys", User{Name: "a", AuthorizedKeys: []string{"ssh-ed25519 nonsense"}}},
		{"authorized_keys", User{Name: "a", AuthorizedKeys: []string{key1, key1 + " again"}}},
	} {
		err := modulestest.Decoded(&test.user).Validate()
		var fault *modules.ArgumentError
		if !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.user, err, test.argument)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the fault shows the password: %v", err)
		}
	}
}
