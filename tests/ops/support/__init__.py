"""What the checks in tests/ops/checks share: finding tools, reading PromQL, rendering the chart, a live Prometheus."""
