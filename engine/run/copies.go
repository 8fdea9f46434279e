package run

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/modules"
)

// Archive keeps copies of vital files (modules.Spec.Vital) and of objects that are just as vital
// (modules.Spec.Objects), whose names are used in place of paths. Its methods may be called concurrently.
type Archive interface {
	// Before is called with what is at a path on a host before a step that may change it is carried out, once per run, or again
	// if the step was not carried out then. The error says why no copy was kept.
	Before(host, path string, f observe.File) error
	// After is called with what is at the path at the end of the run: what was last observed, if nothing is known to have changed it
	// since.
	After(host, path string, f observe.File)
}

// copies tells the archive which vital files steps may change.
type copies struct {
	archive Archive // nil keeps nothing
	vital   []string
	objects map[string]modules.Object

	// mu is held while a copy is made, so that nothing changes the file meanwhile.
	mu sync.Mutex
	// taken has the names of which a copy was kept; false means that another is wanted. reading guards it, never for longer than it
	// takes to look: planners ask while a copy is made.
	reading sync.Mutex
	taken   map[*host]map[string]bool
}

func newCopies(archive Archive, specs []modules.Spec) *copies {
	c := &copies{archive: archive, objects: map[string]modules.Object{}, taken: map[*host]map[string]bool{}}
	for _, spec := range specs {
		c.vital = append(append(c.vital, spec.Vital...), spec.Rewritten...)
		for _, object := range spec.Objects {
			c.objects[object.Name] = object
		}
	}
	return c
}

// of returns the vital files that a step of a module may change.
func (c *copies) of(step modules.Step, module modules.Spec) []string {
	var changed string
	switch a := step.Action.(type) {
	case modules.WriteFile:
		changed = a.Path
	case modules.Link:
		changed = a.Path
	case modules.Remove:
		changed = a.Path
	case modules.Run:
		if step.Refresh {
			return nil
		}
		return module.Rewritten
	default:
		return nil
	}
	for _, pattern := range c.vital {
		if ok, _ := path.Match(pattern, changed); ok {
			return []string{changed}
		}
	}
	return nil
}

// reads returns what a host is asked beforehand, so that the copies that a task needs there are known when its steps are carried
// out. acts is set if the host has something to do for the task, elsewhere if another host carries it out for all: its steps may
// then change the host's own files, too.
func (c *copies) reads(h *host, t *task, acts, elsewhere bool) (reads []observe.Read) {
	if c.archive == nil {
		return nil
	}
	for _, name := range t.Module.Rewritten {
		if !c.has(h, name) && (acts || elsewhere && !observe.OnSharedFileSystem(name)) {
			reads = append(reads, observe.Files.Read(name))
		}
	}
	return reads
}

// copy makes the archive keep the vital files that the steps may change: on the host that carries them out and, for
// steps that change what others observe, on all hosts. If that fails, the run reports it and continues. Hosts that are united see
// the same files on a file system that they share, so only the host that carries out the steps is asked for those.
func (e *execution) copy(ctx context.Context, on *host, steps []modules.Step) {
	c := e.copies
	if c.archive == nil || e.check {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	want := map[*host][]string{}
	for _, step := range steps {
		for _, name := range step.Objects {
			c.take(want, on, name)
		}
		paths := c.of(step, e.task.Module)
		if len(paths) == 0 {
			continue
		}
		hosts := []*host{on}
		if _, command := step.Action.(modules.Run); command && step.Wide {
			hosts = e.hosts.all()
		}
		for _, h := range hosts {
			if h != on && !h.observed.Connected() {
				continue
			}
			for _, name := range paths {
				c.take(want, h, name)
			}
		}
	}
	keep := func(h *host, alike map[string]observe.File) map[string]observe.File {
		kept, failed := c.read(ctx, h, want[h], alike)
		for _, why := range failed {
			e.report(report.Note{Text: h.Name + ": no copy was kept of " + why})
		}
		return kept
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	var united []*host
	for h := range want {
		switch {
		case h == on:
		case observe.United(on.observed, h.observed):
			united = append(united, h)
		default:
			wg.Go(func() { keep(h, nil) })
		}
	}
	alike := keep(on, nil)
	for _, h := range united {
		wg.Go(func() { keep(h, alike) })
	}
}

// ready reports whether the copies for a step that is sent ahead can be kept before, from what is known of the host.
func (c *copies) ready(h *host, step modules.Step, module modules.Spec) bool {
	if c.archive == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.of(step, module) {
		if _, known := c.known(h, name); !known && !c.has(h, name) {
			return false
		}
	}
	return true
}

// copyAhead keeps the copies for parts that are about to be sent.
func (e *execution) copyAhead(ctx context.Context, along []*part) {
	if e.copies.archive == nil {
		return
	}
	for _, p := range along {
		p.copied = e.copies.missing(e.host, p)
		e.executor.execution(p.task, e.host).copy(ctx, e.host, p.steps)
	}
}

// missing returns the vital files that a part may change and of which there is no copy yet.
func (c *copies) missing(h *host, p *part) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, step := range p.steps {
		for _, name := range c.of(step, p.task.Module) {
			if !c.has(h, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// known returns what is at a path of a host, or the object of that name, as far as nothing has to be read for it.
func (c *copies) known(h *host, name string) (f observe.File, ok bool) {
	if object, is := c.objects[name]; is {
		return object.Text.Remembered(h.observed, "")
	}
	value, ok := h.observed.Known(observe.Files.Key(name))
	if ok {
		f, ok = value.(observe.File)
	}
	return f, ok
}

// readsAtEnd returns what is read of a host at the end of the run: that of which there are copies, and of which there will be when some
// parts are sent.
func (c *copies) readsAtEnd(h *host, along []*part) (reads []observe.Read) {
	var names []string
	for _, p := range along {
		names = append(names, c.missing(h, p)...)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	names = slices.AppendSeq(names, maps.Keys(c.taken[h]))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if object, is := c.objects[name]; is {
			reads = append(reads, object.Text.Read(""))
		} else {
			reads = append(reads, observe.Files.Read(name))
		}
	}
	return reads
}

// copyAgain has the copies for parts that were not begun taken again in their turn, when something else may be there. If that
// does not come, the archive is still told at the end of the run that the files are as they were.
func (e *execution) copyAgain(along []*part) {
	e.copies.reading.Lock()
	defer e.copies.reading.Unlock()
	for _, p := range along {
		if !p.Begun {
			for _, name := range p.copied {
				e.copies.taken[e.host][name] = false
			}
		}
	}
}

// has reports whether a copy was kept, and no other is wanted.
func (c *copies) has(h *host, name string) bool {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.taken[h][name]
}

// take adds a name to those of which a copy is wanted, unless there is one already. The caller holds c.mu.
func (c *copies) take(want map[*host][]string, h *host, name string) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.taken[h] == nil {
		c.taken[h] = map[string]bool{}
	}
	if !c.taken[h][name] {
		c.taken[h][name] = true
		want[h] = append(want[h], name)
	}
}

// read passes the files at some paths of a host to the archive: from observations that were already made, or if another host sees
// them alike, as that does. It returns those that it passed, and which could not be read, and why.
func (c *copies) read(ctx context.Context, h *host, names []string, alike map[string]observe.File) (kept map[string]observe.File, failed []string) {
	kept = map[string]observe.File{}
	give := func(name string, f observe.File, err error) {
		if err == nil {
			err = c.archive.Before(h.Name, name, f)
		}
		if err != nil {
			failed = append(failed, name+": "+err.Error())
			return
		}
		kept[name] = f
	}
	var rest []string
	for _, name := range names {
		if f, ok := c.known(h, name); ok {
			give(name, f, nil)
		} else if f, ok := alike[name]; ok && observe.OnSharedFileSystem(name) {
			give(name, f, nil)
		} else {
			rest = append(rest, name)
		}
	}
	if len(rest) == 0 {
		return kept, failed
	}
	if err := c.ask(ctx, h, rest, give); err != nil {
		failed = append(failed, strings.Join(rest, ", ")+": "+err.Error())
	}
	return kept, failed
}

// ask reads files and objects of a host without using earlier observations.
func (c *copies) ask(ctx context.Context, h *host, names []string, tell func(string, observe.File, error)) error {
	files := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, object := c.objects[name]; return object })
	queries := observe.Files.Ask(files)
	asked := len(queries)
	empty := []string{""}
	for _, name := range names {
		if object, ok := c.objects[name]; ok {
			queries = append(queries, object.Text.Ask(empty)...)
		}
	}
	answers, err := h.connection.Ask(ctx, queries)
	if err != nil {
		return err
	}
	observe.Files.Parse(files, answers[:asked], tell)
	answers = answers[asked:]
	for _, name := range names {
		if object, ok := c.objects[name]; ok {
			n := len(object.Text.Ask(empty))
			object.Text.Parse(empty, answers[:n], func(_ string, f observe.File, err error) { tell(name, f, err) })
			answers = answers[n:]
		}
	}
	return nil
}

// left tells the archive the final content of the files of which it has copies.
func (c *conductor) left() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for h, taken := range c.copies.taken {
		if !h.observed.Connected() {
			continue
		}
		wg.Go(func() {
			var names []string
			for name := range taken {
				if f, ok := c.copies.known(h, name); ok {
					c.copies.archive.After(h.Name, name, f)
				} else {
					names = append(names, name)
				}
			}
			if len(names) == 0 {
				return
			}
			_ = c.copies.ask(ctx, h, names, func(name string, f observe.File, err error) {
				if err == nil {
					c.copies.archive.After(h.Name, name, f)
				}
			})
		})
	}
	wg.Wait()
}
