"""Who asks, in which words? Four vocabularies over one store; delegation only."""
