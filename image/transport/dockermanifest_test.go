package transport

import (
	"errors"
	"testing"

	"github.com/oci-pipeline/oci/image"
)

// TestH75_docker_archive_is_read_in_one_way: the manifest.json of docker save.
func TestH75_docker_archive_is_read_in_one_way(t *testing.T) {
	for text, want := range map[string]error{
		`[{"Config":"a","RepoTags":["x:1"],"Layers":["l"]}]`:           nil,
		`[{"Config":"a","RepoTags":null,"Layers":["l"],"Parent":"p"}]`: nil,
		`[{"Config":"a","config":"b","LAYERS":["m"],"Layers":["l"]}]`:  nil, // only Config is the config
		`[]`:                                 nil,
		`null`:                               nil,
		`[{"Config":"a","Config":"b"}]`:      image.ErrDuplicateKey,
		`[{"Config":"a","Conf\u0069g":"b"}]`: image.ErrDuplicateKey,
		`[{"Config":"a","Layers":["l"],"Layers":["m"]}]`:                   image.ErrDuplicateKey,
		`[{"Config":"a","LayerSources":{"sha256:1":{"size":1,"size":2}}}]`: image.ErrDuplicateKey,
		`[{"Config":"a"}],"":[{"Config":"b"}]`:                             image.ErrDuplicateKey,
		`[{"Config":"a"}],"x":1`:                                           image.ErrMalformed,
		`[]}{"":[]`:                                                        image.ErrMalformed,
		`[{"Config":"a"}] []`:                                              image.ErrMalformed,
		`{"Config":"a"}`:                                                   image.ErrMalformed,
		`[{"Config":["a"]}]`:                                               image.ErrMalformed,
		`[{"Layers":"l"}]`:                                                 image.ErrMalformed,
		``:                                                                 image.ErrMalformed,
		"[{\"Config\":\"\xff\"}]":                                          image.ErrMalformed,
	} {
		images, err := archiveImages([]byte(text))
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
		if err == nil && len(images) > 0 && (images[0].Config != "a" || len(images[0].Layers) != 1 || images[0].Layers[0] != "l") {
			t.Errorf("%s: %+v", text, images)
		}
	}
}

// TestH75_docker_archive_with_two_configs: of an archive as it is opened.
func TestH75_docker_archive_with_two_configs(t *testing.T) {
	s := newSaved(t)
	file := s.file(t, member{name: "manifest.json", content: `[{"Config":"c.json","Config":"d.json","Layers":["b/layer.tar","t/layer.tar"]}]`})
	if _, err := copyIn(t, newStore(t), "docker-archive:"+file, CopyOptions{}); !errors.Is(err, image.ErrDuplicateKey) {
		t.Errorf("got %v, want ErrDuplicateKey", err)
	}
}
