"""What Prometheus, Alertmanager and Grafana are given: rules, alerts and dashboards, as data."""
