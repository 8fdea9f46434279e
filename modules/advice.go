package modules

// Advice is a remark about a form that is allowed and seldom right: a step of a guide that is out of date, or whose effect is
// another one than its author thought of. It is a warning, which the task can silence by its name: allow = { NAME = "reason" }.
type Advice struct {
	// Name is one of AdviceNames.
	Name string
	// Argument is the argument in question, named as in HCL. Empty is the module as a whole.
	Argument string
	// Problem is what is wrong with the form, Want what to write instead, as a sentence without its full stop.
	Problem, Want string
}

// Adviser is a Module that knows forms of its arguments that are seldom right.
type Adviser interface {
	// Advise returns advice on the arguments alone. Those that are not known yet are as if not given.
	Advise() []Advice
}

// AdviceNames are the names of all advice, in the order of the alphabet.
var AdviceNames = []string{
	AdviceAppend, AdviceBlacklistGlob, AdviceEtcHost, AdviceHashPolicy, AdviceMTU, AdviceNetworkingRestart, AdviceNoSource, AdviceSuite, AdviceUpgrade, AdviceVirqfd,
}

// The names of advice.
const (
	AdviceAppend            = "append"
	AdviceBlacklistGlob     = "blacklist_glob"
	AdviceEtcHost           = "etc_host"
	AdviceHashPolicy        = "hash_policy"
	AdviceMTU               = "mtu"
	AdviceNetworkingRestart = "networking_restart"
	AdviceNoSource          = "no_subscription_removed"
	AdviceSuite             = "suite"
	AdviceUpgrade           = "upgrade_safe"
	AdviceVirqfd            = "vfio_virqfd"
)
