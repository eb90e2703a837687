// bavn warnings, bavn exposure: asked of the running hub or node; `warnings text` needs neither.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "app/answers.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/warnings.hpp"
#include "base/json_writer.hpp"
#include "base/time.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

struct Command {
  std::string data, id, file, why, by, language, municipality, at, name, url, tlp = "green", state, versions, cve,
                                                                              fixed_in;
  std::vector<std::string> to;
  std::int64_t days = 7, systems = 0;
  bool json = false;
};

std::string minutes(net::JsonValue v) {
  const auto m = v.number();
  return m ? fmt::format("{:.1f}", *m) : "-";
}

int told(const Result<std::string>& answer, std::string_view done) {
  if (!answer) return failed(answer.error());
  fmt::print("{}\n", done);
  return kDone;
}

Result<std::string> get(const Command& c, const std::string& path) {
  return call_control(Folder(c.data), net::Method::get, path);
}
Result<std::string> post(const Command& c, const std::string& path, std::string body = "{}") {
  return call_control(Folder(c.data), net::Method::post, path, std::move(body));
}
std::string of(const Command& c, std::string_view first = "?") {
  return c.municipality.empty() ? "" : std::string(first) + "municipality=" + net::percent_encoded(c.municipality);
}
std::string one(const Command& c) {
  return "/api/warnings/" + net::percent_encoded(c.id);
}

Result<std::string> contents(const std::string& path) {
  DiskFiles files;
  return read_file(files, path, 1U << 20U);
}

// A hub's list is flat; a node's holds the entry and the answer.
void print_list(net::JsonValue said) {
  const net::JsonValue all = said["items"] ? said["items"] : said;
  for (const net::JsonValue w : all) {
    if (!w["entry"]) {
      fmt::print("{:<28}{:<11}{:<9}v{:<3}{} of {} answered, seen in {}  {}  {}{}\n", w["id"].text_or(""),
                 w["state"].text_or(""), w["severity"].text_or(""), n(w["version"]), n(w["answered"]), n(w["asked"]),
                 n(w["seen_here"]), when(w["sent_at"]), w["title"].text_or(""),
                 w["lit_by_itself"].boolean().value_or(false) ? "  (not confirmed yet)" : "");
      continue;
    }
    fmt::print("{:<28}{:<11}{:<9}v{:<3}{:<12}{} hits  {}  {}\n", w["id"].text_or(""), w["entry"]["state"].text_or(""),
               w["entry"]["severity"].text_or(""), n(w["entry"]["version"]), w["answer"]["state"].text_or(""),
               n(w["answer"]["hits"]), when(w["taken_us"]), w["entry"]["texts"].at(2)["title"].text_or(""));
  }
  if (all.size() == 0) fmt::print("none\n");
}

void print_answer(net::JsonValue a) {
  const net::JsonValue town = a["municipality"];
  fmt::print("{:<24}{:<12}", town["name"].text_or(town["code"].text_or("")),
             a["state"] ? a["state"].text_or("") : "no answer");
  if (a["state"])
    fmt::print("{:>7} hits {:>5} clicks {:>7} removed {:>5} left   minutes: warned {}, emptied {}, sessions ended {}",
               n(a["hits"]), n(a["clicks"]), n(a["emptied"]), n(a["left"]), minutes(a["minutes_to_warned"]),
               minutes(a["minutes_to_emptied"]), minutes(a["minutes_to_ended"]));
  else fmt::print("{} reminders", n(a["reminders"]));
  fmt::print("\n");
}

int show(const Command& c) {
  return said(get(c, one(c) + of(c)), c.json, [&](net::JsonValue w) {
    const bool hub = !w["entry"];
    const net::JsonValue row = hub ? w : w["entry"];
    fmt::print("{}  {}, severity {}, version {}, TLP:{}\n", row["id"].text_or(""), row["state"].text_or(""),
               row["severity"].text_or(""), n(row["version"]), row["tlp"].text_or(""));
    if (hub) {
      const net::JsonValue m = w["minutes"];
      fmt::print(
          "minutes from the first delivery: drafted {}, sent {}, first warned {}, all warned {}, emptied {}, "
          "sessions ended {}\n",
          minutes(m["drafted"]), minutes(m["sent"]), minutes(m["first_warned"]), minutes(m["all_warned"]),
          minutes(m["emptied"]), minutes(m["ended"]));
      for (const net::JsonValue v : w["versions"])
        fmt::print("  v{} {} {} by {} {}\n", n(v["version"]), when(v["at"]), v["state"].text_or(""),
                   v["by"].text_or(""), v["why"].text_or(""));
      for (const net::JsonValue a : w["answers"]) print_answer(a);
    } else {
      const net::JsonValue a = w["answer"];
      fmt::print("here: {}, {} hits, {} recipients, {} clicks; removed {}, left {}; searched {} times{}\n",
                 a["state"].text_or(""), n(a["hits"]), n(a["recipients"]), n(a["clicks"]), n(a["purged"]),
                 n(a["purge_left"]), n(w["looks"]),
                 n(w["next_look_us"]) > 0 ? ", again at " + when(w["next_look_us"]) : "");
      fmt::print("seen by: {}\n", w["seen_by"].text_or("").empty() ? "nobody yet" : w["seen_by"].text_or(""));
      if (!w["trouble"].text_or("").empty()) fmt::print("! {}\n", w["trouble"].text_or(""));
    }
    fmt::print("\nThe texts: bavn warnings text {} --language da|nb|en --data {}\n", c.id, c.data);
  });
}

/// Of a case file, without a server; or of a warning, from the process that has it.
int text(const Command& c) {
  if (!c.language.empty() && !language_of(c.language)) {
    fmt::print(stderr, "'{}' is not one of da, nb, en\n", c.language);
    return kUsage;
  }
  if (c.file.empty()) {
    if (c.id.empty() || c.data.empty()) {
      fmt::print(stderr, "either --case FILE, or a warning's id and --data DIR\n");
      return kUsage;
    }
    const std::string language = "language=" + (c.language.empty() ? "en" : c.language);
    const auto at_hub = get(c, one(c) + "/preview?" + language);
    if (at_hub) {
      const auto document = net::JsonDocument::parse(*at_hub);
      if (!document) return failed(document.error());
      fmt::print("{}", document->root()["mail"].text_or(""));
      return kDone;
    }
    const auto got = get(c, one(c) + "/text?" + language + of(c, "&"));
    if (!got) return failed(got.error());
    fmt::print("{}", *got);
    return kDone;
  }
  const auto json = contents(c.file);
  if (!json) return failed(json.error());
  auto about = warn::read_case(*json);
  if (!about) return failed({about.error().code, about.error().what, c.file + about.error().where});
  const auto never_block = warn::NeverBlock::open({});
  if (!never_block) return failed(never_block.error());
  warn::find_shared_hosts(*about, *never_block);
  const auto ok = warn::checked(*about);
  if (!ok) return failed({ok.error().code, ok.error().what, c.file + ": " + ok.error().where});
  if (ok->left_out > 0)
    fmt::print(stderr, "{} observables are left out: they are not of their kind, too many, or would name the sender\n",
               ok->left_out);
  const auto texts = Catalogue::embedded();
  const auto wanted = language_of(c.language);
  bool first = true;
  for (const auto& t : warn::texts_of(texts, ok->c, warn::Phase::sent)) {
    if (wanted && t.language != to_string(*wanted)) continue;
    if (!first) fmt::print("\n----\n\n");
    first = false;
    fmt::print("{}", warn::printed(texts, t));
  }
  return kDone;
}

int draft(const Command& c, bool update) {
  const auto json = contents(c.file);
  if (!json) return failed(json.error());
  const std::string body = "{\"case\":" + *json + "}";
  if (update) return told(post(c, one(c) + "/update", body), "updated");
  return said(post(c, "/api/warnings", body), c.json, [&](net::JsonValue made) {
    fmt::print("{}\nRead it: bavn warnings text {} --data {}    Send it: bavn warnings send {} --data {}\n",
               made["id"].text_or(""), made["id"].text_or(""), c.data, made["id"].text_or(""), c.data);
  });
}

std::string why(const Command& c) {
  std::string body;
  JsonWriter(body).object().member("why", c.why).end();
  return body;
}

int summary(const Command& c) {
  return said(get(c, "/api/warnings-summary?quarter=" + net::percent_encoded(c.id)), c.json, [](net::JsonValue all) {
    fmt::print("{:<24}{:>9}{:>10}{:>10}{:>7}{:>8}{:>9}   median minutes to warned, emptied, sessions ended\n", "",
               "warnings", "answered", "concerned", "hits", "clicks", "removed");
    for (const net::JsonValue s : all["items"])
      fmt::print("{:<24}{:>9}{:>10}{:>10}{:>7}{:>8}{:>9}   {}, {}, {}\n", s["municipality"]["name"].text_or(""),
                 n(s["warnings"]), n(s["answered"]), n(s["concerned"]), n(s["hits"]), n(s["clicks"]), n(s["emptied"]),
                 minutes(s["median_minutes_to_warned"]), minutes(s["median_minutes_to_emptied"]),
                 minutes(s["median_minutes_to_ended"]));
  });
}

int subscribe(const Command& c) {
  std::string body;
  JsonWriter(body).object().member("name", c.name).member("url", c.url).member("tlp", c.tlp).end();
  return said(post(c, "/api/subscriptions", body), c.json, [](net::JsonValue made) {
    fmt::print("subscription {}\nIts secret, shown this once (Standard Webhooks): {}\n", made["id"].text_or(""),
               made["secret"].text_or(""));
  });
}

int subscriptions(const Command& c) {
  return said(get(c, "/api/subscriptions"), c.json, [](net::JsonValue v) {
    const net::JsonValue all = v["items"];
    for (const net::JsonValue s : all)
      fmt::print("{:>4}  {:<28}up to TLP:{:<7}{}  {} waiting, last taken {}{}{}\n", s["id"].text_or(""),
                 s["name"].text_or(""), s["tlp"].text_or(""), s["url"].text_or(""), n(s["waiting"]),
                 when(s["last_good_at"]), s["stopped"].boolean().value_or(false) ? ", stopped" : "",
                 s["trouble"].text_or("").empty() ? "" : fmt::format(", {}", s["trouble"].text_or("")));
    if (all.size() == 0) fmt::print("none\n");
  });
}

int taken(const Command& c) {
  if (c.state != "on" && c.state != "off") {
    fmt::print(stderr, "taken is on or off\n");
    return kUsage;
  }
  // A hub says it of a municipality, a node of its own, with the reason.
  std::string at_hub, body;
  JsonWriter(at_hub).object().member("taken", c.state == "on").end();
  JsonWriter w(body);
  w.object();
  if (!c.municipality.empty()) w.member("municipality", c.municipality);
  w.member("taken", c.state == "on").member("why", c.why).end();
  auto done = c.municipality.empty()
                  ? fail(Code::not_found, "")
                  : post(c, "/api/municipalities/" + net::percent_encoded(c.municipality) + "/taken", at_hub);
  if (!done && done.error().code == Code::not_found) done = post(c, "/api/taken", body);
  return told(done, c.state == "on" ? "details go outside the municipality's own mail from now on"
                                    : "messages go by every way again");
}

// ---- exposure ----

int ask(const Command& c) {
  std::string body;
  JsonWriter w(body);
  w.object().member("product", c.name).member("versions", c.versions).member("cve", c.cve).member("why", c.why);
  w.member("fixed_in", c.fixed_in).member("days", c.days).key("to").array();
  for (const auto& m : c.to) w.value(m);
  w.end().end();
  return said(post(c, "/api/exposure", body), c.json,
              [](net::JsonValue made) { fmt::print("{}\n", made["id"].text_or("")); });
}

int answers(const Command& c) {
  return said(get(c, "/api/exposure"), c.json, [](net::JsonValue v) {
    const net::JsonValue all = v["items"] ? v["items"] : v;
    for (const net::JsonValue q : all) {
      const net::JsonValue ask = q["ask"] ? q["ask"] : q;
      fmt::print("{}  {} {}{}\n", ask["id"].text_or(""), ask["product"].text_or(""), ask["versions"].text_or(""),
                 ask["withdrawn"].boolean().value_or(false) ? "  (withdrawn)" : "");
      if (q["counts"]) {  // the hub's
        const net::JsonValue k = q["counts"];
        fmt::print("  asked {}: have {} ({} systems), have mended {}, do not have {}, do not know {}\n", n(k["asked"]),
                   n(k["have"]), n(k["systems"]), n(k["have_mended"]), n(k["do_not_have"]), n(k["do_not_know"]));
        for (const net::JsonValue a : q["answers"])
          fmt::print("  {:<24}{:<14}{}\n", a["municipality"]["name"].text_or(""),
                     a["state"].text_or("").empty() ? "no answer" : a["state"].text_or(""), n(a["systems"]));
      } else {
        fmt::print("  {} {} by {}, until {}\n",
                   q["state"].text_or("").empty() ? "not answered" : q["state"].text_or(""), n(q["systems"]),
                   q["by"].text_or("").empty() ? "-" : q["by"].text_or(""), when(q["ask"]["until_us"]));
      }
    }
    if (all.size() == 0) fmt::print("none\n");
  });
}

int answer(const Command& c) {
  std::string body;
  JsonWriter(body).object().member("state", c.state).member("systems", c.systems).end();
  return told(post(c, "/api/exposure/" + net::percent_encoded(c.id) + "/answer" + of(c), body), "answered");
}

int add_rule(const Command& c) {
  std::string body;
  JsonWriter w(body);
  w.object().member("product", c.name).member("state", c.state).member("systems", c.systems);
  if (!c.municipality.empty()) w.member("municipality", c.municipality);
  w.end();
  return told(post(c, "/api/exposure-rules", body), "questions about it are answered by themselves from now on");
}

int list_rules(const Command& c) {
  return said(get(c, "/api/exposure-rules"), c.json, [](net::JsonValue all) {
    for (const net::JsonValue r : all)
      fmt::print("{:>4}  {:<36}{:<14}{:>4} systems  said by {} {}\n", n(r["id"]), r["product"].text_or(""),
                 r["state"].text_or(""), n(r["systems"]), r["by"].text_or(""), when(r["checked_us"]));
    if (all.size() == 0) fmt::print("none\n");
  });
}

int remove_at(const Command& c, const std::string& path, std::string_view done) {
  return told(call_control(Folder(c.data), net::Method::del, path + net::percent_encoded(c.id)), done);
}

}  // namespace

void add_warning_commands(CLI::App& app, int& rc) {
  const auto c = std::make_shared<Command>();
  const auto leaf = [&](CLI::App& parent, const char* name, const char* help, std::function<int(const Command&)> run,
                        bool data = true) {
    auto* sub = parent.add_subcommand(name, help);
    auto* where = sub->add_option("--data", c->data, "The data folder of the hub or node; it must run");
    if (data) where->required();
    sub->add_flag("--json", c->json, "JSON on stdout");
    sub->callback([c, &rc, run = std::move(run)] { rc = run(*c); });
    return sub;
  };
  const auto id = [&](CLI::App* sub) {
    sub->add_option("id", c->id, "The warning's id")->required();
    return sub;
  };
  const auto municipality = [&](CLI::App* sub) {
    sub->add_option("--municipality", c->municipality, "Code or name, when the node is of several");
    return sub;
  };

  auto* warnings =
      app.add_subcommand("warnings", "Warnings: at the hub made and sent, at a node looked for and answered");
  warnings->require_subcommand(1);
  warnings->footer("Example: bavn warnings text --case content/warnings/october_2024.json --language da");
  leaf(*warnings, "list", "All that are known here",
       [](const Command& k) { return said(get(k, "/api/warnings"), k.json, print_list); });
  municipality(id(leaf(*warnings, "show", "One: versions, minutes, who answered what", show)));
  auto* t = leaf(*warnings, "text", "Its texts; with --case those of a case file, without a server", text, false);
  t->add_option("id", c->id, "The warning's id");
  t->add_option("--case", c->file, "A case file (docs/warnings.md)");
  t->add_option("--language", c->language, "da, nb or en; of a case file all three when not given");
  municipality(t);
  auto* d = leaf(*warnings, "draft", "Make a warning of a case file; nobody hears of it yet",
                 [](const Command& k) { return draft(k, false); });
  d->add_option("--case", c->file, "A case file (docs/warnings.md)")->required();
  id(leaf(*warnings, "send", "Send a draft", [](const Command& k) { return told(post(k, one(k) + "/send"), "sent"); }));
  auto* u = id(leaf(*warnings, "update", "What is known now", [](const Command& k) { return draft(k, true); }));
  u->add_option("--case", c->file, "A case file (docs/warnings.md)")->required();
  auto* over = id(leaf(*warnings, "over", "The case is closed",
                       [](const Command& k) { return told(post(k, one(k) + "/over", why(k)), "over"); }));
  auto* withdraw = id(leaf(*warnings, "withdraw", "It was no attack",
                           [](const Command& k) { return told(post(k, one(k) + "/withdraw", why(k)), "withdrawn"); }));
  for (auto* sub : {over, withdraw}) sub->add_option("--why", c->why, "For the audit log and the record")->required();
  auto* words = id(
      leaf(*warnings, "words", "A person's own words instead of the template's, in one language", [](const Command& k) {
        const auto json = contents(k.file);
        if (!json) return failed(json.error());
        return told(post(k, one(k) + "/words", *json), "taken");
      }));
  words->add_option("--text", c->file, "JSON: language, title, summary, for_employees, sms, do_now, reasons")
      ->required();
  auto* ended =
      id(leaf(*warnings, "ended", "Sessions of the accounts concerned were ended there", [](const Command& k) {
        std::string body;
        JsonWriter w(body);
        w.object().member("municipality", k.municipality);
        if (!k.at.empty()) w.member("at", k.at);
        w.end();
        return told(post(k, one(k) + "/ended", body), "noted");
      }));
  ended->add_option("--municipality", c->municipality, "Code or name")->required();
  ended->add_option("--at", c->at, "RFC 3339; now when not given");
  auto* quarter = leaf(*warnings, "summary", "A quarter, municipality by municipality", summary);
  quarter->add_option("quarter", c->id, "2024-4")->required();
  auto* seen =
      municipality(id(leaf(*warnings, "seen", "At a node: a person has seen it; reminders stop", [](const Command& k) {
        std::string body;
        JsonWriter(body).object().member("by", k.by).end();
        return told(post(k, one(k) + "/seen" + of(k), body), "noted; thank you");
      })));
  seen->add_option("--by", c->by, "Who")->required();
  municipality(id(leaf(*warnings, "look", "At a node: search the own history again now",
                       [](const Command& k) { return told(post(k, one(k) + "/look" + of(k)), "searching"); })));
  auto* t2 = municipality(leaf(
      *warnings, "taken", "Accounts of the municipality are in others' hands: details go outside its mail", taken));
  t2->add_option("state", c->state, "on or off")->required();
  t2->add_option("--why", c->why, "For the audit log")->required();
  auto* sub =
      leaf(*warnings, "subscribe", "At the hub: a partner's machine hears of warnings (Standard Webhooks)", subscribe);
  sub->add_option("name", c->name, "Whose")->required();
  sub->add_option("url", c->url, "https://...")->required();
  sub->add_option("--tlp", c->tlp, "What it may get at most: clear, green or amber");
  leaf(*warnings, "subscriptions", "At the hub: partners' machines, and whether they take what is sent", subscriptions);
  auto* unsub = leaf(*warnings, "unsubscribe", "At the hub: end a subscription",
                     [](const Command& k) { return remove_at(k, "/api/subscriptions/", "ended"); });
  unsub->add_option("id", c->id, "Its number")->required();

  auto* exposure =
      app.add_subcommand("exposure", "Who runs a product that is being attacked: asked at the hub, answered at nodes");
  exposure->require_subcommand(1);
  auto* q = leaf(*exposure, "ask", "At the hub: ask everybody, or some", ask);
  q->add_option("product", c->name, "\"Citrix NetScaler\"")->required();
  q->add_option("--versions", c->versions, "The vulnerable ones, in words");
  q->add_option("--cve", c->cve, "CVE-2023-4966");
  q->add_option("--why", c->why, "What attackers do with it");
  q->add_option("--fixed-in", c->fixed_in, "In words; empty: there is no fix yet");
  q->add_option("--days", c->days, "How long the question is open")->check(CLI::Range(1, 90));
  q->add_option("--to", c->to, "Only these municipalities (repeatable)")->allow_extra_args(false);
  leaf(*exposure, "answers", "Questions and what was answered", answers);
  auto* w = leaf(*exposure, "withdraw", "At the hub: nobody needs to answer any more", [](const Command& k) {
    return told(post(k, "/api/exposure/" + net::percent_encoded(k.id) + "/withdraw"), "withdrawn");
  });
  w->add_option("id", c->id, "The question's id")->required();
  auto* a = municipality(leaf(*exposure, "answer", "At a node: answer", answer));
  a->add_option("id", c->id, "The question's id")->required();
  a->add_option("state", c->state, "have, have_mended, do_not_have or do_not_know")->required();
  a->add_option("--systems", c->systems, "How many");
  auto* rule =
      exposure->add_subcommand("rule", "At a node: what is known beforehand answers by itself for half a year");
  rule->require_subcommand(1);
  auto* add = municipality(leaf(*rule, "add", "Say it; saying it again makes it fresh", add_rule));
  add->add_option("product", c->name, "Every word of it must stand in the question")->required();
  add->add_option("state", c->state, "have, have_mended or do_not_have")->required();
  add->add_option("--systems", c->systems, "How many");
  leaf(*rule, "list", "What was said", list_rules);
  auto* gone = leaf(*rule, "remove", "Say it no longer",
                    [](const Command& k) { return remove_at(k, "/api/exposure-rules/", "removed"); });
  gone->add_option("id", c->id, "Its number")->required();
}

}  // namespace bavn::app
