-- The source database of the demo. Keys, types and names are those of the data set; two things are ours:
-- flights.id (the data set has no key) and the removal and renaming that demo/README.md lists.

CREATE TABLE airlines (
    carrier text PRIMARY KEY,
    name    text NOT NULL
);

CREATE TABLE airports (
    faa   text PRIMARY KEY,
    name  text NOT NULL,
    lat   double precision NOT NULL,
    lon   double precision NOT NULL,
    alt   integer NOT NULL,          -- feet
    tz    numeric(4, 2),             -- hours from UTC
    tzone text
);

CREATE TABLE planes (
    tailnum      text PRIMARY KEY,
    year         smallint,
    type         text NOT NULL,
    manufacturer text NOT NULL,
    model        text NOT NULL,
    engines      smallint NOT NULL,
    seats        integer NOT NULL,
    engine       text NOT NULL
);

CREATE TABLE weather (
    origin     text,
    time_hour  timestamptz,
    temp       numeric(5, 2),        -- degrees Fahrenheit
    humid      numeric(5, 2),        -- per cent
    wind_speed double precision,     -- miles per hour
    precip     numeric(4, 2),        -- inches
    visib      numeric(4, 2),        -- miles
    PRIMARY KEY (origin, time_hour)
);

CREATE TABLE flights (
    id             bigserial PRIMARY KEY,
    flight_date    date NOT NULL,        -- in New York
    time_hour      timestamptz NOT NULL, -- the scheduled hour of departure
    carrier        text NOT NULL,
    flight         integer NOT NULL,
    tailnum        text,                 -- null until an aircraft is assigned
    origin         text NOT NULL,
    dest           text NOT NULL,
    distance       numeric(6, 1) NOT NULL, -- miles
    sched_dep_time integer NOT NULL,     -- local, hhmm
    dep_time       integer,              -- null until it departs, for ever when cancelled
    dep_delay      integer,              -- minutes
    sched_arr_time integer NOT NULL,
    arr_time       integer,
    arr_delay      integer,
    air_time       integer               -- minutes
);
