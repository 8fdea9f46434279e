package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/modules/registry"
)

func docCommand() *cobra.Command {
	var inventories []string
	cmd := &cobra.Command{
		Use:   "doc [MODULE | PLAYBOOK]",
		Short: "List the modules, explain one, or describe the variables of a playbook and an inventory",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && filepath.Ext(args[0]) == ".hcl":
				return docInputs(args[0], inventories)
			case len(inventories) > 0 && len(args) == 1:
				return fmt.Errorf("-i needs a playbook, which is a file that ends in .hcl; %q is not one", args[0])
			case len(inventories) > 0:
				return docInputs("", inventories)
			case len(args) == 1:
				return docModule(args[0])
			}
			for _, spec := range registry.All() {
				fmt.Printf("%-10s %s\n", spec.Name, spec.Summary)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&inventories, "inventory", "i", nil, "also describe the host variables that the inventory `PATH` declares (repeatable)")
	_ = cmd.Flags().SetAnnotation("inventory", own, []string{})
	return cmd
}

func docModule(name string) error {
	spec, ok := registry.Find(name)
	if !ok {
		var names []string
		for _, s := range registry.All() {
			names = append(names, s.Name)
		}
		return fmt.Errorf("no module %q%s", name, lang.Suggestion(name, names, "`hlplay doc` lists them; the file of a playbook ends in .hcl"))
	}
	fmt.Print(lang.Describe(spec))
	return nil
}

// docInputs prints the declarations in a playbook, if one is named, and in inventories.
func docInputs(playbook string, inventories []string) error {
	if playbook != "" {
		pb, diags := lang.Inputs(playbook, lang.Options{Modules: registry.All()})
		if err := diagnosed(pb.Files, diags); err != nil {
			return err
		}
		var ofHosts []lang.HostInput
		for _, v := range pb.HostVariables {
			hosts := "all of its plays"
			if v.Hosts != nil {
				at := v.Hosts.Expr.Range()
				hosts = "`" + string(at.SliceBytes(pb.Files[at.Filename].Bytes)) + "`"
			}
			ofHosts = append(ofHosts, lang.HostInput{Variable: v, Hosts: hosts})
		}
		fmt.Print(report.Printable(lang.DescribeInputs(playbook, pb.Variables, ofHosts)))
	}
	if len(inventories) == 0 {
		return nil
	}
	inv, diags := inventory.Load(inventories...)
	if inv == nil {
		return diagnosed(nil, diags)
	}
	if err := diagnosed(inv.Files, diags); err != nil {
		return err
	}
	var ofHosts []lang.HostInput
	vars, groups := inv.Variables()
	for i, v := range vars {
		ofHosts = append(ofHosts, lang.HostInput{Variable: v, Hosts: groups[i]})
	}
	if playbook != "" {
		fmt.Println()
	}
	fmt.Print(report.Printable(lang.DescribeInputs(inv.Path, nil, ofHosts)))
	return nil
}
