"""The commands of `leasehold tenants`: documents, and what was used."""
