package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"sync"
	"syscall"
	"time"
)

// Local returns a Conn to the controller itself, which runs commands with its own sh. name is the host's name in the
// inventory.
func Local(name string) Conn { return LocalWith(name, Options{}) }

// LocalWith is like Local, with the options about sudo's password.
func LocalWith(name string, o Options) Conn {
	login := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	c := newConn(&localTransport{gone: make(chan struct{})}, name, "local", login)
	c.use(o)
	return c
}

// localTransport starts command lines on the controller.
type localTransport struct {
	once sync.Once
	gone chan struct{}
}

var errClosed = errors.New("it was closed")

func (t *localTransport) start(_ context.Context, line string, _ bool) (process, error) {
	if err := t.lost(); err != nil {
		return nil, err
	}
	// The pipes of os/exec are closed as soon as the process has ended, even if its output has not been read.
	var pipes []*os.File
	closeAll := func() {
		for _, f := range pipes {
			f.Close()
		}
	}
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll()
			return nil, err
		}
		pipes = append(pipes, r, w)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0], pipes[3], pipes[5]
	if err := cmd.Start(); err != nil {
		closeAll()
		return nil, err
	}
	pipes[0].Close()
	pipes[3].Close()
	pipes[5].Close()
	p := &localProcess{cmd: cmd, stdin: pipes[1], stdout: pipes[2], stderr: pipes[4], exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(p.exited)
	}()
	go func() {
		select {
		case <-t.gone:
			p.stdin.Close()
			select {
			case <-p.exited: // a shell that waits for input exits by itself
			case <-time.After(100 * time.Millisecond):
				p.Terminate()
			}
			p.Close()
		case <-p.exited:
		}
	}()
	return p, nil
}

func (t *localTransport) lost() error {
	select {
	case <-t.gone:
		return errClosed
	default:
		return nil
	}
}

func (t *localTransport) probe() {}

func (t *localTransport) done() <-chan struct{} { return t.gone }

func (t *localTransport) stats() Stats { return Stats{} }

func (t *localTransport) close() error {
	t.once.Do(func() { close(t.gone) })
	return nil
}

type localProcess struct {
	cmd                   *exec.Cmd
	stdin, stdout, stderr *os.File
	exited                chan struct{}
}

func (p *localProcess) Stdin() io.WriteCloser   { return p.stdin }
func (p *localProcess) Stdout() io.Reader       { return p.stdout }
func (p *localProcess) Stderr() io.Reader       { return p.stderr }
func (p *localProcess) Exited() <-chan struct{} { return p.exited }

func (p *localProcess) Status() (int, error) {
	state := p.cmd.ProcessState
	if state == nil {
		return 0, errors.New("the process could not be waited for")
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

func (p *localProcess) Terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *localProcess) Close() {
	p.stdin.Close()
	p.stdout.Close()
	p.stderr.Close()
}
