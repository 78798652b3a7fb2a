"""Distiller: a student goes on learning from a teacher's softened outputs."""
