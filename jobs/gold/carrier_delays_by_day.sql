SELECT
    toDate(f.time_hour, 'America/New_York') AS flight_date,
    f.carrier AS carrier,
    a.name AS name,
    count() AS flights,
    countIf(f.dep_time IS NULL) AS cancelled,
    countIf(f.arr_delay > 15) AS late,
    sum(f.arr_delay) AS arr_delay_minutes,
    round(avg(f.arr_delay), 3) AS mean_arr_delay
FROM silver.flights_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}) AS f
LEFT JOIN silver.airlines AS a ON a.carrier = f.carrier
GROUP BY flight_date, carrier, name
