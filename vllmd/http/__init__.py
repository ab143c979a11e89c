"""What vllmd shows over TCP: the metrics page, readiness, a landing page.

`service.py` has the exporter's port. `web_config.py` reads the file that all Prometheus
exporters share, with a line for each mistake, and refuses what Python's ssl cannot do.
`web_file.py` looks at it and at the certificates for each connection, ten times a second at
most, and keeps what was last good; the listener takes its TLS from there. `access.py` stands
before the application; `passwords.py` checks one password at a time in a thread, and remembers.
ruamel.yaml and bcrypt are imported always (3 MB, 30 ms): a late import would meet files of
another version after an upgrade. User documentation: `docs/security.md`.
"""
