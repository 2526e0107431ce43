"""The embedded engine as clickhouse-connect sees it: every call that people make of a ClickHouse server."""

import datetime as dt
import decimal
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError

PASSWORD = "it's a \\ secret"


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("condition not met in time")


class Engine:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        announcement = pathlib.Path(self.folder.name, "engine.json")
        self.process = subprocess.Popen(
            [os.environ["BULLION"], "engine", "--data", self.folder.name, "--listen", "127.0.0.1:0"],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("BULLION_ENGINE_")},
                "BULLION_ENGINE_PASSWORD": PASSWORD,
            },
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: announcement.exists() or self.process.poll() is not None)
        url = json.loads(announcement.read_text())["url"]
        self.host, self.port = url.removeprefix("http://").split(":")

    def client(self, **more):
        return clickhouse_connect.get_client(
            host=self.host, port=int(self.port), username="default", **{"password": PASSWORD, **more}
        )

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.folder.cleanup()
        return code


class ClickHouseConnect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine()
        cls.client = cls.engine.client()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        code = cls.engine.stop()
        assert code == 0, f"the engine ended with {code}"

    def test_every_type_comes_back_as_it_went_in(self):
        self.client.command(
            "CREATE TABLE types (id UInt64, amount Decimal(12, 2), name Nullable(String), tags Array(String),"
            " at DateTime64(6, 'UTC'), day Date32, key UUID, flags Map(String, UInt8)) ENGINE = MergeTree ORDER BY id"
        )
        rows = [
            [1, decimal.Decimal("12.34"), "a\tb\n'c'", ["x", ""], dt.datetime(2024, 2, 29, 1, 2, 3, 456789),
             dt.date(1930, 1, 1), uuid.UUID(int=7), {"k": 1}],
            [2, decimal.Decimal("-0.01"), None, [], dt.datetime(1970, 1, 1),
             dt.date(2100, 12, 31), uuid.UUID(int=0), {}],
        ]
        summary = self.client.insert("types", rows)
        self.assertEqual(summary.written_rows, 2)
        result = self.client.query("SELECT * FROM types ORDER BY id")
        self.assertEqual([list(row) for row in result.result_rows], rows)
        self.assertEqual(result.summary["read_rows"], "2")

    def test_every_compression_of_an_insert_is_understood(self):
        self.client.command("CREATE TABLE packed (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
        for count, compress in enumerate(["lz4", "zstd", "gzip", False], start=1):
            with self.subTest(compress=compress):
                with self.engine.client(compress=compress) as client:
                    client.insert("packed", [[n, "text" * 5] for n in range(100_000)], column_names=["n", "s"])
                    found = client.query("SELECT count(), sum(n), uniqExact(s) FROM packed").first_row
                    self.assertEqual(found, (100_000 * count, 4_999_950_000 * count, 1))

    def test_parameters_are_bound_by_the_engine(self):
        text = "it's {a} \\ \t \n ünï"
        result = self.client.query(
            "SELECT {text:String}, {n:Int64}, {at:DateTime64(3, 'UTC')}, {list:Array(String)}",
            parameters={"text": text, "n": -5, "at": dt.datetime(2024, 1, 1, 1, 2, 3), "list": ["a", "b'c"]},
        )
        self.assertEqual(result.first_row, (text, -5, dt.datetime(2024, 1, 1, 1, 2, 3), ["a", "b'c"]))

    def test_parameters_as_a_form(self):
        with self.engine.client(form_encode_query_params=True) as client:
            self.assertEqual(client.query("SELECT {a:String}", parameters={"a": "x'y\r\nz"}).first_row, ("x'y\r\nz",))

    def test_a_long_result_streams_whole(self):
        for size in (0, 1, 65_409, 65_410, 3_000_000):
            with self.subTest(rows=size):
                total = rows = 0
                with self.client.query_rows_stream(f"SELECT number, toString(number) FROM numbers({size})") as stream:
                    for number, text in stream:
                        total, rows = total + number, rows + 1
                self.assertEqual((rows, total), (size, size * (size - 1) // 2))

    def test_raw_results_equal_in_every_format(self):
        for fmt in ["CSVWithNames", "TSVWithNamesAndTypes", "JSONEachRow", "JSONCompactEachRowWithNames", "JSON", "Parquet"]:
            with self.subTest(format=fmt):
                sql = "SELECT number, if(number % 2 = 0, 'a', NULL) AS `odd \"name\n` FROM numbers(200000)"
                raw = self.client.raw_query(sql, fmt=fmt)
                self.client.command("DROP TABLE IF EXISTS formats")
                self.client.command("CREATE TABLE formats (number UInt64, `odd \"name\n` Nullable(String)) ENGINE = Memory")
                if fmt != "JSON":
                    self.client.raw_insert("formats", insert_block=raw, fmt=fmt)
                    found = self.client.query("SELECT count(), sum(number) FROM formats").first_row
                    self.assertEqual(found, (200_000, 19_999_900_000))
                else:
                    self.assertEqual(json.loads(raw)["rows"], 200_000)

    def test_an_error_says_what_the_engine_says(self):
        with self.assertRaises(DatabaseError) as caught:
            self.client.query("SELECT * FROM nowhere")
        self.assertIn("Code: 60", str(caught.exception).replace("code: 60", "Code: 60"))

    def test_an_error_after_the_first_bytes_is_raised(self):
        with self.assertRaises(Exception) as caught:
            with self.client.query_rows_stream("SELECT throwIf(number = 3000000, 'late') FROM numbers(4000000)") as stream:
                for _ in stream:
                    pass
        self.assertIn("late", str(caught.exception))

    def test_a_wrong_password_is_refused(self):
        with self.assertRaises(DatabaseError) as caught:
            self.engine.client(password="wrong")
        self.assertIn("516", str(caught.exception))

    def test_an_insert_that_fails_writes_nothing(self):
        self.client.command("CREATE TABLE strict (n UInt8) ENGINE = MergeTree ORDER BY n")
        with self.assertRaises(DatabaseError):
            self.client.raw_insert("strict", insert_block=b"1\n2\nthree\n", fmt="TSV")
        self.assertEqual(self.client.command("SELECT count() FROM strict"), 0)

    def test_a_query_is_killed_by_its_id(self):
        failed = []

        def run():
            try:
                with self.engine.client() as client:
                    client.query("SELECT sum(sipHash64(number)) FROM numbers(100000000000)", settings={"query_id": "long-one"})
            except DatabaseError as error:
                failed.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'long-one'"
        wait_for(lambda: self.client.command(running) == 1)
        self.client.command("KILL QUERY WHERE query_id = 'long-one'")
        thread.join(20)
        self.assertFalse(thread.is_alive())
        self.assertIn("394", failed[0])

    def test_a_client_that_goes_away_stops_its_query(self):
        connection = http.client.HTTPConnection(self.engine.host, int(self.engine.port))
        connection.request(
            "POST", "/?query_id=gone&user=default", "SELECT sum(sipHash64(number)) FROM numbers(100000000000)",
            {"X-ClickHouse-Key": PASSWORD},
        )
        running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'gone'"
        wait_for(lambda: self.client.command(running) == 1)
        connection.close()
        wait_for(lambda: self.client.command(running) == 0)

    def test_a_body_cut_off_writes_nothing(self):
        self.client.command("CREATE TABLE cut (n UInt64) ENGINE = MergeTree ORDER BY n")
        connection = http.client.HTTPConnection(self.engine.host, int(self.engine.port))
        connection.putrequest("POST", "/?query_id=cut&query=INSERT+INTO+cut+FORMAT+TSV")
        connection.putheader("X-ClickHouse-User", "default")
        connection.putheader("X-ClickHouse-Key", PASSWORD)
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"1\n2\n3\n" + b"4\n" * 200_000)
        running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'cut'"
        wait_for(lambda: self.client.command(running) == 1)
        connection.close()
        wait_for(lambda: self.client.command(running) == 0)
        self.assertEqual(self.client.command("SELECT count() FROM cut"), 0)

    def test_queries_run_beside_each_other(self):
        answers = []

        def run(n):
            with self.engine.client() as client:
                answers.append(client.query(f"SELECT sum(number) + {n} FROM numbers(1000000)").first_row[0])

        threads = [threading.Thread(target=run, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(sorted(answers), [499999500000 + n for n in range(16)])

    def test_sessions_are_accepted(self):
        with self.engine.client(session_id="one") as client:
            self.assertEqual(client.command("SELECT 1"), 1)


if __name__ == "__main__":
    unittest.main()
