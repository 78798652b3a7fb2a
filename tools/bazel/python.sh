#!/bin/sh
# The interpreter that Bazel runs tests with: the checkout's own environment.
checkout=$(dirname "$(readlink -f "$0")")/../..
if [ ! -f "$checkout/.venv/installed" ]; then
    echo 'The environment .venv is missing: `make bazel-test` makes it and then calls Bazel.' >&2
    exit 1
fi
exec "$checkout/.venv/bin/python" "$@"
