package ssa

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"strake.dev/strake/stages"
)

var (
	kills = flag.Int("kills", 8, "how often a deploy is killed")
	runs  = flag.Int("runs", 60, "how many random deploys are made")
	seed  = flag.Uint64("seed", 1, "of the random deploys")
)

// TestKilled kills deploys at random points. The inventory is never torn, has all that is there, and the
// next run brings everything in order.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	longest := 2500 * time.Millisecond
	reached := 0
	for n := range *kills {
		manifests := some(random, n, 12)
		if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childEnv+"="+p.namespace, childEnv+"_MANIFESTS="+file)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(longest))))
		if cmd.Process.Kill() == nil {
			reached++
		}
		_ = cmd.Wait()
		p.complete()
		// The lock of the killed one lasts a while; nobody else deploys here.
		p.unlock()
		if n%5 == 4 {
			p.limits = stages.Limits{MaxPrune: 100, AllowEmpty: true}
			p.deploy("", manifests)
			p.exactly(manifests)
		}
	}
	t.Logf("%d of %d were killed while they ran", reached, *kills)
	manifests := some(random, -1, 12)
	p.deploy("", manifests)
	p.exactly(manifests)
	p.nothing("", manifests)
}

// some are ConfigMaps, a random choice of so many.
func some(random *rand.Rand, round, of int) string {
	text := ""
	for n := range of {
		if random.IntN(3) > 0 {
			text += configMap(fmt.Sprintf("m%d", n), fmt.Sprintf("%d", round/2))
		}
	}
	return text
}

// complete tells whether the inventory can be read and has all objects with the app's mark.
func (p *place) complete() {
	p.t.Helper()
	inv := p.inventory()
	for _, name := range p.owned() {
		if !slices.ContainsFunc(inv.ids(), func(i id) bool { return i.name == name }) {
			p.t.Errorf("the inventory has forgotten %s", name)
		}
	}
}
