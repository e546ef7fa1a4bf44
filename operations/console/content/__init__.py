"""The content teams' pages: articles and prompts, with what was before beside what would be."""
