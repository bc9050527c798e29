"""Systems that others are held against: popularity, and two towers."""
