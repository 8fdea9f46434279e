package modules

// Advice is a remark about a form that is allowed but rarely right: a step of a guide that is out of date, or one whose
// effect is not what its author had in mind. It is shown as a warning, which a task can silence by name:
// allow = { NAME = "reason" }.
type Advice struct {
	// Name is one of AdviceNames.
	Name string
	// Argument is the argument in question, named as in HCL. It is empty if the advice is about the whole module.
	Argument string
	// Problem is what is wrong with the form. Want is what to write instead, a sentence without its full stop.
	Problem, Want string
}

// Adviser is a Module that knows forms of its arguments that are rarely right.
type Adviser interface {
	// Advise returns advice based on the arguments alone. Arguments that are not known yet are treated as not set.
	Advise() []Advice
}

// AdviceNames are the names of all advice, in alphabetical order.
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
