"""What providers are asked and told over HTTP."""
