"""One file per system of the comparison, behind the `Method` contract."""
