#include "app/peers_cli.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <thread>

#include "app/answers.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "base/files.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/outward.hpp"
#include "exchange/peers/views.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

constexpr std::size_t kMostReport = 32U << 20U;

struct PeerCommand {
  std::string data, name;
  bool json = false;
  // add
  std::string kind, direction, url, sign_in, user, secret_file, ceiling, strongest, tlp;
  std::vector<std::string> options, kinds, sectors;
  std::optional<std::int64_t> confidence, valid_days, every_minutes;
  // key
  std::string label = "key";
  bool read = true, write = false;
  std::string key;
  // remove, pull, dropped
  bool with_indicators = false;
  unsigned seconds = 60;
  std::string reason;
  // import, export
  std::vector<std::string> files;
  std::string peer, as = "csv", source, sector, observable_kind, out;
  bool dry_run = false, report = false;
  std::string language = "en";
};

Result<std::string> ask(const PeerCommand& c, net::Method method, const std::string& path, std::string body = {}) {
  return call_control(Folder(c.data), method, path, std::move(body));
}

/// The id of a partner that a person calls by its name.
Result<std::string> id_of(const PeerCommand& c, const std::string& name) {
  BAVN_TRY(const std::string answer, ask(c, net::Method::get, "/api/peers"));
  BAVN_TRY(const auto document, net::JsonDocument::parse(answer));
  for (const net::JsonValue p : document.root()["items"])
    if (iequals(p["name"].text_or(""), name) || p["id"].text_or("") == name) return std::string(p["id"].text_or(""));
  return fail(Code::not_found, "there is no such partner; `bavn peer list` names them", name);
}

/// A file, or standard input for "-".
Result<std::string> bytes_of(const std::string& path, std::size_t most) {
  if (path != "-") {
    DiskFiles files;
    return read_file(files, path, most);
  }
  std::string all{std::istreambuf_iterator<char>(std::cin), {}};
  if (all.size() > most) return fail(Code::bad_input, "standard input is too long");
  return all;
}

void tell_line(net::JsonValue p) {
  fmt::print(
      "{:<24} {:<10} {:<5} {:<8} taken {}, dropped {}, sent {}{}{}\n", p["name"].text_or(""), p["kind"].text_or(""),
      p["direction"].text_or(""), p["state"].text_or(""), p["counts"]["taken"].integer().value_or(0),
      p["counts"]["dropped"].integer().value_or(0), p["counts"]["sent"].integer().value_or(0),
      p["lag_seconds"].integer() ? fmt::format(", last asked with success {} s ago", *p["lag_seconds"].integer()) : "",
      p["error"].text() ? fmt::format("\n{:<24} {}", "", *p["error"].text()) : "");
}

void tell_all(net::JsonValue p) {
  tell_line(p);
  fmt::print("  id {}; {}; signs in by {}; may have up to TLP:{}\n", p["id"].text_or(""),
             p["url"].text_or("").empty() ? "comes to us" : p["url"].text_or(""), p["sign_in"].text_or(""),
             p["ceiling"].text_or(""));
  for (const char* list : {"kinds", "sectors"})
    if (p[list].size() > 0) fmt::print("  {}: {}\n", list, p[list].to_text());
  const auto t = p["takes"];
  fmt::print("  taken: confidence {}, at most to {}, TLP:{}, {} days, where it says nothing\n",
             t["confidence"].integer().value_or(0), t["strongest"].text_or(""), t["tlp"].text_or(""),
             t["valid_days"].integer().value_or(0));
  for (const char* when : {"tried_at", "ok_at", "newest_at", "next_at"})
    if (const auto at = p[when].text()) fmt::print("  {}: {}\n", when, *at);
}

int add(const PeerCommand& c) {
  std::string body;
  JsonWriter w(body);
  w.object().member("name", c.name).member("kind", c.kind);
  const auto text = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) w.member(name, value);
  };
  text("direction", c.direction);
  text("url", c.url);
  text("sign_in", c.sign_in);
  text("user", c.user);
  text("ceiling", c.ceiling);
  if (!c.secret_file.empty()) {
    const auto secret = bytes_of(c.secret_file, 8000);
    if (!secret) return failed(secret.error());
    w.member("secret", trim(*secret));
  }
  if (!c.options.empty()) {
    w.key("options").object();
    for (const std::string& each : c.options) {
      const auto equals = each.find('=');
      if (equals == std::string::npos) return failed(Error{Code::bad_input, "an option is name=value", each});
      w.member(each.substr(0, equals), each.substr(equals + 1));
    }
    w.end();
  }
  const auto list = [&](std::string_view name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    w.key(name).array();
    for (const auto& v : values) w.value(v);
    w.end();
  };
  list("kinds", c.kinds);
  list("sectors", c.sectors);
  if (c.confidence || c.valid_days || !c.strongest.empty() || !c.tlp.empty()) {
    w.key("takes").object();
    if (c.confidence) w.member("confidence", *c.confidence);
    text("strongest", c.strongest);
    text("tlp", c.tlp);
    if (c.valid_days) w.member("valid_days", *c.valid_days);
    w.end();
  }
  if (c.every_minutes) w.member("every_minutes", *c.every_minutes);
  w.end();
  return said(ask(c, net::Method::post, "/api/peers", body), c.json, tell_all);
}

/// Asks and waits for the end: what a person wants to know is how it went.
int pull(const PeerCommand& c) {
  const auto id = id_of(c, c.name);
  if (!id) return failed(id.error());
  const auto tried = [&]() -> Result<std::string> {
    BAVN_TRY(const std::string answer, ask(c, net::Method::get, "/api/peers/" + *id));
    BAVN_TRY(const auto document, net::JsonDocument::parse(answer));
    return std::string(document.root()["tried_at"].text_or(""));
  };
  const auto before = tried();
  if (!before) return failed(before.error());
  if (const auto asked = ask(c, net::Method::post, fmt::format("/api/peers/{}/pull", *id)); !asked)
    return failed(asked.error());
  for (unsigned n = 0; n < c.seconds * 10; ++n) {
    const auto now = tried();
    if (!now) return failed(now.error());
    if (*now != *before) {
      const auto answer = ask(c, net::Method::get, "/api/peers/" + *id);
      bool good = false;
      const int code = said(answer, c.json, [&](net::JsonValue p) {
        good = p["state"].text_or("") == "ok";
        tell_all(p);
      });
      return code != kDone || good || c.json ? code : kFailed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return failed(Error{Code::unavailable,
                      fmt::format("it is asked, and not done after {} s; `bavn peer show` says how it went", c.seconds),
                      ""});
}

int dropped(const PeerCommand& c) {
  const auto id = id_of(c, c.name);
  if (!id) return failed(id.error());
  std::string path = fmt::format("/api/peers/{}/dropped?limit=500", *id);
  if (!c.reason.empty()) path += "&reason=" + net::percent_encoded(c.reason);
  std::string cursor;
  bool first = true;
  for (;;) {
    const auto answer =
        ask(c, net::Method::get, cursor.empty() ? path : path + "&cursor=" + net::percent_encoded(cursor));
    if (!answer) return failed(answer.error());
    const auto document = net::JsonDocument::parse(*answer);
    if (!document) return failed(document.error());
    const auto v = document->root();
    if (first && !c.json)
      for (const net::JsonValue r : v["reasons"])
        fmt::print("{:>10}  {}\n", r["count"].integer().value_or(0), r["reason"].text_or(""));
    first = false;
    for (const net::JsonValue each : v["items"]) {
      if (c.json) fmt::print("{}\n", each.to_text());
      else
        fmt::print("  {} {} {}: {}\n", each["at"].text_or(""), each["what"].text_or(""), each["object"].text_or(""),
                   each["reason"].text_or(""));
    }
    cursor = std::string(v["next"].text_or(""));
    if (cursor.empty()) return kDone;
  }
}

int import(const PeerCommand& c) {
  int worst = kDone;
  for (const std::string& path : c.files) {
    auto bytes = bytes_of(path, exchange::kMostImported);
    if (!bytes) {
      worst = unreadable(bytes.error());
      continue;
    }
    const std::string name = path == "-" ? "standard input" : std::filesystem::path(path).filename().string();
    std::string query = "/api/imports?peer=" + net::percent_encoded(c.peer) + "&name=" + net::percent_encoded(name);
    if (!c.tlp.empty()) query += "&tlp=" + net::percent_encoded(c.tlp);
    if (c.dry_run) query += "&dry_run=true";
    const auto answer = ask(c, net::Method::post, query, std::move(*bytes));
    const int code = said(answer, c.json, [&](net::JsonValue v) {
      fmt::print("{} ({}): {} read, {} {}, {} of these watched for only, {} dropped\n", name, v["format"].text_or(""),
                 v["read"].integer().value_or(0), v["published"].integer().value_or(0),
                 c.dry_run ? "would be published" : "published", v["demoted"].integer().value_or(0),
                 v["dropped"].integer().value_or(0));
      for (const net::JsonValue each : v["list"])
        fmt::print("  {} {}: {}\n", each["what"].text_or(""), each["object"].text_or(""), each["reason"].text_or(""));
    });
    const Result<net::JsonDocument> document =
        answer ? net::JsonDocument::parse(*answer) : Result<net::JsonDocument>(std::unexpected(answer.error()));
    if (code != kDone) worst = code;
    else if (worst == kDone && document && document->root()["dropped"].integer().value_or(0) > 0) worst = kPartly;
  }
  return worst;
}

/// Suppliers' reports: each becomes the draft of a bulletin.
int import_reports(const PeerCommand& c) {
  int worst = kDone;
  for (const std::string& path : c.files) {
    auto bytes = bytes_of(path, kMostReport);
    if (!bytes) {
      worst = unreadable(bytes.error());
      continue;
    }
    const std::string name = path == "-" ? "report" : std::filesystem::path(path).filename().string();
    std::string query = "/api/bulletins/reports?source=" + net::percent_encoded(c.source) +
                        "&name=" + net::percent_encoded(name) + "&language=" + net::percent_encoded(c.language);
    if (!c.tlp.empty()) query += "&tlp=" + net::percent_encoded(c.tlp);
    const int code = said(ask(c, net::Method::post, query, std::move(*bytes)), c.json, [&](net::JsonValue v) {
      fmt::print("{}: the draft of bulletin {}, with {} found in it; confirm them on its page\n", name,
                 v["id"].text_or(""), v["found"].size());
      for (const net::JsonValue each : v["found"])
        fmt::print("  {} {}{}{}\n", each["kind"].text_or(""), each["defanged"].text_or(""),
                   each["places"].size() > 0 && !each["places"].at(0)["section"].text_or("").empty() ? "  " : "",
                   each["places"].size() > 0 ? each["places"].at(0)["section"].text_or("") : std::string_view());
    });
    if (code != kDone) worst = code;
  }
  return worst;
}

int export_indicators(const PeerCommand& c) {
  const bool feed = c.as == "misp-feed";
  if (feed && (c.out.empty() || c.out == "-"))
    return failed(Error{Code::bad_input, "a feed is a folder: --out FOLDER", "--out"});
  std::string path = "/api/exports/" + (feed ? std::string("misp") : net::percent_encoded(c.as)) + "?";
  const auto also = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) path += fmt::format("{}={}&", name, net::percent_encoded(value));
  };
  also("tlp", c.tlp);
  also("peer", c.peer);
  also("sector", c.sector);
  also("source", c.source);
  also("kind", c.observable_kind);
  path.pop_back();
  const auto answer = ask(c, net::Method::get, path);
  if (!answer) return failed(answer.error());
  if (feed) {
    DiskFiles disk;
    const auto done = exchange::misp::write_feed(disk, c.out, *answer);
    if (!done) return failed(done.error());
    fmt::print("{}: {} events, {} removed\n", c.out, done->events, done->removed);
    return kDone;
  }
  if (c.out.empty() || c.out == "-") {
    std::fwrite(answer->data(), 1, answer->size(), stdout);
    return kDone;
  }
  DiskFiles files;
  const auto written = replace_file(files, c.out, *answer);
  return written ? kDone : failed(written.error());
}

}  // namespace

void add_peer_commands(CLI::App& app, int& rc) {
  const auto c = std::make_shared<PeerCommand>();
  auto* peer = app.add_subcommand("peer", "Partners of a hub: MISP, TAXII, feeds, and who comes to us with a key");
  peer->require_subcommand(1);
  peer->footer(
      "Example: bavn peer add NorCERT --kind misp --url https://misp.example/ --sign-in key --secret-file - --data "
      "/var/lib/bavn-hub");
  const auto leaf = [&](const char* name, const char* help, bool of_one, std::function<int()> run) {
    auto* sub = peer->add_subcommand(name, help);
    sub->add_option("--data", c->data, "The hub's data folder")->required();
    sub->add_flag("--json", c->json, "JSON on stdout");
    if (of_one) sub->add_option("name", c->name, "The partner's name or id")->required();
    sub->callback([run = std::move(run), &rc] { rc = run(); });
    return sub;
  };
  const auto of_one = [c](net::Method method, std::string_view after, std::function<void(net::JsonValue)> tell) {
    return [c, method, after = std::string(after), tell = std::move(tell)] {
      const auto id = id_of(*c, c->name);
      if (!id) return failed(id.error());
      return said(ask(*c, method, "/api/peers/" + *id + after), c->json, tell);
    };
  };
  const auto nothing = [](net::JsonValue) {};
  auto* adds = leaf("add", "A new partner", true, [c] { return add(*c); });
  adds->add_option("--kind", c->kind, "misp, misp_feed, taxii, sentinel, defender, or client: it only comes to us")
      ->required();
  adds->add_option("--direction", c->direction, "in, out or both; in when not given");
  adds->add_option("--url", c->url, "Where its machine is");
  adds->add_option("--sign-in", c->sign_in, "How we sign in there: none, key, basic, bearer or oauth");
  adds->add_option("--user", c->user, "Of basic; the client's id of oauth");
  adds->add_option(
      "--secret-file", c->secret_file,
      "File with the key or password; - is standard input (never on the command line, where others see it)");
  adds->add_option("--option", c->options, "name=value, of its kind (repeatable)")->allow_extra_args(false);
  adds->add_option("--ceiling", c->ceiling, "The narrowest TLP that it may have; green when not given");
  adds->add_option("--observables", c->kinds, "A kind of observable that it gets; all when not given (repeatable)")
      ->allow_extra_args(false);
  adds->add_option("--sector", c->sectors, "A sector it is of: it gets what is marked for it (repeatable)")
      ->allow_extra_args(false);
  adds->add_option("--confidence", c->confidence, "0 to 100, where it says nothing");
  adds->add_option("--strongest", c->strongest, "watch, warn, hold or block: the most that its indicators may ask for");
  adds->add_option("--tlp", c->tlp, "TLP of what it gives, where it says nothing");
  adds->add_option("--valid-days", c->valid_days, "How long its indicators hold at most");
  adds->add_option("--every-minutes", c->every_minutes, "How often it is asked");
  leaf("list", "All of them, with state, lag and last error", false, [c] {
    return said(ask(*c, net::Method::get, "/api/peers"), c->json, [](net::JsonValue v) {
      for (const net::JsonValue p : v["items"]) tell_line(p);
    });
  });
  leaf("show", "One, with everything but its secret", true, of_one(net::Method::get, "", tell_all));
  auto* key = leaf("key", "A key for the partner, shown this once", true, [c] {
    const auto id = id_of(*c, c->name);
    if (!id) return failed(id.error());
    std::string body;
    JsonWriter(body).object().member("label", c->label).member("read", c->read).member("write", c->write).end();
    return said(ask(*c, net::Method::post, "/api/peers/" + *id + "/keys", body), c->json, [](net::JsonValue v) {
      fmt::print("key {}: hand it over by a way you trust\n\n  {}\n", v["id"].text_or(""), v["key"].text_or(""));
    });
  });
  key->add_option("--label", c->label, "What it is for");
  key->add_flag("--write", c->write, "It may write, too");
  key->add_flag("!--no-read", c->read, "It may not read");
  leaf("keys", "Its keys", true, of_one(net::Method::get, "/keys", [](net::JsonValue v) {
         for (const net::JsonValue k : v["items"])
           fmt::print("{:>5}  {:<30} {}{} {}\n", k["id"].text_or(""), k["label"].text_or(""),
                      k["read"].boolean().value_or(false) ? "r" : "-", k["write"].boolean().value_or(false) ? "w" : "-",
                      k["revoked_at"].text() ? fmt::format("revoked {}", *k["revoked_at"].text())
                                             : std::string(k["made_at"].text_or("")));
       }));
  auto* revoke = leaf("revoke", "Revoke one of its keys, at once", true, [c] {
    const auto id = id_of(*c, c->name);
    if (!id) return failed(id.error());
    const auto done = ask(*c, net::Method::del, "/api/peers/" + *id + "/keys/" + net::percent_encoded(c->key));
    return done ? kDone : failed(done.error());
  });
  revoke->add_option("key", c->key, "The key's number, as `bavn peer keys` says it")->required();
  leaf("pull", "Ask it (or upload to it) now, and wait for how it went", true, [c] {
    return pull(*c);
  })->add_option("--seconds", c->seconds, "How long to wait");
  leaf("pause", "Nothing goes in or out", true, of_one(net::Method::post, "/pause", nothing));
  leaf("resume", "It goes on", true, of_one(net::Method::post, "/resume", nothing));
  auto* removes = leaf("remove", "End it", true, [c] {
    const auto id = id_of(*c, c->name);
    if (!id) return failed(id.error());
    const auto done = ask(*c, net::Method::del, "/api/peers/" + *id + (c->with_indicators ? "?indicators=true" : ""));
    return done ? kDone : failed(done.error());
  });
  removes->add_flag("--with-indicators", c->with_indicators, "Withdraw its indicators from all nodes, too");
  leaf("dropped", "What of it was not taken, object by object, and why", true, [c] {
    return dropped(*c);
  })->add_option("--reason", c->reason, "Only these");

  auto* imports =
      app.add_subcommand("import", "Indicators from files, in the name of a partner: CSV, text, MISP, STIX 2.1");
  imports->add_option("files", c->files, "Files; - is standard input")->required();
  imports->add_option("--data", c->data, "The hub's data folder")->required();
  auto* whose = imports->add_option("--peer", c->peer, "Whose they are; own lists: bavn hub publish indicators");
  auto* report = imports->add_flag("--report", c->report,
                                   "They are reports (PDF, mail, text): each becomes the draft of a bulletin");
  auto* author = imports->add_option("--source", c->source, "Who wrote the reports")->needs(report);
  imports->add_option("--language", c->language, "Of the reports: da, nb or en")->needs(report);
  report->needs(author)->excludes(whose);
  imports->add_option("--tlp", c->tlp, "TLP where a file says nothing");
  imports->add_flag("--dry-run", c->dry_run, "Publish nothing, say what would become of it");
  imports->add_flag("--json", c->json, "JSON on stdout");
  imports->footer(
      "Example: bavn import wave.csv --peer NorCERT --tlp green --dry-run --data /var/lib/bavn-hub\n"
      "         bavn import week41.pdf --report --source \"SOC supplier\" --data /var/lib/bavn-hub");
  imports->callback([c, &rc] {
    if (!c->report && c->peer.empty()) throw CLI::RequiredError("--peer, or --report with --source,");
    rc = c->report ? import_reports(*c) : import(*c);
  });

  auto* exports = app.add_subcommand("export", "What the hub knows, as a file for a partner");
  exports->require_subcommand(1);
  auto* indicators = exports->add_subcommand("indicators", "Indicators by TLP, sector, source and kind");
  indicators->add_option("--data", c->data, "The hub's data folder")->required();
  indicators->add_option("--as", c->as,
                         "csv, stix, misp (one JSON document) or misp-feed (a folder); csv when not given");
  auto* tlp = indicators->add_option("--tlp", c->tlp, "The narrowest that may be in it");
  auto* whom = indicators->add_option("--peer", c->peer, "What this partner may have by its agreement: id or name");
  indicators->add_option("--sector,--scope", c->sector, "Also what is for these sectors only; several with commas")
      ->excludes(whom);
  indicators->add_option("--source", c->source, "Only of this source");
  indicators->add_option("--kind", c->observable_kind, "Only this kind of observable");
  indicators->add_option("--out", c->out, "File, or folder of a feed; standard output when not given");
  indicators->footer("Example: bavn export indicators --as csv --tlp green --data /var/lib/bavn-hub --out list.csv");
  indicators->callback([c, tlp, whom, &rc] {
    if (tlp->empty() && whom->empty()) throw CLI::RequiredError("--tlp or --peer");
    rc = export_indicators(*c);
  });
  auto* warnings = exports->add_subcommand(
      "warnings",
      "Warnings that went out as a STIX 2.1 bundle: report, campaign, indicators, counts; no member is named");
  warnings->add_option("--data", c->data, "The hub's data folder")->required();
  warnings->add_option("--tlp", c->tlp, "The narrowest that may be in it")->required();
  warnings->add_option("--out", c->out, "File; standard output when not given");
  warnings->footer("Example: bavn export warnings --tlp green --data /var/lib/bavn-hub --out warnings.json");
  warnings->callback([c, &rc] {
    c->as = "warnings";
    rc = export_indicators(*c);
  });
}

}  // namespace bavn::app
