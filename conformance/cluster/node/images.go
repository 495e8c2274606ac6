package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Image says which local program stands for a container image.
type Image struct {
	// Entrypoint is used when the container names no command.
	Entrypoint []string `json:"entrypoint"`
	// Programs are files and folders of the machine that the container must see at their own path.
	Programs []string `json:"programs"`
	// Environment is set before the container's own variables.
	Environment map[string]string `json:"environment"`
}

// Images maps an image's name, without its tag or digest, to a local program.
type Images map[string]Image

// ReadImages reads a JSON object of images. A program must exist: a missing one is found now, not in a pod.
func ReadImages(path string) (Images, error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the image list: %w", err)
	}
	var images Images
	if err := json.Unmarshal(encoded, &images); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	for name, image := range images {
		if len(image.Entrypoint) == 0 || !filepath.IsAbs(image.Entrypoint[0]) {
			return nil, fmt.Errorf("image %s: the entrypoint must start with an absolute path", name)
		}
		for _, program := range append([]string{image.Entrypoint[0]}, image.Programs...) {
			if _, err := os.Stat(program); err != nil {
				return nil, fmt.Errorf("image %s: %w", name, err)
			}
		}
	}
	return images, nil
}

func (i Images) find(reference string) (Image, error) {
	name, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	image, known := i[name]
	if !known {
		return Image{}, fmt.Errorf("no local program stands for image %q", reference)
	}
	return image, nil
}
