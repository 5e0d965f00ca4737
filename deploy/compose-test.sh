#!/usr/bin/env bash
# Brings docker-compose.yml up for real: trains into the running server, streams, scrapes, stops. It leaves nothing behind,
# and uses a project, ports and volumes of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
unset COMPOSE_PROFILES
export COMPOSE_PROJECT_NAME=recur-test GRPC_PORT='' METRICS_PORT='' PROMETHEUS_PORT=''

if command -v docker-compose >/dev/null; then compose=(docker-compose); else compose=(docker compose); fi
compose() { "${compose[@]}" "$@"; }
say() { printf 'compose-test: %s\n' "$*"; }
fail() { say "false: $*"; exit 1; }
probe() { compose exec -T server python - "$1" <deploy/probe.py; }
state() { docker inspect --format "{{$1}}" "$server"; }
logged() { [[ "$(compose logs --no-color server)" == *"$1"* ]]; }
image_python() { docker run --rm --network none --entrypoint python recur-server -c "$1"; }

finish() {
  local code=$?
  if [ "$code" != 0 ]; then compose logs --no-color --tail 50; fi
  compose down --volumes --timeout 30 >/dev/null 2>&1
  if [ "$code" = 0 ]; then say 'all of it holds'; fi
  exit "$code"
}
trap finish EXIT

healthy() {
  for _ in $(seq 120); do
    [ "$(state .State.Health.Status)" = healthy ] && return
    sleep 0.5
  done
  fail "the server became healthy"
}

say 'both images are built from what is here'
compose --profile training build --quiet

say 'the image for the server has no torch, and a user who is not root'
image_python 'import importlib.util as u, os, sys; sys.exit(u.find_spec("torch") is not None or os.getuid() == 0)' ||
  fail 'no torch, not root'

say 'a card that is not there is refused in one line'
code=0
said=$(docker run --rm --network none --read-only --env RECUR_DEVICE=cuda recur-server check 2>&1) || code=$?
[ "$code" = 2 ] && [ "$(wc -l <<<"$said")" = 1 ] && [[ "$said" == "server: --device: device 'cuda' needs"* ]] ||
  fail "the server says why it cannot use a card: $code $said"

say 'the override for a card fits this file'
merged=$(compose -f docker-compose.yml -f docker-compose.gpu.yml config)
for part in 'EXTRAS: server,gpu' 'RECUR_DEVICE: cuda' 'driver: nvidia' 'image: recur-server-gpu' 'target: server'; do
  [[ "$merged" == *"$part"* ]] || fail "the merged file has $part"
done

say 'an empty repository: live, healthy, no model'
compose up --detach server prometheus
server=$(compose ps -q server)
healthy
probe empty
logged 'no model serves yet' || fail 'the server says that it has no model'

say 'a model trained beside it is picked up'
compose run --rm -T training train charlm \
  --set training.updates=20 --set training.validate_every=10 --set model.hidden_size=16
probe serves

say 'its sequences keep their state'
probe streams

say 'Prometheus sees it'
probe scraped

say 'SIGTERM stops it in order'
compose stop server
[ "$(state .State.ExitCode)" = 0 ] || fail "the exit code is 0: $(state .State.ExitCode)"
logged 'INFO stopped' || fail 'the server says that it stopped'
