package ours

import (
	"testing"

	"strake.dev/strake/stages/stagetest"
)

func TestConformance(t *testing.T) {
	stagetest.Run(t, Plugin(), stagetest.Case{
		Name: "owner", Config: "owner: shop", Manifests: "a: 1\n", WantManifests: "# owner: shop\na: 1\n",
	})
}
