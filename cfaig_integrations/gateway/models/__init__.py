"""What is known of models: routes, profiles, models that are no chat models, embeddings and ranking."""
