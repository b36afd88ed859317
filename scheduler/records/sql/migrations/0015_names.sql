-- Columns have the names of what they hold: see engine/availability.py, and the producer of an intermediate in the glossary.
ALTER TABLE tasks RENAME COLUMN own TO availability;
ALTER TABLE tasks RENAME COLUMN maker TO producer;
ALTER TABLE tasks RENAME COLUMN made TO producer_output;
ALTER TABLE task_inputs RENAME COLUMN own TO availability;
ALTER TABLE task_inputs RENAME COLUMN maker TO producer;
ALTER TABLE task_inputs RENAME COLUMN made TO producer_output;
ALTER TABLE staged RENAME COLUMN made TO output;
