package node

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// contents is what a volume of files holds: relative paths to bytes.
type contents map[string][]byte

// write makes the folder hold these files and no others. Files that are as they should be are left alone.
func (c contents) write(folder string) error {
	if err := c.removeOthers(folder); err != nil {
		return err
	}
	for name, data := range c {
		path := filepath.Join(folder, name)
		if current, err := os.ReadFile(path); err == nil && bytes.Equal(current, data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// A rename keeps a reader from ever seeing half of a file.
		if err := os.WriteFile(path+".new", data, 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

func (c contents) removeOthers(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if _, wanted := c[name]; err == nil && !wanted {
			err = os.Remove(path)
		}
		return err
	})
}

func choose(data map[string][]byte, items []corev1.KeyToPath) (contents, error) {
	if len(items) == 0 {
		return data, nil
	}
	files := contents{}
	for _, item := range items {
		value, present := data[item.Key]
		if !present {
			return nil, fmt.Errorf("key %s is missing", item.Key)
		}
		files[item.Path] = value
	}
	return files, nil
}
