package conffile

import (
	"context"
	"maps"
	"slices"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// RebuildInitramfs plans to rebuild the images of all kernels, which contain copies of the files, if the files have
// changed or are newer than an image because an earlier run was interrupted.
func RebuildInitramfs(ctx context.Context, h modules.Host, changed bool, files ...string) ([]modules.Step, error) {
	if !changed {
		all, err := observe.StaleInitramfs.ObserveAll(ctx, h, files)
		if err != nil || !slices.Contains(slices.Collect(maps.Values(all)), true) {
			return nil, err
		}
	}
	// A container has neither a kernel of its own nor images; update-initramfs is not even installed there.
	if kernels, err := observe.InstalledKernels.Observe(ctx, h, ""); err == nil && len(kernels) == 0 {
		return nil, nil
	}
	expect := make([]observe.Expectation, len(files))
	for i, name := range files {
		expect[i] = observe.StaleInitramfs.Expect(name, false)
	}
	return []modules.Step{{
		Summary: "rebuild the initramfs images of all kernels",
		Action:  modules.Run{Argv: []string{"update-initramfs", "-u", "-k", "all"}, Limit: 15 * time.Minute},
		Expect:  expect,
	}}, nil
}
