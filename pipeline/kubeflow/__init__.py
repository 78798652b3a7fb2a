"""Recipes as Kubeflow pipelines: compiling one, and running one of its steps in a container."""
