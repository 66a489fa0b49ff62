#!/usr/bin/env bash
# producers/store and producers/publish against the real database and broker.
set -euo pipefail
programs=$(dirname "$MUSTER")/tests
export MUSTER_TEST_PG=$PG MUSTER_TEST_KAFKA=$KAFKA
"$programs/check_store"
"$programs/check_store_read"
"$programs/check_publish"
