"""The processes of a deployment: policy, guard and twin, each a lifecycle node of its own; see docs/architecture.md."""
