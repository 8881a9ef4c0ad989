-- Something to carry: the source database of docker-compose.yml.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    joined timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    total numeric(10, 2) NOT NULL,
    lines jsonb NOT NULL DEFAULT '[]'
);

INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) AS n;

INSERT INTO orders (customer, total, lines)
SELECT 1 + n % 1000, (n % 10000) / 100.0, jsonb_build_array(n)
FROM generate_series(1, 10000) AS n;
