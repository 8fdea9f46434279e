package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hlplay/engine/report"
)

// reportKinds are the file extensions that --report accepts.
var reportKinds = []string{".html", ".log", ".xml"}

// reportFlags name files that receive reports in addition to the terminal.
type reportFlags struct{ reports []string }

func (f *reportFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.reports, "report", nil, "also report the run to `FILE`: a page (.html), JUnit (.xml) or a log (.log) (repeatable)")
}

// open returns the reporters, one per file. It fails before the run if a directory is not writable.
func (f *reportFlags) open(now func() time.Time) ([]report.Reporter, error) {
	var all []report.Reporter
	for _, path := range f.reports {
		kind := filepath.Ext(path)
		if !slices.Contains(reportKinds, kind) {
			return nil, fmt.Errorf("--report %s: the extension selects the format: expected .html, .xml (JUnit) or .log", path)
		}
		file, err := os.CreateTemp(filepath.Dir(path), ".hlplay-report-*") // with mode 0600, because diffs show the contents of files
		if err != nil {
			discard(all)
			return nil, fmt.Errorf("--report %s: %w", path, err)
		}
		r := &fileReport{path: path, file: file}
		switch kind {
		case ".html":
			r.Reporter = report.NewPage(&r.text, now)
		case ".xml":
			r.Reporter = report.NewJUnit(&r.text)
		default:
			r.Reporter = report.NewPlain(&r.text, report.Options{Width: 120, Diff: true, Verbose: true})
		}
		all = append(all, r)
	}
	return all, nil
}

// fileReport replaces its file with the report when the run has ended.
type fileReport struct {
	report.Reporter
	text bytes.Buffer
	path string
	file *os.File
}

// discard removes the temporary files of reports that were not closed.
func discard(reports []report.Reporter) {
	for _, r := range reports {
		r := r.(*fileReport)
		r.file.Close()
		os.Remove(r.file.Name())
	}
}

// Close implements report.Reporter.
func (r *fileReport) Close() error {
	err := r.Reporter.Close()
	if err == nil {
		_, err = r.file.Write(r.text.Bytes())
	}
	if err = errors.Join(err, r.file.Close()); err == nil {
		err = os.Rename(r.file.Name(), r.path)
	}
	if err != nil {
		os.Remove(r.file.Name())
		return fmt.Errorf("--report %s: %w", r.path, err)
	}
	return nil
}
