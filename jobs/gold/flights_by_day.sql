-- Pastes into clickhouse-client: SET param_from = '2013-02-08 05:00:00', param_to = '2013-02-09 05:00:00';
SELECT
    toDate(time_hour, 'America/New_York') AS flight_date,
    origin,
    count() AS flights,
    countIf(dep_time IS NULL) AS cancelled,
    countIf(dep_delay > 15) AS late,
    count(dep_delay) AS departed,
    sum(dep_delay) AS dep_delay_minutes,
    count(arr_delay) AS arrived,
    sum(arr_delay) AS arr_delay_minutes,
    round(avg(dep_delay), 3) AS mean_dep_delay,
    sum(distance) AS miles
FROM silver.flights_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
GROUP BY flight_date, origin
