#!/usr/bin/env bash
# Takes report.png, the picture in docs/monitoring.md, of the report that `make drift-demo` left.
set -euo pipefail
cd "$(dirname "$0")/../.."
flags=(--headless --hide-scrollbars --window-size=1060,900)
[ "$(id -u)" != 0 ] || flags+=(--no-sandbox)  # which root cannot have
chromium "${flags[@]}" --screenshot=docs/images/report.png "file://$PWD/artifacts/drift-demo/artifacts/monitoring/report.html"
