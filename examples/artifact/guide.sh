#!/bin/sh
# From manifests to a running app through a container registry, signed on one side and verified on the
# other. It needs strake, a registry to push to and a cluster:
#
#   REGISTRY=registry.example.com/team examples/artifact/guide.sh
#
# With the sandbox: eval "$(sandbox env)", then REGISTRY is the sandbox's.
set -eu
cd "$(dirname "$0")"
registry=${REGISTRY:-${STRAKE_SANDBOX_REGISTRY:?set REGISTRY to HOST/PATH of a registry}}
app=$registry/artifact-demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R config patches "$work"
cd "$work"
step() { echo; echo "# $*"; }

# --- The publisher's side -----------------------------------------------------------------------------

step "Make a key, and keep its password out of files and arguments."
COSIGN_PASSWORD=$(head -c 18 /dev/urandom | base64)
export COSIGN_PASSWORD
strake artifact generate-key-pair

step "Build the manifests and push them; the second time there is nothing to upload."
strake build -k config -a "oci://$app:1.0.0"
strake artifact push "oci://$app:1.0.0" -k config | tail -1

step "Sign what was pushed, and call it the latest."
strake artifact sign --key cosign.key "oci://$app:1.0.0"
strake artifact tag "oci://$app:1.0.0" latest

# --- The consumer's side ------------------------------------------------------------------------------

step "Verify it, and look at what is in it."
strake artifact verify --key cosign.pub "oci://$app:1.0.0"
strake artifact inspect "oci://$app:1.0.0"
strake artifact inspect "oci://$app:1.0.0" --container-images

step "Install it, if it is signed."
strake apply artifact-demo --wait --prune -a "oci://$app:1.0.0" --verify-key cosign.pub --source "oci://$app" --revision 1.0.0
strake get inventories

# --- An update ----------------------------------------------------------------------------------------

step "Publish another version: another image for the cache."
sed -i.bak '/name: cache/s/newTag: latest/newTag: "1"/' config/kustomization.yaml
strake artifact push "oci://$app:1.0.1" -k config --tag latest --sign-key cosign.key | tail -2
strake artifact list "oci://$app" --semver '>=1.0.0'
strake artifact diff "oci://$app:1.0.0" "oci://$app:1.0.1"

step "See what it would change, and upgrade."
strake artifact pull "oci://$app" | strake diff -i artifact-demo --prune -f-
strake apply artifact-demo --wait --prune -a "oci://$app:latest" --verify-key cosign.pub --source "oci://$app" --revision 1.0.1

step "Change what is deployed without another artifact."
strake apply artifact-demo --wait --prune -a "oci://$app:1.0.1" --verify-key cosign.pub --source "oci://$app" --revision 1.0.1 \
	--patch patches/safe-to-evict.yaml

step "Take it to where the registry can't be reached."
strake artifact copy "oci://$app:1.0.1" archive:artifact-demo.tar
strake artifact copy archive:artifact-demo.tar "oci://$registry/elsewhere"
strake artifact verify --key cosign.pub "oci://$registry/elsewhere:1.0.1"

step "Uninstall it."
strake delete -i artifact-demo
