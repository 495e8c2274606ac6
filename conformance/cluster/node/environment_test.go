package node

import "testing"

func TestVariablesAreExpandedAsAKubeletDoes(t *testing.T) {
	values := map[string]string{"NAME": "pod", "EMPTY": ""}
	for text, wanted := range map[string]string{
		"plain":              "plain",
		"--name=$(NAME)":     "--name=pod",
		"$(EMPTY)x":          "x",
		"$(UNKNOWN) stays":   "$(UNKNOWN) stays",
		"$$(NAME)":           "$(NAME)",
		"open $(NAME":        "open $(NAME",
		"$(NAME)$(NAME)$":    "podpod$",
		"$NAME is not a use": "$NAME is not a use",
	} {
		if got := expand(text, values); got != wanted {
			t.Errorf("%q: got %q, wanted %q", text, got, wanted)
		}
	}
}

func TestImagesAreFoundWithoutTagAndDigest(t *testing.T) {
	images := Images{"registry:5000/a/echo": {Entrypoint: []string{"/bin/echo"}}}
	for _, reference := range []string{
		"registry:5000/a/echo", "registry:5000/a/echo:v1", "registry:5000/a/echo@sha256:00", "registry:5000/a/echo:v1@sha256:00",
	} {
		if _, err := images.find(reference); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if _, err := images.find("registry:5000/a/other:v1"); err == nil {
		t.Error("an unknown image was found")
	}
}
