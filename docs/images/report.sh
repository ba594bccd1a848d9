#!/usr/bin/env bash
# Take docs/images/report.png, the screenshot in docs/monitoring.md, from the report that `make drift-demo` wrote.
set -euo pipefail
cd "$(dirname "$0")/../.."
flags=(--headless --hide-scrollbars --window-size=1060,900)
[ "$(id -u)" != 0 ] || flags+=(--no-sandbox)  # Chromium's sandbox does not run as root
chromium "${flags[@]}" --screenshot=docs/images/report.png "file://$PWD/artifacts/drift-demo/artifacts/monitoring/report.html"
