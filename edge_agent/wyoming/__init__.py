"""The Wyoming protocol of voice services, as Home Assistant and its satellites speak it."""
