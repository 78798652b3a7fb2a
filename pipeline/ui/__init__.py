"""What a person sees while a recipe runs, and the table at its end."""
