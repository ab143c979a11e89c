#!/usr/bin/env bash
# Run pytest; of tests that fail run these once more, by themselves. On a busy machine a test of real
# processes can lose a race of its own; what failed first stays in the log, and is to be fixed.
#   tools/once-more.sh PYTEST ARGUMENT …
set -uo pipefail
"$@"
code=$?
((code == 1)) || exit $code
echo "once more, by themselves: the tests that failed above"
exec "$@" --last-failed --last-failed-no-failures none
