#!/usr/bin/env bash
# Usage: scripts/check-openapi.sh
#
# Compares what a running server does with what its OpenAPI document says, by schemathesis: requests that the document
# allows and some that it does not, the same ones every time. Where schemathesis cannot be had it says so, and is no
# failure.

# shellcheck source=scripts/sample-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/sample-server.sh"

SCHEMATHESIS=schemathesis==4.32.5
EXAMPLES=${EXAMPLES:-40} # of each operation and phase
SECONDS_MAX=300

if ! python_tools "$SCHEMATHESIS"; then
  say "no schemathesis here: the OpenAPI document is not checked"
  exit 0
fi
start_sample_server 0 "$SAMPLE_END"

# Conformance only: today's clients rely on answers that stricter checks would forbid, such as ignored parameters.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance
check() { # CONFIG
  # In its own directory: it keeps notes there.
  (cd "$SAMPLE_DIR" && timeout "$SECONDS_MAX" "${PYTHON%python}schemathesis" --config-file "$1" run \
    "$SAMPLE_URL/api/openapi.json" --checks "$checks" --max-examples "$EXAMPLES" --seed 1 --exclude-path /api/stream \
    --request-timeout 20 --no-color)
}

say "== any parameters"
touch "$SAMPLE_DIR/any.toml"
check "$SAMPLE_DIR/any.toml"

say "== a series and a range that are there"
cat >"$SAMPLE_DIR/series.toml" <<TOML
[parameters]
"query.symbol" = "BTC-USD"
"query.exchange" = "coinbase"
"query.start" = $((SAMPLE_END - 600))
"query.end" = $SAMPLE_END
TOML
check "$SAMPLE_DIR/series.toml"
check_services
say "== the document is true"
