"""The fleet server: hawkBit's DDI for devices, an API and pages for people, and the TUF repository."""
