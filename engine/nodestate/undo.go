package nodestate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Undo is a change that a node undoes by itself unless it is disarmed in time.
type Undo struct {
	// ID is the name of the change's directory, 26 letters and digits, unique.
	ID string `json:"-"`
	// Task is the task that changes the node, at File and Line of a playbook.
	Task     string    `json:"task"`
	File     string    `json:"file"`
	Line     int       `json:"line"`
	Playbook string    `json:"playbook"`
	Run      string    `json:"run"`
	By       string    `json:"by"`
	Since    time.Time `json:"since"`
	// Within is the time between arming and undoing.
	Within time.Duration `json:"within"`
	// Files are restored, with owner, mode and attributes, to what they are when the Undo is armed. Files that do not exist
	// then are removed. Symbolic links are followed, because the task writes through them as well.
	Files []string `json:"files"`
	// Commands are run in order once the files are restored. After a restart of the node they are not run, since the files
	// are restored before the network starts.
	Commands [][]string `json:"commands"`
	// Outlives is set if what the commands take back is kept elsewhere, such as in a cluster. Then a restart of the node does not
	// undo the change: it does so a minute after, as if the time were up then.
	Outlives bool `json:"outlives,omitempty"`

	// Left is the time left when the State was read; zero once undoing has started.
	Left time.Duration `json:"-"`
	// Undone reports whether the node has started to undo the change, Ended whether it has finished. Failed says what went
	// wrong.
	Undone bool   `json:"-"`
	Ended  bool   `json:"-"`
	Failed string `json:"-"`
}

// String says what is undone, and when.
func (u Undo) String() string {
	what := "a change"
	if u.Task != "" {
		what = fmt.Sprintf("the change by task %q (%s:%d) in a run by %s at %s", u.Task, u.File, u.Line, u.By, moment(u.Since))
	}
	switch {
	case u.Failed != "":
		return what + " could not be undone: " + u.Failed
	case u.Undone && !u.Ended:
		return what + " is being undone by the host"
	case u.Undone:
		return what + " was undone, because no run confirmed in time that the host is still reachable"
	}
	return fmt.Sprintf("%s is not confirmed yet: the host will undo it in %s", what, u.Left)
}

// unit returns the name of the systemd timer and service that undo the change. The service that does so at boot has the
// suffix "-boot".
func (u Undo) unit() string { return "hlplay-undo-" + u.ID }

// script returns the shell script that undoes the change. Renaming the change's directory decides between undoing and
// disarming, so that only one happens, once. A node that was restarted halfway through starts over, and so does "again". If the
// directory exists but cannot be renamed, nobody can disarm the change either, and it is undone.
func (u Undo) script() (string, error) {
	var s strings.Builder
	fmt.Fprintf(&s, "cd %s/undo || exit 1\n", Dir)
	if u.Outlives { // it was restarted halfway through
		fmt.Fprintf(&s, "if [ \"${1-}\" = late ] && [ -d %[1]s.undone ] && [ ! -e %[1]s.undone/end ]; then mv -T %[1]s.undone %[1]s; fi\n", u.ID)
	}
	fmt.Fprintf(&s, `d=%[2]s.undone
if ! mv -T %[2]s $d 2>/dev/null; then
	if [ -d %[2]s ]; then
		d=%[2]s
	elif [ "${1-}" = again ]; then
		[ -d $d ] || exit 0
	elif [ "${1-}" != boot ] || [ ! -d $d ] || [ -e $d/end ]; then
		exit 0
	fi
fi
[ "${1-}" != now ] || %[3]s[ ! -w $d ] || exec >>$d/log 2>&1
ok=yes
put() {
	read -r to <$d/$1.path || { ok=no; return; }
	if [ ! -e $d/$1 ]; then
		rm -f -- "$to" || ok=no
	elif cp -a -- $d/$1 "${to%%/*}/.hlplay-undo-$1.%[2]s"; then
		mv -fT -- "${to%%/*}/.hlplay-undo-$1.%[2]s" "$to" || ok=no
	else
		ok=no
	fi
}
`, Dir, u.ID, u.stop("$d"))
	for i := range u.Files {
		fmt.Fprintf(&s, "put %d\n", i)
	}
	s.WriteString("sync\nif [ \"${1-}\" != boot ]; then\n\t:\n")
	for _, argv := range u.Commands {
		line, err := remote.Quote(argv)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&s, "\t%s </dev/null || { echo \"exit code $?\"; [ $ok = no ] || ok=commands; }\n", line)
	}
	fmt.Fprintf(&s, "fi\n%sprintf '%%s\\n' $ok >$d/end\n", u.unhook())
	return s.String(), nil
}

// late is how long after a restart a change is undone that outlives it, in seconds.
const late = 60

// atBoot returns the unit that undoes the change after a restart: before the network starts, or, without holding anything up, late.
func (u Undo) atBoot() string {
	kind, network, run := "oneshot", "Before=network-pre.target sysinit.target shutdown.target\nWants=network-pre.target\n", "exec /bin/sh $$d/script boot"
	if u.Outlives {
		kind, network = "simple", "Before=shutdown.target\n"
		run = fmt.Sprintf(`{ read -r s x </proc/uptime; echo $$(($${s%%%%.*} + %d)) >$$d/until; sleep %[1]d; exec /bin/sh $$d/script late; }`, late)
	}
	return fmt.Sprintf(`[Unit]
Description=Undo changes by hlplay that were not confirmed before the restart
DefaultDependencies=no
After=local-fs.target
%sConflicts=shutdown.target

[Service]
Type=%s
ExecStart=-/bin/sh -c 'cd %s/undo && for d in %[4]s %[4]s.undone; do [ ! -e $$d/script ] || %[5]s; done'
`, network, kind, Dir, u.ID, run)
}

// stop returns the shell code that stops the timer, or the process that waits in its place. dir is the directory's current
// name.
func (u Undo) stop(dir string) string {
	return fmt.Sprintf(`{
	if [ -d /run/systemd/system ]; then
		systemctl stop %s.timer
	elif read -r p <%s/pid; then
		kill -- -"$p"
	fi
} 2>/dev/null
`, u.unit(), dir)
}

// unhook returns the shell code that removes the service which undoes the change at boot.
func (u Undo) unhook() string {
	return fmt.Sprintf("rm -f /etc/systemd/system/sysinit.target.wants/%[1]s-boot.service /etc/systemd/system/%[1]s-boot.service\n", u.unit())
}

// arming is the shell code that saves the files and starts the timer. Its arguments are the ID, the seconds, the description
// of the Undo, the script, the unit for boot, and the files. If a part fails, everything is removed again. The directory
// gets its name once it is complete, so that one that was cut off has no effect. Without systemd a process waits instead. It
// exits if its directory was renamed, that is disarmed, before it could write its process ID there.
const arming = making + `_hl_arm() {
	_hl_u=$_hl_v/undo
	[ -d "$_hl_u" ] || mkdir -m 700 "$_hl_u" || return 1
	[ ! -L "$_hl_u" ] || { echo "$_hl_u is a link" >&2; return 1; }
	for _hl_d in "$_hl_u"/new.*; do
		_hl_n=hlplay-undo-${_hl_d##*/new.}-boot.service
		[ ! -d "$_hl_d" ] || rm -rf "$_hl_d" "/etc/systemd/system/$_hl_n" "/etc/systemd/system/sysinit.target.wants/$_hl_n"
	done
	_hl_d=$_hl_u/new.$1 _hl_e=$_hl_u/$1 _hl_n=hlplay-undo-$1 _hl_w=$2
	mkdir -m 700 "$_hl_d" || return 1
	printf '%s\n' "$3" >"$_hl_d/what" && printf '%s' "$4" >"$_hl_d/script" || return 1
	_hl_t=$5
	shift 5
	_hl_i=0
	for _hl_f; do
		_hl_p=$(readlink -f -- "$_hl_f") || return 1
		printf '%s\n' "$_hl_p" >"$_hl_d/$_hl_i.path" || return 1
		if [ -e "$_hl_p" ]; then cp -a -- "$_hl_p" "$_hl_d/$_hl_i" || return 1; fi
		_hl_i=$((_hl_i + 1))
	done
	read -r _hl_s _hl_x </proc/uptime || return 1
	echo "$((${_hl_s%.*} + _hl_w))" >"$_hl_d/until" || return 1
	if [ -d /run/systemd/system ]; then
		_hl_f=/etc/systemd/system
		printf '%s' "$_hl_t" >"$_hl_f/$_hl_n-boot.service" && mkdir -p "$_hl_f/sysinit.target.wants" &&
			ln -s "../$_hl_n-boot.service" "$_hl_f/sysinit.target.wants/$_hl_n-boot.service" || return 1
	fi
	mv -T "$_hl_d" "$_hl_e" && sync || return 1
	if [ -d /run/systemd/system ]; then
		systemd-run --quiet --collect --unit="$_hl_n" --on-active="${_hl_w}s" --timer-property=AccuracySec=1s \
			/bin/sh "$_hl_e/script" >/dev/null
	else
		setsid sh -c 'echo $$ >"$2/pid" || exit; sleep "$1"; exec /bin/sh "$2/script"' sh "$_hl_w" "$_hl_e" </dev/null >/dev/null 2>&1 &
	fi
}
_hl_own || { echo "$_hl_v cannot be created" >&2; exit 1; }
_hl_arm "$@" || {
	rm -rf "$_hl_v/undo/new.$1" "$_hl_v/undo/$1" "/etc/systemd/system/hlplay-undo-$1-boot.service" "/etc/systemd/system/sysinit.target.wants/hlplay-undo-$1-boot.service"
	exit 1
}`

// Arm returns the query that makes the node undo whatever is changed after it.
func (u Undo) Arm() (remote.Query, error) {
	for _, file := range u.Files {
		if strings.ContainsRune(file, '\n') {
			return remote.Query{}, fmt.Errorf("%q: a path with a line break cannot be restored", file)
		}
	}
	b, err := json.Marshal(u)
	if err != nil {
		return remote.Query{}, err
	}
	script, err := u.script()
	if err != nil {
		return remote.Query{}, err
	}
	seconds := max(1, int(u.Within.Round(time.Second)/time.Second))
	args := append([]string{u.ID, strconv.Itoa(seconds), ascii(b), script, u.atBoot()}, u.Files...)
	return remote.Query{Script: arming, Args: args}, nil
}

// exitUndone is the exit code of Disarm if undoing has started, exitStopping that if the host is shutting down or cannot say.
const (
	exitUndone   = 77
	exitStopping = 78
)

// ErrUndone reports that a node has undone a change or is about to. ErrStopping reports that it is shutting down, as far as
// it can say.
var (
	ErrUndone   = errors.New("the host has undone it")
	ErrStopping = errors.New("the host is shutting down, or systemd there does not say that it is not")
)

// Disarm returns the query that makes the change permanent. Disarmed reads its answer. A host that is shutting down keeps the
// change armed: that it can still be reached, as with an sshd that has not been restarted, says nothing of how it will start.
func (u Undo) Disarm() remote.Query {
	return remote.Query{Script: fmt.Sprintf(`cd %[1]s/undo || exit 1
[ -d "$1" ] || exit %[2]d
[ ! -d /run/systemd/system ] || case $(systemctl is-system-running 2>/dev/null) in
initializing|starting|running|degraded|maintenance) ;;
*) exit %[5]d ;;
esac
mv -T "$1" "$1.kept" || { [ -d "$1" ] && exit 1; exit %[2]d; }
%[3]s%[4]srm -rf "$1.kept"`, Dir, exitUndone, u.stop(u.ID+".kept"), u.unhook(), exitStopping), Args: []string{u.ID}}
}

// Disarmed reads the answer to Disarm. It returns ErrUndone if Disarm came too late, and ErrStopping if it came too early.
func Disarmed(a remote.Answer) error {
	switch {
	case a.Err != nil:
		return a.Err
	case a.Exit == exitUndone:
		return ErrUndone
	case a.Exit == exitStopping:
		return ErrStopping
	case a.Exit != 0:
		return fmt.Errorf("exit code %d: %s", a.Exit, strings.TrimSpace(string(a.Stderr)))
	}
	return nil
}

// Now returns the query that undoes the change at once. Its answer is a State: see Read.
func (u Undo) Now() remote.Query {
	return remote.Query{Script: fmt.Sprintf(`[ ! -e %[1]s/undo/"$1"/script ] || /bin/sh %[1]s/undo/"$1"/script now
`, Dir) + reading, Args: []string{u.ID}}
}

// Again returns the query that undoes the change at once, a second time if the node has finished undoing it: what was
// changed after that was not undone. Its answer is a State: see Read.
func (u Undo) Again() remote.Query {
	return remote.Query{Script: fmt.Sprintf(`if [ -e %[1]s/undo/"$1"/script ]; then
	/bin/sh %[1]s/undo/"$1"/script now
elif [ -e %[1]s/undo/"$1".undone/end ]; then
	/bin/sh %[1]s/undo/"$1".undone/script again
fi
`, Dir) + reading, Args: []string{u.ID}}
}

// Forgotten returns the query that removes the records of undone changes once a person was told. It succeeds if there are
// none, and fails if the directory cannot be read.
func Forgotten(ids ...string) remote.Query {
	return remote.Query{Script: `[ -e ` + Dir + `/undo ] || { [ ! -e ` + Dir + ` ] || [ -x ` + Dir + ` ]; exit; }
cd ` + Dir + `/undo || exit 1
for i; do rm -rf "./$i.undone" || exit 1; done`, Args: ids}
}

// undo reads "armed ID LEFT WHAT" or "undone ID END WHAT".
func (s *State) undo(rest string) {
	how, rest, _ := strings.Cut(rest, " ")
	id, rest, _ := strings.Cut(rest, " ")
	end, what, _ := strings.Cut(rest, " ")
	if !undoID.MatchString(id) {
		return
	}
	var u Undo
	if json.Unmarshal([]byte(what), &u) != nil {
		u = Undo{}
	}
	u.ID = id
	if how == "armed" {
		seconds, _ := strconv.Atoi(end)
		u.Left = max(0, time.Duration(seconds)*time.Second)
	} else {
		u.Undone, u.Ended = true, end != "-"
		log := fmt.Sprintf("see %s/undo/%s.undone/log on the host", Dir, id)
		switch end {
		case "no":
			u.Failed = "not all files were restored: " + log
		case "commands":
			u.Failed = "the files were restored, but a command that applies them failed: " + log
		}
	}
	s.Undo = append(s.Undo, u)
}
