"""The flows as deployments that Prefect's UI schedules and starts."""
