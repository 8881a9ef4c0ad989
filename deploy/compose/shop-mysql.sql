-- Something to carry: the MySQL source of docker-compose.yml's profile mysql.
CREATE TABLE customers (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name varchar(100) NOT NULL,
    joined timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE orders (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer bigint unsigned NOT NULL,
    total decimal(10, 2) NOT NULL,
    `lines` json NOT NULL
);

SET SESSION cte_max_recursion_depth = 10000;

INSERT INTO customers (name)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
SELECT CONCAT('customer ', n) FROM numbers;

INSERT INTO orders (customer, total, `lines`)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
SELECT 1 + n % 1000, (n % 10000) / 100, JSON_ARRAY(n) FROM numbers;
