-- The questions that the demo checks itself with, as PostgreSQL answers them at the end of the capture.

-- flights_by_day: one row per day in New York
SELECT flight_date::text,
       count(*) AS flights,
       count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
       count(*) FILTER (WHERE dep_delay > 15) AS late,
       count(dep_delay) AS departed,
       sum(dep_delay) AS dep_delay_minutes,
       count(arr_delay) AS arrived,
       sum(arr_delay) AS arr_delay_minutes,
       round(avg(dep_delay), 3)::text AS mean_dep_delay,
       round(avg(arr_delay), 3)::text AS mean_arr_delay,
       sum(distance)::text AS miles
FROM flights GROUP BY flight_date ORDER BY flight_date;

-- carriers_by_day: one row per day and airline
SELECT f.flight_date::text, f.carrier, a.name,
       count(*) AS flights,
       count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
       count(*) FILTER (WHERE arr_delay > 15) AS late,
       sum(arr_delay) AS arr_delay_minutes,
       round(avg(arr_delay), 3)::text AS mean_arr_delay
FROM flights f JOIN airlines a USING (carrier)
GROUP BY f.flight_date, f.carrier, a.name ORDER BY f.flight_date, f.carrier;

-- sums: checksums over whole tables
SELECT (SELECT sum(id)::text FROM flights) AS flights_id,
       (SELECT sum(air_time)::text FROM flights) AS flights_air_time,
       (SELECT count(tailnum) FROM flights) AS flights_tailnum,
       (SELECT sum(length(tailnum))::text FROM planes) AS planes_tailnum_length,
       (SELECT sum(year)::text FROM planes) AS planes_year,
       (SELECT sum(temp)::text FROM weather) AS weather_temp,
       (SELECT sum(tz)::text FROM airports) AS airports_tz;
