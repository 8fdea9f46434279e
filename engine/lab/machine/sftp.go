package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/pkg/sftp"
	"github.com/spf13/afero"
)

// sftpFiles serves SFTP requests from a machine's files.
type sftpFiles struct{ v view }

var (
	_ sftp.OpenFileWriter       = (*sftpFiles)(nil)
	_ sftp.PosixRenameFileCmder = (*sftpFiles)(nil)
	_ sftp.LstatFileLister      = (*sftpFiles)(nil)
	_ sftp.ReadlinkFileLister   = (*sftpFiles)(nil)
	_ sftp.RealPathFileLister   = (*sftpFiles)(nil)
)

func (s *sftpFiles) open(r *sftp.Request) (afero.File, error) {
	flags := r.Pflags()
	var flag int
	switch {
	case flags.Read && flags.Write:
		flag = os.O_RDWR
	case flags.Write:
		flag = os.O_WRONLY
	}
	if flags.Creat {
		flag |= os.O_CREATE
	}
	if flags.Trunc {
		flag |= os.O_TRUNC
	}
	if flags.Excl {
		flag |= os.O_EXCL
	}
	if flags.Append {
		flag |= os.O_APPEND
	}
	mode := fs.FileMode(0o644)
	if r.AttrFlags().Permissions {
		mode = fs.FileMode(r.Attributes().Mode) & fs.ModePerm
	}
	f, err := s.v.OpenFile(r.Filepath, flag, mode)
	if err != nil {
		return nil, sftpError(err)
	}
	return f, nil
}

// sftpError converts errors to those for which the library has SFTP codes.
func sftpError(err error) error {
	switch errno(err) {
	case nil:
		return nil
	case syscall.ENOENT, syscall.ENOTDIR:
		return sftp.ErrSSHFxNoSuchFile
	case syscall.EACCES, syscall.EPERM:
		return sftp.ErrSSHFxPermissionDenied
	}
	return errno(err)
}

func (s *sftpFiles) Fileread(r *sftp.Request) (io.ReaderAt, error)  { return s.open(r) }
func (s *sftpFiles) Filewrite(r *sftp.Request) (io.WriterAt, error) { return s.open(r) }
func (s *sftpFiles) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	return s.open(r)
}

func (s *sftpFiles) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return sftpError(s.setstat(r))
	case "Rename":
		if _, _, err := s.v.LstatIfPossible(r.Target); err == nil {
			return sftp.ErrSSHFxFailure // SFTP version 3 does not replace files
		}
		return sftpError(s.v.Rename(r.Filepath, r.Target))
	case "Rmdir", "Remove":
		info, _, err := s.v.LstatIfPossible(r.Filepath)
		if err != nil {
			return sftpError(err)
		}
		if info.IsDir() != (r.Method == "Rmdir") {
			return sftp.ErrSSHFxFailure
		}
		return sftpError(s.v.Remove(r.Filepath))
	case "Mkdir":
		return sftpError(s.v.Mkdir(r.Filepath, 0o755))
	case "Symlink":
		return sftpError(s.v.SymlinkIfPossible(r.Filepath, r.Target))
	case "Link":
		return sftpError(s.v.link(r.Filepath, r.Target))
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (s *sftpFiles) setstat(r *sftp.Request) error {
	flags, attrs := r.AttrFlags(), r.Attributes()
	if flags.Size {
		f, err := s.v.OpenFile(r.Filepath, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Truncate(int64(attrs.Size)); err != nil {
			return err
		}
	}
	if flags.Permissions {
		if err := s.v.Chmod(r.Filepath, attrs.FileMode()); err != nil {
			return err
		}
	}
	if flags.UidGid {
		if err := s.v.Chown(r.Filepath, int(attrs.UID), int(attrs.GID)); err != nil {
			return err
		}
	}
	if flags.Acmodtime {
		return s.v.Chtimes(r.Filepath, attrs.AccessTime(), attrs.ModTime())
	}
	return nil
}

func (s *sftpFiles) PosixRename(r *sftp.Request) error {
	return sftpError(s.v.Rename(r.Filepath, r.Target))
}

// infos is a directory listing.
type infos []fs.FileInfo

func (l infos) ListAt(to []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[offset:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

func (s *sftpFiles) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	switch r.Method {
	case "List":
		list, err := afero.ReadDir(s.v, r.Filepath)
		return infos(list), sftpError(err)
	case "Stat":
		info, err := s.v.Stat(r.Filepath)
		return infos{info}, sftpError(err)
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (s *sftpFiles) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	info, _, err := s.v.LstatIfPossible(r.Filepath)
	return infos{info}, sftpError(err)
}

func (s *sftpFiles) Readlink(name string) (string, error) {
	target, err := s.v.ReadlinkIfPossible(name)
	return target, sftpError(err)
}

func (s *sftpFiles) RealPath(name string) (string, error) {
	resolved, _, err := s.v.resolve(path.Clean("/"+name), true)
	if err != nil {
		return "", sftpError(err)
	}
	return resolved, nil
}

// sftp serves the machine's files as the user of the call sees them.
func (m *Machine) sftp(ctx context.Context, c *Call, channel io.ReadWriteCloser) int {
	u, _ := m.account(c.User)
	files := &sftpFiles{v: view{m: m, cred: m.credentials(c.User), by: "sftp"}}
	server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: files, FilePut: files, FileCmd: files, FileList: files},
		sftp.WithStartDirectory(u.home))
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return 255
	}
	return 0
}
