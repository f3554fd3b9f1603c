"""What is known of models: routes, profiles, and models that embed, rank or make media."""
