#!/usr/bin/env bash
# Run pytest; of tests that fail run these once more, by themselves. On a busy machine a test of real
# processes can lose a race of its own; what failed first stays in the log, and is to be fixed.
# A run that is killed, or ended by a test that waits for ever, notes no failures. Those of an earlier
# run are forgotten first: tried in their place, they might pass. With none to try pytest fails.
# One process tries them (-n 0): a worker whose share has none of them would run its whole share.
#   tools/once-more.sh PYTEST ARGUMENT …
set -uo pipefail
"$@" --cache-clear
code=$?
((code == 1)) || exit $code
echo "once more, by themselves: the tests that failed above"
exec "$@" -n 0 --last-failed --last-failed-no-failures none
