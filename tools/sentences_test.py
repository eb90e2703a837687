"""sentences.py must find each kind of fault: a check that cannot fail checks nothing."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("sentences.py")
CODE = """// "a.comment" is none
constexpr Setting kSettings[] = {
    {"web.port", Unit::none, std::int64_t{80}, {-1, 65535},
     "Port of the pages; "
     "0: \\"any\\".",
     Restart::yes},
    {"web.on", Unit::none, true, {}, "Whether {it} is on.", Restart::no},
};
constexpr Setting kOne = {"mail.from", Unit::none, "", {0, 9}, "Whom it is from.", Restart::yes};
bool later(const Setting& s) { return s.restart == Restart::yes; }
"""
SETTINGS = {
    "mail.from": {"en": "Whom it is from.", "da": "Hvem den er fra.", "nb": "Hvem den er fra."},
    "web.on": {"en": "Whether {it} is on.", "da": "Om {it} er slået til.", "nb": "Om {it} er på."},
    "web.port": {"en": "Port of the pages; 0: \"any\".", "da": "Port til siderne.", "nb": "Port til sidene."},
}
REASONS = 'drop("it ended"); fmt::format("its {} is no timestamp", name);'
PARTNERS = {"it ended": {"da": "slut", "nb": "slutt"}, "its {field} is no timestamp": {"da": "{field} er forkert", "nb": "{field} er feil"}}
SIGN_CODE = 'sign("a report by {} people", n);'
SIGNS = {"a report by {n} people": {"da": "{n} har meldt den", "nb": "{n} har meldt den"}}


class Sentences(unittest.TestCase):
    def check(self, code=CODE, settings=SETTINGS, partners=PARTNERS, signs=SIGNS, headings=("mail", "web"), update=False):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in {"src/web/web.cpp": code, "src/exchange/judge.cpp": REASONS, "src/notice/signs.cpp": SIGN_CODE, "src/exchange/judge_test.cpp": '"only a test says it"'}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            at = root / "i18n" / "ui" / "sentences"
            at.mkdir(parents=True)
            (at / "settings.json").write_text(json.dumps(settings))
            (at / "partners.json").write_text(json.dumps(partners))
            (at / "signs.json").write_text(json.dumps(signs))
            for language in ("da", "nb", "en"):
                (root / "i18n" / "ui" / language).mkdir()
                (root / "i18n" / "ui" / language / "setting_group.json").write_text(json.dumps({name: name for name in headings}))
            if update:
                subprocess.run([sys.executable, CHECK, "--update", root], check=True)
            done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def refused(self, what, **more):
        code, said = self.check(**more)
        self.assertEqual(code, 1, said)
        self.assertIn(what, said)

    def test_three_languages_are_all_right(self):
        self.assertEqual(self.check(), (0, "sentences: 3 settings, 2 sentences about partners and 1 of signs in 3 languages\n"))

    def test_a_sign_that_no_source_speaks_of(self):
        self.refused('signs.json: the sources do not say "a rumour"', signs={**SIGNS, "a rumour": {"da": "et rygte", "nb": "et rykte"}})

    def test_a_new_setting_needs_its_texts(self):
        self.refused("web.new is missing", code=CODE + 'Setting k = {"web.new", Unit::none, 1, {}, "New.", Restart::no};')

    def test_an_updated_setting_still_needs_its_texts(self):
        self.refused("web.new has no text in nb", code=CODE + 'Setting k = {"web.new", Unit::none, 1, {}, "New.", Restart::no};', update=True)

    def test_a_text_for_no_setting(self):
        self.refused("web.old is no setting", settings={**SETTINGS, "web.old": SETTINGS["web.on"]})

    def test_a_missing_language(self):
        self.refused("web.port has no text in da", settings={**SETTINGS, "web.port": {**SETTINGS["web.port"], "da": " "}})

    def test_a_sentence_that_changed(self):
        self.refused("the sentence of mail.from changed", code=CODE.replace("Whom it is from.", "Who sends it."))

    def test_a_lost_place(self):
        self.refused("web.on has the places [] in nb", settings={**SETTINGS, "web.on": {**SETTINGS["web.on"], "nb": "Om den er på."}})

    def test_two_sentences_for_one_name(self):
        self.refused("another sentence elsewhere", code=CODE + 'Setting k = {"web.on", Unit::none, 1, {}, "Another.", Restart::no};')

    def test_tables_that_cannot_be_read(self):
        self.refused("no Setting was found", code="int nothing = 0;")
        self.refused("that is not written as", code=CODE + 'Setting k = setting(kName, "A sentence.", Restart::no);')

    def test_an_area_without_heading_and_a_heading_without_area(self):
        self.refused("no heading for mail", headings=("web",))
        self.refused("store heads no setting", headings=("mail", "web", "store"))

    def test_a_sentence_that_nobody_says(self):
        self.refused('the sources do not say "only a test says it"', partners={**PARTNERS, "only a test says it": {"da": "a", "nb": "b"}})

    def test_empty_files(self):
        self.refused("is missing", settings={})
        self.refused("partners.json: empty", partners={})


if __name__ == "__main__":
    unittest.main()
