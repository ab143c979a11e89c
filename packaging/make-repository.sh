#!/usr/bin/env bash
# Make, or renew, an apt repository of packages: packaging/make-repository.sh FOLDER KEY DEB …
# KEY is the id of a secret key in your GnuPG (GNUPGHOME); FOLDER can then be served by any web server, or
# be used as it lies (file:). docs/install.md says what a host needs to install from it.
set -euo pipefail
folder=$1 key=$2
shift 2
mkdir -p "$folder/pool"
cp "$@" "$folder/pool/"
cd "$folder"
for arch in amd64 arm64; do
  binary=dists/stable/main/binary-$arch
  mkdir -p $binary
  apt-ftparchive --arch $arch packages pool > $binary/Packages
  gzip --best --no-name --keep --force $binary/Packages
done
apt-ftparchive -o APT::FTPArchive::Release::Origin=vllmd -o APT::FTPArchive::Release::Label=vllmd \
  -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
  -o APT::FTPArchive::Release::Architectures='amd64 arm64' -o APT::FTPArchive::Release::Components=main \
  release dists/stable > Release
mv Release dists/stable/Release
gpg --batch --yes --local-user "$key" --clearsign --output dists/stable/InRelease dists/stable/Release
gpg --batch --yes --local-user "$key" --armor --detach-sign --output dists/stable/Release.gpg \
  dists/stable/Release
gpg --batch --yes --armor --output vllmd.asc --export "$key"
echo "$folder: $(cat dists/stable/main/*/Packages | grep -c ^Package:) packages, signed by $key"
