"""The pages at ``/``: rollouts live, devices, releases and the audit log, rendered on the server."""
