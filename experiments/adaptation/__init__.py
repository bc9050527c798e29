"""The experiment: which way of adapting ranks best per unit of cost."""
