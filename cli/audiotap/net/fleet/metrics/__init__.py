"""How a listener stands, for those who run many: `/healthz`, `/readyz` and Prometheus' `/metrics`."""
