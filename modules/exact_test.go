package modules_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// exact lists the steps of all modules that run a program, by package and function, and whether they change only what
// they expect. If so, check mode does not cast doubt on anything else because of them. Further steps in the same
// function are numbered.
var exact = map[string]struct {
	exact bool
	why   string
}{
	"accounts.AddGroup":           {true, "the files of accounts"},
	"alternatives.choice.step":    {false, "what runs under a name, and what comes with it"},
	"apt.Key.planDownload":        {true, "one new file"},
	"apt.Key.planDownload#3":      {true, "a file gets another name"},
	"apt.Module.mark":             {true, "the selections of dpkg alone"},
	"apt.Module.planAutoremove":   {false, "a package's scripts do what they want"},
	"apt.Module.planDebconf":      {true, "debconf's own database"},
	"apt.Module.planFinish":       {false, "a package's scripts do what they want"},
	"apt.Module.planInstall":      {false, "a package's scripts do what they want"},
	"apt.Module.planRefresh":      {true, "the index alone: the step refreshes"},
	"apt.Module.planRemove":       {false, "a package's scripts do what they want"},
	"apt.Module.planUpgrade":      {false, "a package's scripts do what they want"},
	"apt.repairStep":              {false, "a package's scripts do what they want"},
	"backup_job.Module.step":      {true, "one file of the cluster"},
	"blank.Target.Wipe":           {true, "what is on a device and its partitions"},
	"boot.loader.step":            {true, "the boot menu, and what is copied for it"},
	"boot.Module.planEntries":     {true, "the entry of a kernel, and copies of its images on the EFI partition"},
	"command.Command.step":        {false, "only the author knows"},
	"compose.Project.absent":      {false, "what its containers did is no longer done"},
	"compose.Project.present":     {false, "what a container does when it starts or stops"},
	"compose.Project.pull":        {true, "an image"},
	"conffile.ReloadUnits":        {true, "systemd's units, whose files the steps before have changed"},
	"wireguard.wireguard.connect": {true, "an interface, and what its hosts reach by it"},
	"wireguard.wireguard.makeKey": {true, "a file that nobody reads but WireGuard"},
	"nebula.nebula.connect":       {true, "a service, and what its hosts reach by it"},
	"nebula.nebula.makeKey":       {true, "files that nobody reads but Nebula"},
	"nebula.nebula.check":         {true, "a test writes nothing that stays"},
	"conffile.RebuildInitramfs":   {false, "hooks of packages run"},
	"download.state.fetch":        {true, "one file, or one new directory"},
	"drill.Module.back":           {false, "nothing but time passes, and the node comes back"},
	"drill.Module.lose":           {false, "a node goes"},
	"drill.Module.watch":          {false, "guests are started elsewhere"},
	"evacuate.Module.maintenance": {false, "guests move, and where to is not known"},
	"evacuate.move.step":          {false, "a guest moves, and a container is restarted"},
	"file.File.check":             {true, "a validator writes nothing"},
	"file.File.guarded":           {false, "only the author knows what the command applies"},
	"filesystem.filesystem.make":  {true, "what is on a device, and its names below /dev/disk"},
	"firewall.firewall.absent":    {true, "rules, which no observation of the host itself depends on"},
	"firewall.firewall.load":      {true, "a check writes nothing"},
	"firewall.firewall.load#2":    {true, "rules, which no observation of the host itself depends on"},
	"git.git.Plan":                {true, "one directory"},
	"group.group.remove":          {true, "the files of accounts"},
	"ha.state.step":               {false, "guests start, stop and move"},
	"ha.Resource.plan":            {false, "guests start, stop and move"},
	"ha.Resource.plan#2":          {false, "guests start, stop and move"},
	"hostname.hostname.Plan":      {false, "sudo, and all that asks for the host's own name, sees it"},
	"locale.locale.make":          {true, "the locales"},
	"lvm.state.claim":             {true, "what is on the disks, and LVM's own metadata"},
	"lvm.work.add":                {true, "a device, and its names below /dev"},
	"lvm.work.grow":               {true, "the size of a device, and of the file system on it"},
	"lvm.work.remove":             {true, "a device, and its names below /dev"},
	"mapping.request.step":        {true, "one file of the cluster"},
	"modprobe.Module.planLoad":    {false, "devices and settings appear, and what udev does of them"},
	"mount.state.step":            {true, "what is mounted, and what lies below"},
	"network.state.reload":        {true, "the interfaces; what commands of other interfaces do they have done before"},
	"partition.partition.add":     {true, "a partition in the table"},
	"partition.partition.tell":    {true, "a device, and its names below /dev/disk"},
	"pve.GuestChange.step":        {false, "a volume of a storage grows, and what runs in the guest sees it"},
	"pve.Create":                  {false, "disks are made on storages"},
	"pve.GuestMoves.move":         {false, "disks are made on storages"},
	"pve.Power.Plan":              {false, "a guest starts or stops"},
	"pve.Power.managed":           {false, "guests start, stop and move"},
	"pveceph.crushEdit.step":      {false, "the whole of Ceph sees it"},
	"pveceph.FS.plan#2":           {false, "the whole of Ceph sees it"},
	"pveceph.Init.existing":       {false, "the whole of Ceph sees it"},
	"pveceph.Init.plan":           {false, "the whole of Ceph sees it"},
	"pveceph.Install.install":     {false, "a package's scripts do what they want"},
	"pveceph.MDS.plan":            {false, "the whole of Ceph sees it"},
	"pveceph.Mgr.plan":            {false, "the whole of Ceph sees it"},
	"pveceph.Mon.create":          {false, "the whole of Ceph sees it"},
	"pveceph.OSD.create":          {false, "the whole of Ceph sees it"},
	"pveceph.OSD.existing":        {false, "a daemon starts"},
	"pveceph.OSDAbsent.forget":    {false, "systemd reads all units anew, and removes a link"},
	"pveceph.OSDAbsent.remove":    {false, "the whole of Ceph sees it"},
	"pveceph.OSDAbsent.remove#2":  {false, "nothing but time passes, and data moves"},
	"pveceph.OSDAbsent.remove#3":  {false, "a daemon stops"},
	"pveceph.OSDAbsent.remove#4":  {false, "the whole of Ceph sees it"},
	"pveceph.Pool.await":          {true, "nothing but time passes"},
	"pveceph.Pool.create":         {false, "the whole of Ceph sees it"},
	"pveceph.Pool.step":           {false, "the whole of Ceph sees it"},
	"pveceph.Reweight.steps":      {false, "data moves"},
	"pveceph.Rule.insert":         {false, "the whole of Ceph sees it"},
	"pveceph.Rule.plan":           {false, "the whole of Ceph sees it"},
	"pveceph.Weight.step":         {false, "data moves"},
	"pveceph.state.setFlag":       {true, "a flag of the OSD map, and the health check for it"},
	"pveceph.state.startUnit":     {false, "a daemon starts"},
	"pveceph.reload":              {false, "services start anew"},
	"pveceph.update":              {true, "the index alone: the step refreshes"},
	"pvecm.Remove.delnode":        {false, "all that knows of the nodes"},
	"pvecm.Remove.rest":           {false, "the whole of Ceph sees it"},
	"pvecm.state.add":             {false, "the whole of /etc/pve is another one"},
	"pve_firewall.state.guard":    {true, "it only waits"},
	"pvecm.linkage.write":         {true, "it only waits"},
	"pvecm.device.living":         {false, "a vote comes, and daemons start"},
	"pvecm.device.remove":         {false, "a vote goes"},
	"pvecm.device.setUpStep":      {false, "corosync has another vote, and files of its own, on all members"},
	"pvecm.login.authorise":       {false, "all members share the file"},
	"pvecm.login.makeKey":         {true, "two files of root's"},
	"pvecm.state.certificate":     {false, "all members share what it writes"},
	"pvecm.state.create":          {false, "corosync starts, and what waits for it"},
	"pbs.Token.plan":              {true, "the server's files, and one that keeps the secret"},
	"pvesm.Module.plan":           {false, "a storage is activated: mounts and directories appear"},
	"pvesm.Module.set":            {false, "a storage is activated: mounts and directories appear"},
	"qm.Module.mapStep":           {false, "a USB device of a running guest may be exchanged"},
	"raid.state.assemble":         {false, "what is on the array may be more than a file system"},
	"raid.state.create":           {true, "the disks and the array, and their names below /dev"},
	"raid.state.drop":             {true, "the disks and the array"},
	"throughput.Module.measure":   {true, "nothing is changed"},
	"throughput.Module.serve":     {true, "nothing is changed"},
	"raid.state.manage":           {true, "the disks and the array"},
	"test_restore.Module.install": {true, "one timer"},
	"test_restore.Module.remove":  {true, "one timer"},
	"service.planner.do":          {false, "what a service does when it starts or stops"},
	"sysctl.planNow":              {true, "kernel settings, and those that they reset"},
	"systemd_unit.state.ended":    {false, "what a unit does when it stops"},
	"systemd_unit.state.ended#2":  {false, "instances that nobody has looked at"},
	"systemd_unit.state.ended#3":  {false, "what a unit does when it stops"},
	"systemd_unit.state.verify":   {true, "a validator writes nothing"},
	"wait_for.WaitFor.pause":      {true, "nothing but time passes"},
	"user.User.create":            {false, "a home with what /etc/skel holds"},
	"user.User.modify":            {false, "a home may move, and groups are left"},
	"user.User.remove":            {false, "a home goes with all that others have looked at in it"},
	"user.User.setPassword":       {true, "the files of accounts"},
}

// bounded lists actions that change what they name and nothing else, or nothing at all.
var bounded = map[string]bool{"WriteFile": true, "MakeDir": true, "Remove": true, "Link": true, "SetAttributes": true, "Wait": true}

// written lists steps with such an action that is constructed elsewhere.
var written = map[string]bool{"conffile.WriteMode": true, "file.File.planPresent": true, "user.User.authorize": true, "reboot.Module.step": true}

func TestEveryStepIsExactOnPurpose(t *testing.T) {
	var files []string
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	seen := map[string]bool{}
	counts := map[string]int{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			where := filepath.Base(filepath.Dir(name)) + "." + receiver(fn) + fn.Name.Name
			ast.Inspect(fn, func(n ast.Node) bool {
				step := stepFields(n)
				if step == nil {
					return true
				}
				counts[where]++
				at := where
				if n := counts[where]; n > 1 {
					at = fmt.Sprintf("%s#%d", where, n)
				}
				if bounded[actionOf(step["Action"])] || written[where] {
					return true
				}
				want, decided := exact[at]
				seen[at] = true
				switch marked := step["Exact"] != nil || step["Refresh"] != nil; {
				case !decided:
					t.Errorf("%s: whether the step %s is exact is not decided; see modules.Step.Exact", name, at)
				case marked != want.exact:
					t.Errorf("%s: the step %s is marked exact: %v; decided was %v: %s", name, at, marked, want.exact, want.why)
				}
				return true
			})
		}
	}
	for at := range exact {
		if !seen[at] {
			t.Errorf("there is no step %s any more", at)
		}
	}
}

// receiver returns the receiver type of a method followed by a dot, or "" for other functions.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	of := fn.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// stepFields returns the fields of a composite literal of modules.Step, or nil for any other node.
func stepFields(n ast.Node) map[string]ast.Expr {
	lit, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	fields := map[string]ast.Expr{}
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				fields[key.Name] = pair.Value
			}
		}
	}
	if fields["Summary"] == nil || fields["Action"] == nil {
		return nil
	}
	return fields
}

// actionOf returns the name of an action that is written as a literal in the step, or "" for others.
func actionOf(e ast.Expr) string {
	if lit, ok := e.(*ast.CompositeLit); ok {
		if selector, ok := lit.Type.(*ast.SelectorExpr); ok {
			return selector.Sel.Name
		}
	}
	return ""
}
