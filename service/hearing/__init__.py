"""What customers send that is no text: brought in (`files`), and understood where a model can (`senses`)."""
