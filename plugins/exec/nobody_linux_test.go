package exec

import (
	"testing"

	"strake.dev/strake/internal/confine/confinetest"
)

// A user without rights is as safe as root: some attacks of each kind are run once more.
func TestHostileAsNobody(t *testing.T) {
	confinetest.AsNobody(t, "^TestHostile$/^attacks$/^(read_|write_by_(overwrite|through_a_link|chmod|bind_mount|unshare|home)|environment_by_proc|kill_.*"+
		"|then_manifests_above|manifests_a_link|link_swapped_later|endless_(lines|errors|files)|all_memory|fork_bomb|ignores_TERM"+
		"|leaves_a_stubborn_daemon|connects_to_.*|socket_.*|fetches_.*)$/^(secret_by_.*|proc|run)$")
}
