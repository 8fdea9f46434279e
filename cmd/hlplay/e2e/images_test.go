//go:build linux && e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// image is an image of a container that consists of executable files.
type image struct {
	name, tag  string
	files      map[string]string // by path below the root
	entrypoint []string
	command    []string
	env        []string
}

// registry serves images as a registry does that asks nobody for a password.
type registry struct {
	address string
	content map[string]document // by the path of a request
	layers  atomic.Int64        // how many layers were fetched
}

// document is what the registry answers.
type document struct {
	kind string // its media type
	text []byte
}

const (
	manifestKind = "application/vnd.oci.image.manifest.v1+json"
	configKind   = "application/vnd.oci.image.config.v1+json"
	layerKind    = "application/vnd.oci.image.layer.v1.tar"
)

// pulls returns how many layers were fetched: each image has one.
func (r *registry) pulls() int64 { return r.layers.Load() }

// ServeHTTP answers requests for manifests and blobs (OCI distribution specification, "Pull").
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	d, found := r.content[request.URL.Path]
	switch {
	case request.URL.Path == "/v2/":
		return
	case !found:
		http.NotFound(w, request)
		return
	case d.kind == layerKind && request.Method == http.MethodGet:
		r.layers.Add(1)
	}
	w.Header().Set("Content-Type", d.kind)
	w.Header().Set("Docker-Content-Digest", digest(d.text))
	http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(d.text))
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// newRegistry returns a registry with images.
func newRegistry(t *testing.T, images ...image) *registry {
	t.Helper()
	r := &registry{content: map[string]document{}}
	for _, i := range images {
		r.add(t, i)
	}
	return r
}

// serveImages serves images in the nodes' network.
func serveImages(t *testing.T, n *nspawn.Nodes, images ...image) *registry {
	t.Helper()
	listener, err := n.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, images...)
	r.address = listener.Addr().String()
	server := &http.Server{Handler: r}
	go server.Serve(listener) // ended by Close
	t.Cleanup(func() { server.Close() })
	return r
}

func (r *registry) add(t *testing.T, i image) {
	t.Helper()
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	for name, content := range i.files {
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	encoded := func(value any) []byte {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	blob := func(kind string, content []byte) map[string]any {
		r.content["/v2/"+i.name+"/blobs/"+digest(content)] = document{kind, content}
		return map[string]any{"mediaType": kind, "digest": digest(content), "size": len(content)}
	}
	config := encoded(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Entrypoint": i.entrypoint, "Cmd": i.command, "Env": i.env},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}},
	})
	manifest := encoded(map[string]any{
		"schemaVersion": 2, "mediaType": manifestKind,
		"config": blob(configKind, config), "layers": []any{blob(layerKind, layer.Bytes())},
	})
	for _, reference := range []string{i.tag, digest(manifest)} {
		r.content["/v2/"+i.name+"/manifests/"+reference] = document{manifestKind, manifest}
	}
}
