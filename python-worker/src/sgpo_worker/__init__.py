"""Worker of SGPO Fleet: generates, scores, fine-tunes and optimises preferences on files it is given."""

__version__ = "0.1.0"
