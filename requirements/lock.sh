#!/usr/bin/env bash
# Writes requirements/lock.txt anew: what continuous integration installs, each file by its SHA-256.
#   uv tool install uv; requirements/lock.sh            # nothing that is younger than seven days
#   AGE=0 requirements/lock.sh                          # for a fix that cannot wait
# Versions come from constraints.txt where it has them. torch is not in it: its build depends on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
until=$(date -u -d "${AGE:-7} days ago" +%Y-%m-%dT00:00:00Z)
own=$(mktemp); trap 'rm -f "$own"' EXIT
printf 'hatchling>=1.26\neditables>=0.5\n' > "$own"
left_out=$(grep -oE '^(nvidia|cuda)-[a-z0-9-]+|^(torch|triton)$' requirements/machine.txt | sed 's/^/--no-emit-package /')
# shellcheck disable=SC2086 - one option a package
uv pip compile --quiet --universal --python-version 3.11.7 --generate-hashes --exclude-newer "$until" \
  --no-header --no-annotate $left_out --constraint constraints.txt \
  --extra test --extra clients --extra browser --extra docs pyproject.toml "$own" --output-file requirements/lock.txt
