"""HTTP: routing, requests, streams, errors, OpenAPI. Knows no word of the product."""
