package machine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The simulated programs answer like the real ones: the same lines run here, in a temporary directory, and on a
// machine. This needs a Debian host; elsewhere only the tests with recordings apply.
func TestAgainstRealPrograms(t *testing.T) {
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		t.Skip("this computer does not run Debian: its programs may differ")
	}
	// Every line starts in an empty directory with these files.
	const setup = `printf 'one\ntwo\nthree\n' >f; printf 'a:b:c\nd:e:f\n' >t; printf 'x\0y' >bin; mkdir d; echo in >d/f; ln -s f l; ln -s nowhere broken; : >empty; `
	lines := []string{
		`cat f t`, `cat -n f`, `cat nope`, `cat d`, `cat <f`, `cat f nope t`, `cat bin`,
		`head -n 1 f t`, `head -v -c 4 f bin`, `head -c 4 nope f`, `head -n -1 f`, `head -c -2 f`, `head -2 f`, `head -v -c 9 -- empty f`,
		`tail -n 1 f`, `tail -n +2 f`, `tail -c 4 f`, `tail -n 1 f t`,
		`printf '\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\347\002\000\040\060\072\066\006\000\000\000' | gzip -dc`, `printf '\037\213\010\000\000\000\000\000\002\003\313\110\315\311' | gzip -d`, `printf '' | gzip -dc`, `{ echo 34; printf '\037\213\010\000\000\000\000\000\002\003\113\115\316\310\127\050\315\053\110\114\316\116\115\341\002\000\345\136\253\005\016\000\000\000'; echo rest; } | { read -r n; e=$(head -c "$n" | gzip -dc) || exit 2; eval "$e"; cat; }`, `printf 'no such thing as a gzip file' | gzip -dc`,
		`printf 'abcdef' | { head -c 3; echo; head -c 2; }`, `printf '3\nab\nrest\n' | { read -r n; head -c "$n"; cat; }`,
		`stat --printf '%f %s %n %a %A %F\0' f d l`, `stat -c '%a %F %n' nope f`, `stat -L -c '%F' l`, `stat -c '%N' l`, `stat -c '%h %s' empty`,
		`readlink l`, `readlink -z l broken`, `readlink f`, `readlink -e broken`, `cd d && readlink -f ../l | sed 's/.*\///'`,
		`ls`, `ls -1 d`, `ls -a d`, `ls nope`, `ls -d d f`, `ls f d`,
		`mkdir d`, `mkdir -p d/e/f && ls d/e`, `mkdir x/y`, `mkdir -m 700 q && stat -c %a q`,
		`rm d`, `rm -rf d && ls`, `rm nope`, `rm -f nope`, `rmdir d`, `rm f && ls`,
		`mv f g && ls`, `mv f d && ls d`, `mv -T f d`, `mv nope x`, `cp f g && cat g`, `cp d e`, `cp -a d e && ls e`, `cp -a l m && readlink m`, `cp nope x`,
		`ln -s f l`, `ln -sf t l && readlink l`, `ln -sfn d ld && ln -sfn f ld && readlink ld`, `ln f h && cat h`,
		`chmod 600 f && stat -c %a f`, `chmod u+x,g-r f && stat -c %a f`, `chmod a=r f && stat -c %A f`, `chmod 999 f`, `chmod 600 nope`,
		`touch new && stat -c '%s %F' new`, `touch nope/x`, `[ -f f ] && [ -d d ] && [ -L l ] && [ ! -e broken ] && echo yes`, `test -s empty || echo empty`,
		`base64 f`, `base64 -w0 f; echo`, `base64 f | base64 -d`, `sha256sum f`, `md5sum f empty`, `sha256sum nope`, `sha512sum <f`, `sha256sum f >s; sha256sum -c s`,
		`grep two f`, `grep -n t f`, `grep -c t f`, `grep -v two f`, `grep -q two f`, `grep nope f`, `grep -sH '' f nope`, `grep -F : t`, `grep -E 'o|e$' f`, `grep -x two f`, `grep -o 't.' f`, `grep -l two f t`, `grep two nope`, `grep -h t f t`, `grep '^a:\(b\)' t`, `grep 'o\+' f`, `grep '[[:digit:]]' f`, `grep -i TWO f`, `grep -w tw f`,
		`cut -d: -f2 t`, `cut -d: -f1,3 t`, `cut -d: -f2- t`, `cut -c1-2 f`, `cut -s -d: -f1 f`, `tr a-z A-Z <f`, `tr -d '\n' <f`, `printf 'aabb' | tr -s a`, `tr ':' '\n' <t`, `printf 'a1b2' | tr -cd '0-9'`,
		`wc -l f`, `wc -c <f`, `wc f`, `wc -l f t`, `sort f`, `sort -r f`, `printf '10\n9\n' | sort -n`, `printf 'b\na\nb\n' | sort -u`, `printf 'x 2\ny 1\n' | sort -k2`, `printf 'a\na\nb\n' | uniq`, `printf 'a\na\nb\n' | uniq -c`,
		`sed 's/o/0/' f`, `sed 's/$/\r/;s/o/\t/' f`, `sed -n '2p' f`, `sed '/two/d' f`, `sed -E 's/(t)(w)/\2\1/' f`, `sed 's/e/E/g;1d' f`, `sed -n '/two/,$p' f`, `sed -i 's/one/1/' f && cat f`, `sed '$d' f`, `sed 's#o#&&#' f`, `sed 2q f`, `sed '/two/q9' f`, `sed '/four/q9' f`, `sed '1i zero' f`,
		`find d`, `find . -maxdepth 1 -name 'f'`, `find . -type l | sort`, `find nope`, `printf 'a b\0c\0' | xargs -0 -n1 echo`, `printf 'a b' | xargs echo x`, `printf '' | xargs -r echo x`, `echo f | xargs -I{} echo '<{}>'`,
		`env -i A=1 sh -c 'echo $A'`, `A=2 env sh -c 'echo $A'`, `timeout 5 true`, `timeout 5 sh -c 'exit 3'`, `timeout 1 sleep 2`, `timeout -k 1 1 sleep 2`, `nohup echo x 2>/dev/null`, `sh -c 'echo "$0" "$1"' a b`,
		`sh -c 'exit 7'; echo $?`, `(exit 3) || echo $?`, `false | true; echo $?`, `set -e; false; echo not`, `f() { local x=1; echo $x; }; f`, `x=$(printf 'a\n\n'); echo "[$x]"`, `for i in *; do echo $i; done`, `case abc in a*) echo yes;; esac`,
		`set -- a b c d e f g h i j k l; echo "${10}" "${12}" "${13}."; eval 'printf "%s " "${11}" "${2}"'`,
		`echo 'a\tb'`, `echo -n x; echo`, `printf '%s-%d\n' a 5 b 6`, `printf '%05d|%-4s|\n' 42 ab`, `printf '%b' 'a\n'`, `printf '%3s|' a bc`, `{ trap '' PIPE; sleep 0.1; i=0; while [ $i -lt 9 ] && printf %65536s x 2>/dev/null; do i=$((i+1)); done; echo $i >went; } | head -c 1; echo; cat went`, `eval 'echo $((1+2))'`, `unset x; echo ${x:-none} ${x-none}`, `x=abc; echo ${#x} ${x%c} ${x#a}`,
		`set -- a b c; shift; echo $# "$@"`, `while read -r a b; do echo "$b,$a"; done <t`, `cat <<EOF
here $((1+1))
EOF`, `exec 2>&1; ls nope`, `command -v sh >/dev/null && echo found`, `command -v no-such-program || echo $?`, `[ 1 -lt 2 ] && echo lt`, `echo "a  b" | tee copy && cat copy`,
		`printf x >>empty; cat empty`, `cat f >d || echo failed`, `cat <nope || echo failed`, `[[ a = a ]] || echo $?`, `export A=1; sh -c 'echo $A'`, `readonly r=1; echo $r`, `if then`, `eval 'if then'; echo after`, `echo $((`, `dd if=f bs=4 count=1 2>/dev/null`, `basename /a/b.c .c; dirname /a/b`, `mktemp ./x.XXXXXX | wc -c`, `test -d "$(mktemp -d)" && echo made`, `mktemp x`, `mktemp nope/x.XXX`, `cmp f t`, `cmp f f && echo same`, `seq 3; seq 2 4`,
		`ln -s "$(printf 'a\t"\\\n\303\251 b')" q; touch "$(printf 'n\001 \a"e')"; QUOTING_STYLE=c stat -c '%A %u %N' -- q n* l`,
		`cd -P -- ./d && cat f`, `ln -s d k; cd -P k && cat f && set -- $(stat -c %i . ../d) && [ "$1" = "$2" ] && echo same`, `cd -P -- nope || echo failed`,
		`dd if=l iflag=nofollow status=none || echo $?`, `dd if=./f iflag=nofollow,nonblock,fullblock bs=5 count=1 status=none`, `dd if=d iflag=nofollow status=none || echo $?`,
		`chmod 640 f; echo new >g; cp -P --attributes-only --preserve=mode,ownership,xattr -- f g && cat g && stat -c %a g`, `cp -P --attributes-only --preserve=mode -- l f || echo $?`, `cp -P --attributes-only --preserve=mode nope f || echo $?`,
		`ln -P f h && stat -c %h f h && rm f && stat -c %h h`, `ln -P l h && readlink h`, `ln -P d h || echo $?`, `ln f h; mv -fT -- t h; stat -c %h f h`, `ln f h; mv -f f h; ls`,
		`mkdir new && mv -fT -- new d || echo $?`, `mkdir new d2 && touch new/x && mv -fT -- new d2 && ls d2`, `mkdir new && mv -fT -- new f || echo $?`, `mkdir new && mv -fT -- new l || echo $?`,
		`mkdir -p -m 750 -- ./n/m && stat -c %a n n/m`, `umask 077; mkdir -p -m 755 -- ./n/m && stat -c %a n n/m`, `mkdir -p f || echo $?`, `umask 077; mkdir -m 700 q; stat -c '%A' q`,
		`set -- a b c d e f g h i j k l; shift 10; echo "$1" $#`, `stat -c '%s %a' -- ./f ./nope 2>/dev/null; echo $?`,
		`chmod 2775 d; mkdir d/a; mkdir -m 700 d/b; mkdir -m 00700 d/c; mkdir -p -m 750 d/e/f; install -d -m 755 d/g; touch d/h; stat -c '%a' d/a d/b d/c d/e d/e/f d/g d/h`,
		`for m in 4755 6755 2745 6644; do chmod $m f; chown "$(id -u)" f; stat -c %a f; done; chmod 2775 d; chown "$(id -u)" d; stat -c %a d`,
		`chmod 2775 d; chmod 0755 d; stat -c %a d; chmod 00755 d; stat -c %a d; chmod g+s d; chmod g-s d; stat -c %a d; chmod 2755 f; chmod 755 f; stat -c %a f`,
		`ls -la d | grep -c ' \.\.$'; ls l f d`,
		`install -m 640 f g && stat -c '%a %s' g`, `install -d -m 750 x/y && stat -c %a x/y`, `umask 027; touch u; mkdir v; stat -c %a u v`, `readlink -m nope/x | sed 's/.*nope/nope/'`, `date -u -d @0 +%FT%TZ`, `kill -0 $$ && echo alive`, `trap 'echo bye' EXIT; echo hi`, `sh -c 'kill -TERM $$'; echo $?`,
	}
	// The names of the directories differ between here and there, and links are absolute.
	for _, verbs := range []string{
		`u --query thing`, `u --install $PWD/bin/l thing $PWD/f 10; u --query thing; readlink bin/l a/thing; cat b/thing`,
		`u --install $PWD/l thing $PWD/f 10; u --install $PWD/l thing $PWD/t 10; u --query thing; u --install $PWD/l thing $PWD/t 20; u --list thing; u --display thing`,
		`u --install $PWD/l thing $PWD/f 10; u --install $PWD/l thing $PWD/t 20; u --set thing $PWD/f; u --set thing $PWD/f; u --query thing; u --display thing; u --auto thing; u --auto thing; cat b/thing`,
		`u --install $PWD/l thing $PWD/f 10; u --install $PWD/l thing $PWD/t 20; u --install $PWD/l thing $PWD/t 5; u --query thing; u --set thing /nope; u --set nope /x; u --auto nope; u --list nope`,
		`u --install $PWD/l thing /nope 5; u --install rel thing $PWD/f 5; u --install $PWD/l thing $PWD/f ten; u --install $PWD/l th/ing $PWD/f 5`,
		`: >x; u --install $PWD/x thing $PWD/f 5; u --query thing; ls -l x | cut -c1`,
		`u --install $PWD/l thing $PWD/f 10; rm a/thing; u --query thing; u --display thing; u --auto thing`,
	} {
		lines = append(lines, `rm l bin; mkdir a b bin; u() { update-alternatives --altdir $PWD/a --admindir $PWD/b --log /dev/null "$@"; echo $?; }; { `+verbs+`; } 2>&1 | sed "s#$PWD#.#g"`)
	}
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", setup+line)
			cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "HOME=" + dir}
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			m := bare(t)
			got, stderr, code := run(t, m, "root", "mkdir /scene && cd /scene && export LC_ALL=C; "+setup+line)
			if diff := cmp.Diff(stdout.String(), got); diff != "" {
				t.Errorf("output (-real +simulated):\n%s\nstderr: %s", diff, stderr)
			}
			if want := cmd.ProcessState.ExitCode(); code != want {
				t.Errorf("exit code %d, the real one is %d (stderr: %s)", code, want, stderr)
			}
		})
	}
}
