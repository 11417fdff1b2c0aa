"""What usage and budgets ask of Elasticsearch: sums over history by composite aggregations, and usage documents."""
