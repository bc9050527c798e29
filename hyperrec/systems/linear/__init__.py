"""Item-item linear models: EASE and its relatives."""
