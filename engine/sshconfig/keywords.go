package sshconfig

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/suggest"
)

// keywords are those of OpenSSH 10 in lower case: ssh_config(5), with obsolete ones that it still ignores, and those
// that Debian (gss…) and Apple (usekeychain) add.
var keywords = strings.Fields(`
	addkeystoagent addressfamily afstokenpassing batchmode bindaddress bindinterface canonicaldomains canonicalizefallbacklocal
	canonicalizehostname canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms certificatefile
	challengeresponseauthentication channeltimeout checkhostip cipher ciphers clearallforwardings compression compressionlevel
	connectionattempts connecttimeout controlmaster controlpath controlpersist dsaauthentication dynamicforward
	enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fallbacktorsh fingerprinthash forkafterauthentication
	forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile globalknownhostsfile2
	gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange
	gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hashknownhosts host hostbasedacceptedalgorithms
	hostbasedauthentication hostbasedkeytypes hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile
	identityfile2 ignoreunknown include ipqos kbdinteractiveauthentication kbdinteractivedevices keepalive kerberosauthentication
	kerberostgtpassing kexalgorithms knownhostscommand localcommand localforward loglevel logverbose macs match
	nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand
	permitremoteopen pkcs11provider port preferredauthentications protocol protocolkeepalives proxycommand proxyjump
	proxyusefdpass pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection rekeylimit remotecommand
	remoteforward requesttty requiredrsasize revokedhostkeys rhostsauthentication rhostsrsaauthentication rsaauthentication
	securitykeyprovider sendenv serveralivecountmax serveraliveinterval sessiontype setenv setuptimeout skeyauthentication
	smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive
	tisauthentication tunnel tunneldevice updatehostkeys useblacklistedkeys usekeychain useprivilegedport user userknownhostsfile
	userknownhostsfile2 useroaming usersh verifyhostkeydns versionaddendum visualhostkey warnweakcrypto xauthlocation`)

// single lists the keywords that hlplay uses and that take one value, several those that take more.
var (
	single = strings.Fields(`addressfamily bindaddress bindinterface canonicalizehostname certificatefile connecttimeout
		hostkeyalias hostname identitiesonly identityagent identityfile port proxyusefdpass revokedhostkeys
		stricthostkeychecking user`)
	several = []string{"userknownhostsfile", "globalknownhostsfile"}
)

// values returns an error if ssh would reject the values of a line, even in a block that does not apply: a value that
// is missing or has been split at a blank must not make hlplay connect elsewhere.
func (l line) values() error {
	one := slices.Contains(single, l.keyword)
	switch {
	case !one && !slices.Contains(several, l.keyword):
		return nil
	case len(l.args) == 0 || slices.Contains(l.args, ""):
		return l.Errorf("%s needs a value", l.keyword)
	case one && len(l.args) > 1:
		return l.Errorf("%s takes one value, and this line has %d: quote a value that contains blanks", l.keyword, len(l.args))
	}
	return nil
}

// known returns an error if ssh would reject the keyword of a line, even in a block that does not apply: a mistyped
// HostName or ProxyJump must not make hlplay connect elsewhere.
func (e *evaluation) known(l line) error {
	if slices.Contains(keywords, l.keyword) || list(strings.ToLower(e.first["ignoreunknown"].Value()), l.keyword) {
		return nil
	}
	advice := fmt.Sprintf("write IgnoreUnknown %s above it if another ssh knows it", l.keyword)
	if nearest := suggest.Nearest(l.keyword, keywords); nearest != "" {
		advice = fmt.Sprintf("did you mean %s? If another ssh knows it, write IgnoreUnknown %s above it", nearest, l.keyword)
	}
	return l.Errorf("ssh knows no option %s: %s", l.keyword, advice)
}
