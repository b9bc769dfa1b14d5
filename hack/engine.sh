#!/usr/bin/env bash
# Fails with a message when no Docker engine answers.
if ! docker info >/dev/null 2>&1; then
  echo "kind: this needs a Docker engine, and none answers to: docker info" >&2
  exit 1
fi
