"""The pipeline's commands, a module each; `pipeline.command_line` says what such a module holds."""
