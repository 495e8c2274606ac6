package node

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAVolumeWrittenAgainHasWhatIsNewAndNothingElse(t *testing.T) {
	folder := t.TempDir()
	for _, files := range []contents{
		{"kept": []byte("same"), "changed": []byte("old"), "gone": []byte("x"), "in/depth": []byte("1")},
		{"kept": []byte("same"), "changed": []byte("new"), "in/depth": []byte("2")},
	} {
		if err := files.write(folder); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				content, problem := os.ReadFile(path)
				name, _ := filepath.Rel(folder, path)
				found[name], err = string(content), problem
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != len(files) {
			t.Errorf("found %v", found)
		}
		for name, data := range files {
			if found[name] != string(data) {
				t.Errorf("%s is %q, wanted %q", name, found[name], data)
			}
		}
	}
}
