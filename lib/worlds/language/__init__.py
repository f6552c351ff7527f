"""Language: n-grams, transformers and pre-trained models on real text."""
