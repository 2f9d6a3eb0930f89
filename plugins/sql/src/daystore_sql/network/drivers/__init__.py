"""The drivers, each behind `daystore_sql.network.driver.Driver`; one is imported when a URL asks for it."""
