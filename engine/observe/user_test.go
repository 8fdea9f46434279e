package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

const (
	passwdLines = "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000:Ops,,,:/home/ops:/bin/sh\n"
	groupLines  = "root:x:0:\nadm:x:4:syslog,ops\nsudo:x:27:ops\nops:x:1000:\n"
)

func TestUsersKnowTheirGroups(t *testing.T) {
	values, errs := told(t, Users, []string{"nobody-here", "ops", "root"}, []remote.Answer{{Stdout: []byte(passwdLines), Exit: 2}, {Stdout: []byte(groupLines)}})
	want := map[string]User{
		"root":        {Name: "root", Comment: "root", Home: "/root", Shell: "/bin/bash", Group: "root"},
		"ops":         {Name: "ops", UID: 1000, GID: 1000, Comment: "Ops,,,", Home: "/home/ops", Shell: "/bin/sh", Group: "ops", Groups: []string{"adm", "sudo"}},
		"nobody-here": {},
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("the users were read wrong (-want +got):\n%s", diff)
	}
	for name, err := range errs {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsersOfThisMachine(t *testing.T) {
	h := localHost(t)
	users, err := Users.ObserveAll(t.Context(), h, []string{"root", "no-such-user"})
	must(t, err)
	if root := users["root"]; root.UID != 0 || root.Home != "/root" || root.Group != "root" {
		t.Errorf("root is %+v", root)
	}
	if users["no-such-user"].Exists() {
		t.Errorf("no-such-user is %+v, expected none", users["no-such-user"])
	}
	groups, err := Groups.ObserveAll(t.Context(), h, []string{"root", "no-such-group"})
	must(t, err)
	if !groups["root"].Exists() || groups["no-such-group"].Exists() {
		t.Errorf("the groups are %+v", groups)
	}
	if _, err := Users.Observe(t.Context(), h, "0"); err == nil {
		t.Error("a number was looked up as a name")
	}
}

func TestPasswordsTakeRoot(t *testing.T) {
	_, errs := told(t, Passwords, []string{"root"}, []remote.Answer{{Exit: exitDenied}})
	if errs["root"] == nil {
		t.Error("a shadow file that cannot be read passes for one without the user")
	}
	values, errs := told(t, Passwords, []string{"ops", "root"}, []remote.Answer{{Stdout: []byte("ops:$y$j9T$salt$hash:19000:0:99999:7:::\n"), Exit: 2}})
	want := map[string]string{"ops": "$y$j9T$salt$hash", "root": ""}
	if diff := cmp.Diff(want, values); diff != "" || errs["ops"] != nil || errs["root"] != nil {
		t.Errorf("the hashes were read wrong (-want +got):\n%s%v", diff, errs)
	}
}

func FuzzGetent(f *testing.F) {
	f.Add(passwdLines, groupLines)
	f.Add("root:x:a:0:::\n:::::::\n", "root:x:0\n::::\nx:x:0:,,\n")
	f.Fuzz(func(t *testing.T, passwd, group string) {
		told(t, Users, []string{"root", "ops"}, []remote.Answer{{Stdout: []byte(passwd)}, {Stdout: []byte(group)}})
		told(t, Groups, []string{"root"}, []remote.Answer{{Stdout: []byte(group)}})
		told(t, Passwords, []string{"root"}, []remote.Answer{{Stdout: []byte(passwd)}})
	})
}

func TestNamesThatHostsKnow(t *testing.T) {
	for _, name := range []string{"root", "domain users", `DOM\carl`, "carl@dom.example", "www-data", "1st", "größe", "backup$"} {
		if err := CheckKnownName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "0", "1000", "-g", " x", "x ", "a:b", "a,b", "a\nb", "a\x00", "-"} {
		if CheckKnownName(name) == nil {
			t.Errorf("%q passes for a name", name)
		}
	}
	values, errs := told(t, Groups, []string{"domain users"}, []remote.Answer{{Stdout: []byte("domain users:*:10513:carl smith,eve\n")}})
	want := map[string]Group{"domain users": {Name: "domain users", GID: 10513, Members: []string{"carl smith", "eve"}}}
	if diff := cmp.Diff(want, values); diff != "" || errs["domain users"] != nil {
		t.Errorf("the group was read wrong (-want +got):\n%s%v", diff, errs)
	}
}
