#!/usr/bin/env bash
# Build the image without vLLM by buildah, with a Debian from mmdebstrap where a registry's would be, and look at it.
#   tools/container_image.sh PYTHON STORE
# What pip needs of this host (a mirror, a certificate) is mounted for the build, and not a part of the image. Needs root.
set -euo pipefail
python=$1
mkdir -p "$2"
store=$(realpath "$2")
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs XDG_RUNTIME_DIR=$store/run
mkdir -p "$XDG_RUNTIME_DIR"
tool=(buildah --root "$store/images" --runroot "$store/work")

debian=$("$python" -c 'from tests.container.image import debian; print(debian())')
container=$("${tool[@]}" from scratch)
"${tool[@]}" add -q "$container" "$debian" /
"${tool[@]}" commit -q --rm "$container" localhost/debian:slim

given=()
if [[ -n ${SSL_CERT_FILE:-} ]]; then
  printf '[global]\ncert = /run/host-ca.crt\n' > "$store/pip.conf"
  given=(--volume "$store/pip.conf:/etc/pip.conf:ro" --volume "$SSL_CERT_FILE:/run/host-ca.crt:ro")
fi
"${tool[@]}" bud --network host --pull-never "${given[@]}" -t localhost/vllmd:plain \
  --build-arg BASE=localhost/debian:slim --build-arg DEBIAN=localhost/debian:slim \
  -f packaging/container/Containerfile .

container=$("${tool[@]}" from localhost/vllmd:plain)
"${tool[@]}" run --user 2000:0 "$container" -- /usr/bin/vllmd --version
"${tool[@]}" run --user 2000:0 --env VLLMD__ENGINES__CHAT__MODEL=tiny --env VLLMD__ENGINES__CHAT__EXECUTABLE=stand-in \
  "$container" -- /usr/bin/vllmd check
"${tool[@]}" inspect --type image --format \
  '{{.OCIv1.Config.User}} {{.OCIv1.Config.StopSignal}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.ExposedPorts}}' \
  localhost/vllmd:plain
echo  # which inspect does not
"${tool[@]}" rm "$container" > /dev/null
echo "the image localhost/vllmd:plain is in $store/images: ${tool[*]} push localhost/vllmd:plain oci-archive:vllmd.tar"
