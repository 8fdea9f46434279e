//go:build linux

package onnode

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/spf13/afero"
	"golang.org/x/sys/unix"

	"hlplay/engine/lab/proxmox"
)

// mountConfig mounts the node's pmxcfs. Nothing is cached, because other nodes write as well.
func mountConfig(world *proxmox.World, node string) error {
	if err := os.MkdirAll(config, 0o755); err != nil {
		return err
	}
	never := time.Duration(0)
	files := fusefs.NewNodeFS(&entry{files: world.Filesystem(node)}, &fusefs.Options{
		EntryTimeout: &never, AttrTimeout: &never, NegativeTimeout: &never,
	})
	server, err := fuse.NewServer(files, config, &fuse.MountOptions{
		AllowOther: true, Options: []string{"default_permissions"}, FsName: "/dev/fuse", Name: "pmxcfs",
		DirectMountStrict: true, DisableXAttrs: true,
	})
	if err != nil {
		return err
	}
	// It is already mounted. Server.WaitMount would access it, and fail while pmxcfs is not connected yet.
	go server.Serve()
	return nil
}

// unmountConfig unmounts /etc/pve, even if files in it are open or a daemon that died has left it mounted.
func unmountConfig() {
	for unix.Unmount(config, unix.MNT_DETACH) == nil {
	}
}

// entry is a file, directory or link of pmxcfs.
type entry struct {
	fusefs.Inode
	files *proxmox.Pmxcfs
}

var (
	_ fusefs.NodeLookuper   = (*entry)(nil)
	_ fusefs.NodeGetattrer  = (*entry)(nil)
	_ fusefs.NodeSetattrer  = (*entry)(nil)
	_ fusefs.NodeReaddirer  = (*entry)(nil)
	_ fusefs.NodeReadlinker = (*entry)(nil)
	_ fusefs.NodeOpener     = (*entry)(nil)
	_ fusefs.NodeCreater    = (*entry)(nil)
	_ fusefs.NodeMkdirer    = (*entry)(nil)
	_ fusefs.NodeUnlinker   = (*entry)(nil)
	_ fusefs.NodeRmdirer    = (*entry)(nil)
	_ fusefs.NodeRenamer    = (*entry)(nil)
	_ fusefs.NodeStatfser   = (*entry)(nil)
	_ fusefs.FileReader     = (*handle)(nil)
	_ fusefs.FileWriter     = (*handle)(nil)
)

// errno returns the system error for an error.
func errno(err error) syscall.Errno {
	var number syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &number):
		return number
	case errors.Is(err, fs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist):
		return syscall.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	}
	return syscall.EIO
}

func (e *entry) path() string             { return "/" + e.Path(nil) }
func (e *entry) child(name string) string { return path.Join(e.path(), name) }

// mode returns a file mode in the form of stat(2).
func mode(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	switch {
	case m.IsDir():
		return bits | syscall.S_IFDIR
	case m&os.ModeSymlink != 0:
		return bits | syscall.S_IFLNK
	}
	return bits | syscall.S_IFREG
}

func describe(info os.FileInfo, out *fuse.Attr) {
	out.Mode, out.Size, out.Nlink = mode(info.Mode()), uint64(info.Size()), 1
	out.Owner = fuse.Owner{Uid: 0, Gid: proxmox.WWWDataGID}
	modified := info.ModTime()
	out.SetTimes(&modified, &modified, &modified)
}

// node returns the inode of a child: the kernel's existing one, if the child still has the same type.
func (e *entry) node(ctx context.Context, name string, info os.FileInfo) *fusefs.Inode {
	kind := mode(info.Mode()) & syscall.S_IFMT
	if known := e.GetChild(name); known != nil && known.StableAttr().Mode == kind {
		return known
	}
	return e.NewInode(ctx, &entry{files: e.files}, fusefs.StableAttr{Mode: kind})
}

func (e *entry) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	info, _, err := e.files.LstatIfPossible(e.child(name))
	if err != nil {
		return nil, errno(err)
	}
	describe(info, &out.Attr)
	return e.node(ctx, name, info), 0
}

func (e *entry) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, _, err := e.files.LstatIfPossible(e.path())
	if err != nil {
		return errno(err)
	}
	describe(info, &out.Attr)
	return 0
}

func (e *entry) Setattr(ctx context.Context, f fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		file, err := e.files.OpenFile(e.path(), os.O_WRONLY, 0)
		if err != nil {
			return errno(err)
		}
		if err := errors.Join(file.Truncate(int64(size)), file.Close()); err != nil {
			return errno(err)
		}
	}
	if bits, ok := in.GetMode(); ok {
		if err := e.files.Chmod(e.path(), os.FileMode(bits).Perm()); err != nil {
			return errno(err)
		}
	}
	uid, changeUID := in.GetUID()
	gid, changeGID := in.GetGID()
	if changeUID || changeGID {
		owner, group := -1, -1
		if changeUID {
			owner = int(uid)
		}
		if changeGID {
			group = int(gid)
		}
		if err := e.files.Chown(e.path(), owner, group); err != nil {
			return errno(err)
		}
	}
	if modified, ok := in.GetMTime(); ok {
		if err := e.files.Chtimes(e.path(), modified, modified); err != nil {
			return errno(err)
		}
	}
	return e.Getattr(ctx, f, out)
}

func (e *entry) Readdir(context.Context) (fusefs.DirStream, syscall.Errno) {
	infos, err := afero.ReadDir(e.files, e.path())
	if err != nil {
		return nil, errno(err)
	}
	var list []fuse.DirEntry
	for _, info := range infos {
		list = append(list, fuse.DirEntry{Name: info.Name(), Mode: mode(info.Mode())})
	}
	return fusefs.NewListDirStream(list), 0
}

func (e *entry) Readlink(context.Context) ([]byte, syscall.Errno) {
	target, err := e.files.ReadlinkIfPossible(e.path())
	return []byte(target), errno(err)
}

func (e *entry) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	file, err := e.files.OpenFile(e.path(), int(flags), 0)
	if err != nil {
		return nil, 0, errno(err)
	}
	return &handle{file, int(flags)}, fuse.FOPEN_DIRECT_IO, 0
}

func (e *entry) Create(ctx context.Context, name string, flags, bits uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	file, err := e.files.OpenFile(e.child(name), int(flags)|os.O_CREATE, os.FileMode(bits).Perm())
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	inode, number := e.Lookup(ctx, name, out)
	return inode, &handle{file, int(flags)}, fuse.FOPEN_DIRECT_IO, number
}

func (e *entry) Mkdir(ctx context.Context, name string, bits uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if err := e.files.Mkdir(e.child(name), os.FileMode(bits).Perm()); err != nil {
		return nil, errno(err)
	}
	return e.Lookup(ctx, name, out)
}

func (e *entry) Unlink(_ context.Context, name string) syscall.Errno {
	return errno(e.files.Remove(e.child(name)))
}

func (e *entry) Rmdir(_ context.Context, name string) syscall.Errno {
	return errno(e.files.Remove(e.child(name)))
}

func (e *entry) Rename(_ context.Context, name string, parent fusefs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	target, ok := parent.(*entry)
	if !ok {
		return syscall.EXDEV
	}
	return errno(e.files.Rename(e.child(name), target.child(to)))
}

// Statfs reports a small file system, as the real one does (128 MiB).
func (e *entry) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 256
	out.Blocks, out.Bfree, out.Bavail = 32768, 32760, 32760
	out.Files, out.Ffree = 262144, 262100
	return 0
}

// handle is an open file.
type handle struct {
	file  afero.File
	flags int
}

func (h *handle) Read(_ context.Context, buffer []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.file.ReadAt(buffer, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errno(err)
	}
	return fuse.ReadResultData(buffer[:n]), 0
}

// Write appends if the file was opened for appending: the offset from the kernel may be out of date.
func (h *handle) Write(_ context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	var n int
	var err error
	if h.flags&os.O_APPEND != 0 {
		n, err = h.file.Write(data)
	} else {
		n, err = h.file.WriteAt(data, at)
	}
	return uint32(n), errno(err)
}
