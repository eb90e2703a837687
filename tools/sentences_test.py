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
API_CODE = """
if (!known) return fail(Code::not_found, fmt::format("there is no campaign {}", id));
if (name.empty()) return web::refused({{"/name", "a name of 1 to 200 bytes is wanted"}, {"/kind", key}});
return web::problem(403, "other-origin", "nothing was done");
log::warn("a_sentence_for_the_log", {{"reason", "this is for the log alone"}});
"""
PROBLEMS = {"there is no campaign {id}": {"da": "ingen kampagne {id}", "nb": "ingen kampanje {id}"},
            "a name of 1 to 200 bytes is wanted": {"da": "et navn, tak", "nb": "et navn, takk"},
            "nothing was done": {"da": "der skete intet", "nb": "ingenting skjedde"}}
M365_CODE = """
t.what = "the token is not accepted" + said;
t.fix = call.empty() ? "Nothing to repair: this source stays off" : "It needs " + call + "; until then this source stays off";
"""
STATUS = {"the token is not accepted: {said}": {"da": "nej: {said}", "nb": "nei: {said}"},
          "Nothing to repair: this source stays off": {"da": "intet", "nb": "ingenting"},
          "It needs {licence}; until then this source stays off": {"da": "kræver {licence}", "nb": "krever {licence}"}}
RULE = """title: Odd sign-in
logsource: {}
---
title: 'Takeover: mass mail'
"""
RULES = {"Odd sign-in": {"da": "Mærkeligt login", "nb": "Merkelig pålogging"}, "Takeover: mass mail": {"da": "Overtagelse", "nb": "Overtakelse"}}
READER_CODE = 'refuse(line, "record_too_long", x); log::warn("file_not_read", {});'
REFUSALS = {"record_too_long": "Too long"}
SIGNS = {"a report by {n} people": {"da": "{n} har meldt den", "nb": "{n} har meldt den"}}


class Sentences(unittest.TestCase):
    def check(self, code=CODE, settings=SETTINGS, partners=PARTNERS, signs=SIGNS, headings=("mail", "web"), update=False, api=API_CODE, problems=PROBLEMS, m365=M365_CODE, status=STATUS,
              rule=RULE, rules=RULES, reader=READER_CODE, refusals=REFUSALS):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in {"src/web/web.cpp": code, "src/exchange/judge.cpp": REASONS, "src/notice/signs.cpp": SIGN_CODE, "src/exchange/judge_test.cpp": '"only a test says it"',
                               "src/show/api/campaigns/routes.cpp": api, "src/input/sources/microsoft365/access.cpp": m365, "src/formats/reader.cpp": reader,
                               "content/rules/chain/takeover.yml": rule}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            at = root / "i18n" / "ui" / "sentences"
            at.mkdir(parents=True)
            (at / "settings.json").write_text(json.dumps(settings))
            (at / "partners.json").write_text(json.dumps(partners))
            (at / "signs.json").write_text(json.dumps(signs))
            for name, texts in (("problems", problems), ("status", status), ("rules", rules)):
                (at / f"{name}.json").write_text(json.dumps(texts))
            for language in ("da", "nb", "en"):
                (root / "i18n" / "ui" / language).mkdir()
                (root / "i18n" / "ui" / language / "refusal.json").write_text(json.dumps(refusals))
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
        self.assertEqual(self.check(), (0, "sentences: 3 settings, 2 sentences about partners, 1 of signs, 3 of how things stand, 3 of refused requests, 2 titles of rules and 1 reasons for refused lines in 3 languages\n"))

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

    def test_a_new_refusal_of_a_request_needs_its_text(self):
        for more, said in (('return fail(Code::conflict, "it is taken already");', "it is taken already"),
                           ('return problem(409, "conflict", now ? "it is held here" : "nothing was done");', "it is held here"),
                           ('return refused({{"/why", fmt::format("at most {} words", n)}});', "at most {} words"),
                           ('return net::problem(Error{Code::not_found, "there is no town " + name, {}});', "there is no town")):
            self.refused(f'src/show/api/campaigns/routes.cpp:7: "{said}" has no da and nb', api=API_CODE.rstrip() + "\n\n" + more)

    def test_a_new_standing_needs_its_text(self):
        self.refused('access.cpp:5: "the clock is wrong" has no da and nb', m365=M365_CODE.rstrip() + '\n\nt.what = "the clock is wrong";')
        self.refused('"Ask again tomorrow" has no da and nb', m365=M365_CODE + 'report(state, "Ask again tomorrow");')

    def test_sources_in_which_nothing_is_found(self):
        self.refused("problems.json: no sentence was found", api="int nothing = 0;")
        self.refused("status.json: no sentence was found", m365="int nothing = 0;")

    def test_a_refusal_that_nobody_says(self):
        self.refused('problems.json: the sources do not say "gone"', problems={**PROBLEMS, "gone": {"da": "væk", "nb": "borte"}})

    def test_titles_of_rules(self):
        self.refused('"Mass mail" has no da and nb', rule=RULE + "---\ntitle: Mass mail\n")
        self.refused('no rule has the title "Odd"', rules={**RULES, "Odd": RULES["Odd sign-in"]})
        self.refused("Odd sign-in has no text in nb", rules={**RULES, "Odd sign-in": {"da": "Mærkeligt login"}})

    def test_reasons_for_refused_lines(self):
        self.refused("lines are refused for json_empty, which has no word in da", reader=READER_CODE + 'refuse(line, "json_empty", "");')
        self.refused("nothing is refused for json_empty", refusals={**REFUSALS, "json_empty": "Empty"})

    def test_empty_files(self):
        self.refused("is missing", settings={})
        self.refused("partners.json: empty", partners={})


if __name__ == "__main__":
    unittest.main()
