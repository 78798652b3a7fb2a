"""What the fleet server remembers: its schema, migrations, and how its database is opened."""
