"""All rules, tables and SQL. A feature imports db, kit and features with a lower number, never api."""
