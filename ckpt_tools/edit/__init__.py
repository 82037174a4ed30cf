"""Operations, plans, recipes, and writing a plan so that a crash leaves the old checkpoint or the new one."""
