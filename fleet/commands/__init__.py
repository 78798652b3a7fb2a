"""The fleet's commands, a module each; `fleet.command_line` says what such a module holds."""
