"""The agent's commands, a module each; `edge_agent.command_line` says what such a module holds."""
