"""Pusher: a bundle whose gates all hold becomes a signed release."""
