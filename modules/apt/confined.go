package apt

// Confined implements modules.Confined. What is installed may come from another host of the play, and what a package starts may
// need one.
func (m *Module) Confined() bool { return false }
