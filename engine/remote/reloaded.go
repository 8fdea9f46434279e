package remote

// reloadedScript is the script of Reloaded.
var reloadedScript = script("reloaded")

// Reloaded returns a query that fails while the SSH server through which it is asked has yet to take SIGHUP, and says so. `systemctl
// reload ssh` returns when the signal has been sent (ExecReload= in ssh.service of Debian 12 and 13), and on a busy host the server may
// accept another login under the old configuration before it notices. Once it has taken the signal, it closes its listening
// sockets before it accepts whoever comes after that (server_accept_loop in sshd.c, OpenSSH 9.2 and 10.0). The query must be asked as
// root, before the login that is to be under the new configuration begins. A server that was restarted, or one that starts for
// each login, has nothing to take.
func Reloaded() Query { return Query{Script: reloadedScript} }
