#!/usr/bin/env bash
# Install the Debian packages that are missing: tools/system.sh COMMAND=PACKAGE …
# As root only; anybody else is told what is missing, and what needs it is not run.
set -euo pipefail
missing=()
for pair in "$@"; do
  command=${pair%%=*}
  if [[ $command == ensurepip ]]; then
    "${PYTHON:-python3}" -c 'import ensurepip' 2> /dev/null || missing+=("${pair#*=}")
  else
    command -v "$command" > /dev/null || missing+=("${pair#*=}")
  fi
done
((${#missing[@]})) || exit 0
if ((EUID != 0)); then
  echo "not installed: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
  exit 0
fi
echo "installing Debian's ${missing[*]} …"
# Debian's prometheus would start a service of its own: forbid that for this installation
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
# apt checks signatures as a user of its own, who needs the folder for temporary files
as=()
if ! setpriv --reuid _apt --clear-groups test -w "${TMPDIR:-/tmp}" 2> /dev/null; then
  as=(-o APT::Sandbox::User=root)
fi
apt-get "${as[@]}" update -qq
DEBIAN_FRONTEND=noninteractive apt-get "${as[@]}" install -y -qq --no-install-recommends "${missing[@]}" \
  > /dev/null
