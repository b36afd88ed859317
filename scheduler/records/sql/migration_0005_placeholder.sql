-- Nothing: dropped when the branch that has migration 5 is merged.
SELECT 1;
