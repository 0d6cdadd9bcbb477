"""The bus port's adapters: one folder for each technology, none importing another."""
