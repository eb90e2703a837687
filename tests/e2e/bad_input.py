"""Bad input: a clear message with file, line and reason, the rest goes on, and never a crash, a hang or unbounded memory."""
import gzip
import io
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY, EVIL, ROOT, Case

GOOD = b'{"action":"evil"}\n'
# Not well compressed, so that damage in the middle of the packed bytes is damage in the middle of the lines.
MANY = b"".join(b'{"action":"evil","n":%d,"r":"%016x"}\n' % (i, random.Random(i).getrandbits(64)) for i in range(4000))


def utf16(text, mark, codec):
    return mark + text.decode().encode(codec)


class Lines(Case):
    """One file, what is found in which line, and what is refused why."""

    CASES = {
        # name: (bytes, lines with a finding, {(line, reason)})
        "empty": (b"", [], set()),
        "empty lines": (b"\n\n\n", [], set()),
        "no line end": (GOOD.strip(), [1], set()),
        "CRLF": (GOOD.replace(b"\n", b"\r\n") * 2, [1, 2], set()),
        "byte order mark": (b"\xef\xbb\xbf" + GOOD, [1], set()),
        "only a byte order mark": (b"\xef\xbb\xbf", [], set()),
        "Latin-1": (b'{"action":"evil","user":"S\xf8ren"}\n' + GOOD, [1, 2], set()),
        "UTF-16 little endian": (utf16(GOOD * 2, b"\xff\xfe", "utf-16-le"), [1, 2], set()),
        "UTF-16 big endian": (utf16(GOOD * 2, b"\xfe\xff", "utf-16-be"), [1, 2], set()),
        "UTF-16 without a mark": (utf16(GOOD * 2, b"", "utf-16-le"), [1, 2], set()),
        "UTF-16 cut in a character": (utf16(GOOD * 2, b"\xff\xfe", "utf-16-le") + b"\n", [1, 2], None),
        "NUL in JSON": (b'{"action":"ev\0il"}\n' + GOOD, [2], {(1, "json_control_character_in_string")}),
        "NUL in text": (b"hello \0 world\n" + GOOD, [2], set()),
        "NULs only": (b"\0" * 100_000 + b"\n" + GOOD, [2], {(1, "not_text")}),
        "10,000 objects deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"\n" + GOOD, [2], {(1, "json_too_deep")}),
        "10,000 lists deep": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n" + GOOD, [2], {(1, "json_too_deep")}),
        "a number of 5,000 digits": (b'{"action":"evil","n":' + b"9" * 5000 + b"}\n" + GOOD, [2], {(1, "json_number_too_long")}),
        "numbers beyond any type": (b'{"action":"evil","n":1e999999}\n{"action":"evil","n":-1e-99999}\n{"action":"evil","n":18446744073709551616}\n', [1, 2, 3], set()),
        "not a number": (b'{"action":"evil","n":NaN}\n' + GOOD, [2], {(1, "json_value_malformed")}),
        "cut in a string": (b'{"action":"ev\n' + GOOD, [2], {(1, "json_string_unclosed")}),
        "cut after a comma": (b'{"action":"evil",\n' + GOOD * 3, [2, 3, 4], None),
        "cut in a string after a comma": (b'{"action":"evil","x":"a,\n' + GOOD * 3, [2, 3, 4], None),
        "cut in a string after a bracket": (b'{"action":"evil","x":"a{\n' + GOOD * 3, [2, 3, 4], None),
        "cut at the end": (GOOD + b'{"action":"evil","x":"ab', [1], {(2, "json_string_unclosed")}),
        "something after the object": (b'{"action":"evil"} garbage\n' + GOOD, [2], {(1, "json_text_after_the_object")}),
        "two objects in a line": (GOOD.strip() + GOOD + GOOD, [2], {(1, "json_text_after_the_object")}),
        "half a surrogate pair": (b'{"action":"evil","x":"\\ud800"}\n' + GOOD, [1, 2], set()),
        "pretty-printed and cut": (b'{\n "action": "evil",\n "b": {\n', [], {(1, "json_unfinished")}),
        "a list with a broken element": (b'[{"action":"evil"},{"action":evil},{"action":"evil"}]', [1, 3], {(2, "json_value_malformed")}),
        "a line of 5 MB": (b'{"action":"evil","x":"' + b"y" * (5 << 20) + b'"}\n' + GOOD, [2], {(1, "record_too_long")}),
    }

    def test_each_case_finds_and_refuses_what_it_should(self):
        rules = self.write("r.yml", EVIL)
        for name, (content, lines, refused) in self.CASES.items():
            with self.subTest(name):
                path = self.write("case", content)
                said = self.scan("--rules", rules, path)
                self.assertEqual(said.code, 0, said.stderr)
                self.assertEqual([f["line"] for f in said.findings], lines, said.stderr)
                if refused is not None:
                    self.assertEqual(said.refused(), refused)
                for r in said.summary["refused_in"]:
                    self.assertEqual(r["file"], path)
                    self.assertGreaterEqual(r["lines"], 1)
                    self.assertNotEqual(r["detail"], "", r)

    def test_both_values_of_a_doubled_key_count(self):
        said = self.scan("--rules", self.write("r.yml", EVIL), self.write("e", b'{"action":"evil","action":"good"}\n{"action":"good","action":"evil"}\n'))
        self.assertEqual([f["line"] for f in said.findings], [1, 2])
        self.assertEqual([f["fields"]["action"] for f in said.findings], ["evil, good", "good, evil"])

    def test_random_bytes_never_hurt(self):
        rules = self.write("r.yml", EVIL)
        rng = random.Random(7)
        files = [self.write(f"noise{i}", rng.randbytes(20_000) + b"\n" + GOOD) for i in range(20)]
        for head in (b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"<Events", b"\xff\xfe<\0E\0v\0e\0n\0t\0 \0", b"[{", b"BZh9", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c"):
            files.append(self.write(f"head{head.hex()}", head + rng.randbytes(20_000)))
        said = self.scan("--rules", rules, *files)
        self.assertIn(said.code, (0, 3))
        self.assertEqual(len({f["file"] for f in said.findings} & set(files[:20])), 20)

    def test_the_reasons_are_counted_per_file(self):
        rules = self.write("r.yml", EVIL)
        a, b = self.write("a", b'{"x":"y\n' * 3 + GOOD), self.write("b", b'{"x":"y\n' * 2 + b'{"n":NaN}\n')
        said = self.scan("--rules", rules, a, b)
        self.assertEqual({(r["file"], r["reason"], r["lines"], r["line"]) for r in said.summary["refused_in"]},
                         {(a, "json_string_unclosed", 3, 1), (b, "json_string_unclosed", 2, 1), (b, "json_value_malformed", 1, 3)})
        self.assertEqual(said.summary["lines_refused"], 6)


class Packed(Case):
    def setUp(self):
        super().setUp()
        self.rules = self.write("r.yml", EVIL)

    def expect(self, name, content, code, at_least, at_most, words=""):
        with self.subTest(name):
            path = content if isinstance(content, str) else self.write(name, content)
            said = self.scan("--rules", self.rules, path)
            self.assertEqual(said.code, code, said.stderr)
            self.assertGreaterEqual(len(said.findings), at_least, said.stderr)
            self.assertLessEqual(len(said.findings), at_most)
            if words:
                self.assertIn(words, said.stderr)
                self.assertIn(path, said.stderr)
            return said

    def test_gzip(self):
        packed = gzip.compress(MANY)
        damaged = bytearray(packed)
        for i in range(len(packed) // 2, len(packed) // 2 + 64):
            damaged[i] ^= 0xFF
        self.expect("g.gz", packed, 0, 4000, 4000)
        self.expect("members.gz", packed + gzip.compress(GOOD) + gzip.compress(b""), 0, 4001, 4001)
        self.expect("padded.gz", packed + b"\0" * 512, 0, 4000, 4000)
        self.expect("twice.gz", gzip.compress(packed), 0, 4000, 4000)
        # What came before the fault is found, and the fault is told: a cut file must not look like a whole one.
        self.expect("cut.gz", packed[:-5000], 3, 2000, 3999, "ends in the middle")
        self.expect("damaged.gz", bytes(damaged), 3, 100, 3999, "damaged")
        self.expect("checksum.gz", packed[:-8] + b"\1\2\3\4" + packed[-4:], 3, 4000, 4000, "damaged")
        self.expect("trash.gz", packed + b"trash", 3, 4000, 4000, "no gzip")
        self.expect("head.gz", packed[:2], 3, 0, 0, "ends in the middle")

    @unittest.skipUnless(shutil.which("zstd"), "the command zstd is not there to make samples")
    def test_zstd(self):
        packed = subprocess.run(["zstd", "-qc"], input=MANY * 20, stdout=subprocess.PIPE, check=True).stdout
        damaged = bytearray(packed)
        for i in range(len(packed) // 2, len(packed) // 2 + 64):
            damaged[i] ^= 0xFF
        n = 80_000
        self.expect("g.zst", packed, 0, n, n)
        self.expect("frames.zst", packed + packed, 0, 2 * n, 2 * n)
        self.expect("both.gz", gzip.compress(packed), 0, n, n)
        self.expect("cut.zst", packed[:-20], 3, 1000, n - 1, "ends in the middle")
        self.expect("damaged.zst", bytes(damaged), 3, 0, n - 1, "damaged")
        self.expect("head.zst", packed[:4], 3, 0, 0, "ends in the middle")

    def test_archives(self):
        plain = io.BytesIO()
        with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("x/a.ndjson", GOOD)
            z.writestr("b.gz", gzip.compress(GOOD))
            z.writestr("../../escape", GOOD)
            z.writestr("folder/", "")
            z.writestr("empty", "")
        self.expect("a.zip", plain.getvalue(), 0, 3, 3)
        self.expect("cut.zip", plain.getvalue()[:60], 3, 0, 0, "archive")
        for mode in ("w", "w:gz", "w:bz2", "w:xz"):
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode=mode) as t:
                member = tarfile.TarInfo("logs/a.ndjson")
                member.size = len(MANY)
                t.addfile(member, io.BytesIO(MANY))
                link = tarfile.TarInfo("link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                t.addfile(link)
            self.expect("t." + mode.replace(":", "-"), made.getvalue(), 0, 4000, 4000)

    def test_a_broken_member_of_an_archive_costs_itself_only(self):
        made = io.BytesIO()
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as z:
            z.writestr("a", GOOD)
        with zipfile.ZipFile(made, "w") as z:
            z.writestr("1.gz", gzip.compress(GOOD)[:10])
            z.writestr("2.zip", inner.getvalue())
            z.writestr("3", GOOD)
        said = self.expect("a.zip", made.getvalue(), 3, 1, 1, "an archive inside an archive")
        self.assertIn("a.zip!1.gz: the gzip data ends in the middle", said.stderr)
        self.assertEqual(said.findings[0]["file"], str(self.path / "a.zip!3"))

    def test_windows_events_as_xml_in_a_cut_gzip_are_read_up_to_the_cut(self):
        event = ("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/><EventID>1</EventID><Channel>Security</Channel>"
                 "<Computer>pc.example.org</Computer></System><EventData><Data Name='N'>%032x</Data></EventData></Event>\n")
        xml = "<Events>" + "".join(event % random.Random(i).getrandbits(128) for i in range(3000)) + "</Events>"
        said = self.scan("--rules", self.rules, self.write("e.xml.gz", gzip.compress(xml.encode())[:-8000]))
        self.assertEqual(said.code, 3, said.stderr)
        self.assertGreater(said.summary["events"], 1000)
        self.assertIn("ends in the middle", said.stderr)


class Memory(Case):
    """Whatever the input, less than 300 MB."""

    def setUp(self):
        super().setUp()
        self.rules = self.write("r.yml", EVIL)

    def test_a_line_of_100_mb(self):
        for name, before, after in (("object", b'{"action":"evil","x":"', b'"}\n'), ("text", b"Feb 11 08:00:00 host app: ", b"\n"),
                                    ("list", b'[{"action":"evil","x":"', b'"},\n')):
            with self.subTest(name):
                path = self.path / "long"
                with open(path, "wb") as f:
                    f.write(before)
                    for _ in range(100):
                        f.write(b"y" * 1_000_000)
                    f.write(after + GOOD + (b"]" if name == "list" else b""))
                said = self.scan_measured("--rules", self.rules, path)
                self.assertEqual((said.code, [f["line"] for f in said.findings]), (0, [2]))
                self.assertEqual(said.refused(), {(1, "record_too_long")})
                self.assertLess(said.peak_mb, 300)

    def test_bombs(self):
        with zipfile.ZipFile(self.path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as z:
            for i in range(4):
                z.writestr(f"zeros{i}", b"\0" * (64 << 20))
        said = self.scan_measured("--rules", self.rules, self.path / "bomb.zip")
        self.assertEqual(said.code, 3)
        self.assertIn("200 times", said.stderr)
        self.assertLess(said.peak_mb, 300)
        with gzip.open(self.path / "bomb.gz", "wb", 1) as z:
            for _ in range(200):
                z.write(b"\0" * 1_000_000)
            z.write(b"\n" + GOOD)
        said = self.scan_measured("--rules", self.rules, self.path / "bomb.gz")
        self.assertEqual((said.code, len(said.findings)), (0, 1))
        self.assertLess(said.peak_mb, 300)
        with zipfile.ZipFile(self.path / "many.zip", "w") as z:
            for i in range(10_001):
                z.writestr(f"f{i}", GOOD)
        said = self.scan_measured("--rules", self.rules, self.path / "many.zip")
        self.assertEqual(said.code, 3)
        self.assertIn("10,000 members", said.stderr)

    def test_a_list_that_is_deep_and_never_ends(self):
        said = self.scan_measured("--rules", self.rules, self.write("deep", b"[" * 20_000_000 + b"\n" + GOOD))
        self.assertEqual((said.code, [f["line"] for f in said.findings]), (0, [2]))
        self.assertLess(said.peak_mb, 300)


class Files(Case):
    """Not what is in a file but what the file is."""

    def setUp(self):
        super().setUp()
        self.rules = self.write("r.yml", EVIL)
        self.good = self.write("good", GOOD)

    def test_missing_files_are_told_and_the_rest_is_read(self):
        said = self.scan("--rules", self.rules, self.path / "nowhere", self.good)
        self.assertEqual((said.code, len(said.findings)), (3, 1))
        self.assertIn("nowhere: there is no such file or folder", said.stderr)
        said = self.scan("--rules", self.rules, self.path / "nowhere")
        self.assertEqual(said.code, 1)

    def test_folders_are_walked_and_links_to_folders_are_not(self):
        self.write("logs/a/1", GOOD)
        self.write("logs/b/2", GOOD)
        (self.path / "logs/b/loop").symlink_to("..")
        os.mkfifo(self.path / "logs/pipe")  # nobody writes to it: reading it would never end
        said = self.scan("--rules", self.rules, self.path / "logs", seconds=10)
        self.assertEqual((said.code, len(said.findings)), (0, 2))
        (self.path / "bare").mkdir()
        self.assertEqual(self.scan("--rules", self.rules, self.path / "bare").code, 2)

    def test_what_may_not_be_read_is_told(self):
        who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if who and subprocess.run([BINARY, "--version"], capture_output=True, check=False, **who).returncode != 0:
            self.skipTest("another user may not run the binary")
        self.path.chmod(0o755)
        secret, folder = pathlib.Path(self.write("secret", GOOD)), self.path / "closed"
        self.write("closed/x", GOOD)
        secret.chmod(0)
        folder.chmod(0)
        self.addCleanup(folder.chmod, stat.S_IRWXU)
        said = self.scan("--rules", self.rules, secret, folder, self.good, **who)
        self.assertEqual((said.code, len(said.findings)), (3, 1), said.stderr)
        self.assertIn("secret: cannot open it: Permission denied", said.stderr)
        self.assertIn("closed: cannot read this folder: Permission denied", said.stderr)

    def test_standard_input_and_a_named_pipe(self):
        self.assertEqual([f["file"] for f in self.scan("--rules", self.rules, "-", stdin=GOOD).findings], ["-"])
        self.assertEqual(len(self.scan("--rules", self.rules, "-", stdin=gzip.compress(GOOD)).findings), 1)
        pipe = self.path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: pipe.write_bytes(MANY))
        writer.start()
        said = self.scan("--rules", self.rules, pipe)
        writer.join()
        self.assertEqual((said.code, len(said.findings)), (0, 4000))

    def stopped_while_reading(self, change):
        """Starts a scan whose findings nobody takes, so that it stands still in the middle of its file; changes the file; goes on."""
        path = pathlib.Path(self.write("moving", MANY * 20))
        process = subprocess.Popen([BINARY, "scan", "--rules", self.rules, "--json", "--jobs", "1", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        first = process.stdout.read(1)  # it reads, and the pipe holds but 64 KiB
        change(path)
        out, err = process.communicate(timeout=60)
        return process.returncode, len((first + out).splitlines()), err.decode()

    def test_a_file_that_grows_while_it_is_read_is_read_to_its_new_end(self):
        def grow(path):
            with open(path, "ab") as f:
                f.write(MANY)
        code, found, _ = self.stopped_while_reading(grow)
        self.assertEqual((code, found), (0, 21 * 4000))

    def test_a_file_that_is_cut_while_it_is_read_is_told(self):
        code, found, said = self.stopped_while_reading(lambda path: os.truncate(path, 0))
        self.assertEqual(code, 3)
        self.assertGreater(found, 100)
        self.assertLess(found, 20 * 4000)
        self.assertIn("became shorter while it was read", said)

    def test_a_reader_that_goes_away_or_a_full_disk_ends_it_with_a_code_and_no_crash(self):
        path = self.write("many", MANY * 20)
        for words in (["scan", "--rules", self.rules, "--json", path], ["formats", "test", path]):
            process = subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(1)
            process.stdout.close()
            process.stderr.read()
            process.stderr.close()
            self.assertEqual(process.wait(60), 1, words)
            with open("/dev/full", "wb") as full:
                done = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("No space left on device", done.stderr)


class OneBrokenByte(Case):
    """A thousand lines of each format that has samples, one byte of one line replaced: that line at most is lost."""

    BYTES = (0xFF, 0x00, 0x22, 0x7B, 0x5B, 0x0A, 0x5C, 0x20, 0xC3)

    def samples(self):
        for folder in sorted([*(ROOT / "content/formats").iterdir(), *(ROOT / "src/formats").iterdir()]):
            for sample in sorted(folder.glob("samples/*.in")):
                text = sample.read_bytes()
                if text.count(b"\n") == 0 or text.startswith((b"<", b"{\n", b"[")):
                    continue  # not one record a line
                yield f"{folder.name}/{sample.stem}", text if text.endswith(b"\n") else text + b"\n"

    def formats_of(self, path):
        said = self.scan("--rules", self.rules, path)
        self.headers = said.summary["header_lines"]
        return said.summary["formats"], said.summary["lines_refused"]

    def test_costs_that_line_at_most(self):
        self.rules = self.write("r.yml", EVIL)
        rng = random.Random(20260211)
        seen = 0
        for name, text in self.samples():
            body = text * (1000 // text.count(b"\n") + 1)
            whole, refused = self.formats_of(self.write("whole", body))
            self.assertEqual(refused, 0, name)
            lines = body.split(b"\n")
            header = lines[0] if self.headers else None
            in_a_line = -(-sum(whole.values()) // (len(lines) - 1))  # an envelope holds several records
            seen += 1
            for attempt in range(3):
                at = 0 if attempt == 0 else rng.randrange(len(lines) - 1)
                if not lines[at] or lines[at].startswith(b"#") or lines[at] == header:
                    continue  # a header line rules over more than itself
                column, byte = rng.randrange(len(lines[at])), rng.choice(self.BYTES)
                broken = lines[at][:column] + bytes([byte]) + lines[at][column + 1:]
                now, refused = self.formats_of(self.write("broken", b"\n".join([*lines[:at], broken, *lines[at + 1:]])))
                lost = sum(max(0, n - now.get(f, 0)) for f, n in whole.items())
                with self.subTest(name, line=at + 1, column=column, byte=hex(byte)):
                    self.assertLessEqual(lost, max(1, in_a_line))
                    if sum(now.values()) < sum(whole.values()):
                        self.assertGreaterEqual(refused, 1, "a lost line is told")
        self.assertGreater(seen, 50)

    def test_costs_one_record_of_a_pretty_printed_list_at_most(self):
        self.rules = self.write("r.yml", EVIL)
        rng = random.Random(5)
        records = [{"action": "evil", "n": i, "list": [{"a": "b, c"}, {"d": "{e}"}]} for i in range(300)]
        for shape in ("list", "envelope", "one after the other"):
            if shape == "list":
                text = json.dumps(records, indent=2)
            elif shape == "envelope":
                text = json.dumps({"value": records}, indent=1)
            else:
                text = "\n".join(json.dumps(r, indent=2) for r in records)
            text = text.encode()
            for _ in range(12):
                at, byte = rng.randrange(200, len(text) - 200), rng.choice(self.BYTES)
                broken = text[:at] + bytes([byte]) + text[at + 1:]
                said = self.scan("--rules", self.rules, self.write("broken", broken))
                with self.subTest(shape, at=at, byte=hex(byte), before=text[at - 30:at + 10]):
                    # The record itself, and the one after it when the byte stands between the two.
                    self.assertGreaterEqual(len(said.findings), 298)


if __name__ == "__main__":
    unittest.main()
