"""What is asked about tenants: their documents, and what they have used."""
