"""Character sheets: schema, loader and conditions."""
