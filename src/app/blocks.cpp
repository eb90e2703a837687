// bavn blocks: what is blocked, proposed and stopped, asked of the running hub or node.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>

#include "app/answers.hpp"
#include "app/blocks.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/process.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"
#include "warn/blocks/common.hpp"
#include "warn/exports/export.hpp"
#include "warn/never_block.hpp"

namespace bavn::app {

namespace {

struct Asked {
  std::string data, as, id, kind, value, reason, action = "block", campaign, what, list, device, out, municipality,
                                                 file;
  std::vector<std::string> members;
  std::int64_t hours = 0;
  std::uint64_t serial = 1;
  unsigned seconds = 90;
  bool json = false, all = false, everything = false, revive = false;
};

std::string encoded(std::string_view s) {
  return net::percent_encoded(s);
}
Result<std::string> get(const Asked& a, const std::string& path) {
  return call_control(Folder(a.data), net::Method::get, path);
}
Result<std::string> post(const Asked& a, const std::string& path, std::string body = {}) {
  return call_control(Folder(a.data), net::Method::post,
                      path + (path.contains('?') ? "&" : "?") + "as=" + encoded(a.as), std::move(body));
}

void print_entry(net::JsonValue e) {
  fmt::print("{}  {:<11} {:<7} {} {}  until {}  ({}; {})\n", e["id"].text_or(""), e["state"].text_or(""),
             e["action"].text_or(""), e["kind"].text_or(""), e["value"].text_or(""),
             when(e["until_us"] ? e["until_us"] : e["until"]),
             e["proposed_by"].text() ? e["proposed_by"].text_or("") : e["by"].text_or(""), e["reason"].text_or(""));
  if (!e["why"].text_or("").empty()) fmt::print("    {}\n", e["why"].text_or(""));
}

void print_preview(net::JsonValue e) {
  const net::JsonValue p = e["preview"], can = e["can"];
  fmt::print("    would have hit {} times, {} people, in {} municipalities ({} of {} nodes answered)\n", n(p["hits"]),
             n(p["people"]), n(p["municipalities"]), n(p["answered"]), n(p["asked"]));
  fmt::print("    can block exactly this: {}, only the whole host: {}, nothing: {}\n", n(can["path"]), n(can["host"]),
             n(can["nothing"]));
  if (const auto two = e["needs_two"].boolean(); two && *two)
    fmt::print("    needs a second person: {}{}\n", e["needs_two_why"].text_or(""),
               e["approved_by"].text_or("").empty() ? "" : fmt::format(" (yes: {})", e["approved_by"].text_or("")));
  if (n(e["sent_to"]) != 0)
    fmt::print("    at {} municipalities; since then {} hits, {} people\n", n(e["sent_to"]), n(e["since"]["hits"]),
               n(e["since"]["people"]));
  if (e["ended_why"].text_or("").empty()) return;
  if (e["state"].text_or("") == "asked") fmt::print("    it cannot be blocked: {}\n", e["ended_why"].text_or(""));
  else fmt::print("    ended by {}: {}\n", e["ended_by"].text_or(""), e["ended_why"].text_or(""));
}

int propose(const Asked& a) {
  std::string body;
  JsonWriter w(body);
  w.object().member("kind", a.kind).member("value", a.value).member("action", a.action).member("reason", a.reason);
  if (a.hours != 0) w.member("hours", a.hours);
  if (!a.campaign.empty()) w.member("campaign", a.campaign);
  w.end();
  return said(post(a, "/api/blocks", body), a.json, [](net::JsonValue e) {
    print_entry(e);
    fmt::print("    its preview: bavn blocks preview {}\n", e["id"].text_or(""));
  });
}

int show(const Asked& a) {
  return said(get(a, "/api/blocks/" + encoded(a.id)), a.json, [](net::JsonValue v) {
    print_entry(v["entry"]);
    print_preview(v["entry"]);
    for (const net::JsonValue p : v["parts"]) {
      const bool answered = p["answered_at"].text().has_value();
      fmt::print("    {}  {:<28} {:<8} stage {:<4} {}{}\n", p["municipality"]["code"].text_or(""),
                 answered ? fmt::format("{} hits, {} people, {} days", n(p["hits"]), n(p["people"]), n(p["days"]))
                          : "no answer",
                 p["can"].text_or(""), n(p["stage"]), p["state"].text_or(""),
                 p["why"].text_or("").empty() ? "" : fmt::format(": {}", p["why"].text_or("")));
    }
  });
}

/// Waits until the nodes have answered or their time is over. Kind and value instead of an id: only a question, nothing is proposed.
int preview(Asked a) {
  if (!a.value.empty()) {
    std::string body;
    JsonWriter(body).object().member("kind", a.id).member("value", a.value).end();
    const auto asked = post(a, "/api/block-questions", body);
    const auto document = asked ? net::JsonDocument::parse(*asked) : std::unexpected(asked.error());
    if (!document) return failed(document.error());
    a.id = document->root()["id"].text_or("");
  }
  for (unsigned i = 0; i <= a.seconds * 4; ++i) {
    const auto answer = get(a, "/api/blocks/" + encoded(a.id));
    if (!answer) return failed(answer.error());
    const auto document = net::JsonDocument::parse(*answer);
    if (!document) return failed(document.error());
    const net::JsonValue e = document->root()["entry"];
    const bool question = e["state"].text_or("") == "asked" && n(e["preview"]["answered"]) < n(e["preview"]["asked"]);
    if (e["state"].text_or("") != "preview" && !question) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  return show(a);
}

int list(const Asked& a) {
  return said(get(a, a.all ? "/api/blocks?all=1" : "/api/blocks"), a.json, [](net::JsonValue v) {
    if (v["items"]) {  // of a hub
      for (const net::JsonValue e : v["items"]) {
        print_entry(e);
        print_preview(e);
      }
      if (v["items"].size() == 0) fmt::print("nothing is blocked\n");
      return;
    }
    if (const auto stopped = v["stopped"].text_or(""); !stopped.empty()) fmt::print("STOPPED here: {}\n", stopped);
    for (const net::JsonValue e : v["entries"]) print_entry(e);
    for (const net::JsonValue o : v["overrides"])
      fmt::print("{} {} {} until {}  ({}: {})\n", o["what"].text_or("") == "allow" ? "let through" : "blocked here",
                 o["kind"].text_or(""), o["value"].text_or(""), when(o["until_us"]), o["by"].text_or(""),
                 o["reason"].text_or(""));
    for (const net::JsonValue can : v["can"]) fmt::print("can block here: {:<11} {}\n", can.key(), can.text_or(""));
  });
}

int with_entry(const Asked& a, const std::string& path, std::string body = {}) {
  return said(post(a, path, std::move(body)), a.json, [](net::JsonValue e) {
    print_entry(e);
    print_preview(e);
  });
}

int kill(const Asked& a) {
  const char* verb = a.revive ? "revive" : "kill";
  // A node answers below /api/blocks, a hub below /api/block-switch.
  const auto at_node = get(a, "/api/blocks/lists");
  const std::string reason = "why=" + encoded(a.reason);
  if (at_node) return said(post(a, fmt::format("/api/blocks/{}?{}", verb, reason)), a.json, [](net::JsonValue) {});
  if (a.municipality.empty() && !a.everything) {
    fmt::print(stderr, "say --municipality CODE or --everything\n");
    return kUsage;
  }
  std::string body;
  JsonWriter w(body);
  w.object().member("why", a.reason);
  if (!a.municipality.empty()) w.member("municipality", a.municipality);
  w.end();
  return said(post(a, fmt::format("/api/block-switch/{}", verb), body), a.json, [](net::JsonValue) {});
}

int override_(const Asked& a) {
  if (a.what == "drop")
    return said(post(a, "/api/blocks/overrides/drop?kind=" + encoded(a.kind) + "&value=" + encoded(a.value)), a.json,
                [](net::JsonValue) {});
  std::string body;
  JsonWriter(body)
      .object()
      .member("what", a.what)
      .member("kind", a.kind)
      .member("value", a.value)
      .member("reason", a.reason)
      .member("hours", a.hours)
      .end();
  return said(post(a, "/api/blocks/overrides", body), a.json, [](net::JsonValue) {});
}

int token(const Asked& a) {
  if (a.what == "list")
    return said(get(a, "/api/blocks/tokens"), a.json, [](net::JsonValue all) {
      for (const net::JsonValue t : all)
        fmt::print("{:>4}  {:<28} {:<20} by {} at {}  used {}{}\n", n(t["id"]), t["list"].text_or(""),
                   t["name"].text_or(""), t["made_by"].text_or(""), when(t["made_at_us"]), when(t["used_at_us"]),
                   n(t["revoked_at_us"]) != 0 ? "  revoked" : "");
    });
  if (a.what == "revoke")
    return said(post(a, "/api/blocks/tokens/" + encoded(a.list) + "/revoke"), a.json, [](net::JsonValue) {});
  return said(post(a, "/api/blocks/tokens?list=" + encoded(a.list) + "&device=" + encoded(a.device)), a.json,
              [](net::JsonValue v) {
                fmt::print("{}\n", v["token"].text_or(""));
                fmt::print(stderr,
                           "shown this once: Authorization: Bearer, or the password of HTTP basic authentication\n");
              });
}

/// Written beside and renamed: a program that reads it meanwhile sees the old list or the new one.
int write_whole(const std::string& path, std::string_view text) {
  if (path.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return kDone;
  }
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary);
  file << text;
  file.close();
  if (file && std::rename(part.c_str(), path.c_str()) == 0) return kDone;
  fmt::print(stderr, "{}: could not be written\n", path);
  return kFailed;
}

/// A list of a file of lines "kind,value", without a node: what is never blocked is left out here, too.
int write_list(const Asked& a) {
  const auto never = warn::NeverBlock::open(a.members);
  if (!never) return failed(never.error());
  for (const std::string& m : never->left_out()) fmt::print(stderr, "{}: this is no domain of a member\n", m);
  std::ifstream in(a.file);
  if (!in) {
    fmt::print(stderr, "{}: cannot be read\n", a.file);
    return kFailed;
  }
  warn::exports::List list;
  list.made = system_now();
  list.municipality = "offline";
  list.serial = a.serial;
  list.never = never->names();
  std::size_t line_number = 0, refused = 0;
  for (std::string line; std::getline(in, line);) {
    ++line_number;
    const std::string_view text = trim(line);
    if (text.empty() || text.starts_with('#')) continue;
    const auto comma = text.find(',');
    const auto what = warn::blocks::observable_of(trim(text.substr(0, comma)),
                                                  comma == std::string_view::npos ? "" : trim(text.substr(comma + 1)));
    const auto no = what ? never->check(*what) : std::nullopt;
    if (!what || no) {
      ++refused;
      fmt::print(stderr, "{}:{}: {}\n", a.file, line_number, what ? no->reason : to_string(what.error()));
      continue;
    }
    warn::exports::Entry e;
    e.id = fmt::format("line-{}", line_number);
    e.what = *what;
    e.from = list.made;
    e.until = list.made + std::chrono::hours(a.hours == 0 ? 24 : a.hours);
    list.entries.push_back(std::move(e));
  }
  const auto written = warn::exports::write(a.list, list, {});
  if (!written) return failed(written.error());
  if (const int rc = write_whole(a.out, written->body); rc != kDone) return rc;
  fmt::print(stderr, "{} entries, {} refused, {} left out\n", written->entries, refused, written->left_out_count);
  for (const auto& l : written->left_out) fmt::print(stderr, "left out: {}: {}\n", l.value, l.reason);
  return refused == 0 ? kDone : kPartly;
}

int export_(const Asked& a) {
  if (a.list.empty())
    return said(get(a, "/api/blocks/lists"), a.json, [](net::JsonValue all) {
      for (const net::JsonValue f : all) fmt::print("{:<28} {}\n", f["list"].text_or(""), f["what"].text_or(""));
    });
  const auto text = get(a, "/api/blocks/lists/" + encoded(a.list));
  if (!text) return failed(text.error());
  return write_whole(a.out, *text);
}

}  // namespace

void add_block_commands(CLI::App& app, int& rc) {
  const auto a = std::make_shared<Asked>();
  auto* blocks = app.add_subcommand("blocks", "What is blocked: propose, preview, stop; lists for devices");
  blocks->require_subcommand(1);
  const auto leaf = [&](const char* name, const char* help, bool changes) {
    auto* sub = blocks->add_subcommand(name, help);
    sub->add_option("--data", a->data, "The data folder of the hub or node, which must run")->required();
    if (changes) sub->add_option("--as", a->as, "Your name: it stands in the audit log")->required();
    sub->add_flag("--json", a->json, "JSON on stdout");
    return sub;
  };
  const auto id = [&](CLI::App* sub) { sub->add_option("id", a->id, "The entry's id")->required(); };

  auto* sub = leaf("propose", "Hub: put something on the list; every connected node says what it would have hit", true);
  sub->add_option("kind", a->kind, "url, domain, ip, cidr, email, mail_domain, message_id, hash")->required();
  sub->add_option("value", a->value, "hxxp:// and [.] are understood")->required();
  sub->add_option("--reason", a->reason, "Why; others will read it")->required();
  sub->add_option("--hours", a->hours, "How long; 72 when not given, less where less is allowed");
  sub->add_option("--action", a->action, "watch, warn, hold or block");
  sub->add_option("--campaign", a->campaign, "The campaign it belongs to");
  sub->footer(
      "Example: bavn blocks propose url hxxps://bio[.]link/orbes --reason 'phish, 3 members' --as 'Mette Holm' --data "
      "hub/");
  sub->callback([a, &rc] { rc = propose(*a); });

  sub = leaf("preview", "Hub: what an entry would have hit, and what each municipality can do", false);
  sub->add_option("id", a->id,
                  "The entry's id; or a kind, with a value behind it: only the question, nothing is proposed")
      ->required();
  sub->add_option("value", a->value, "As in propose");
  sub->add_option("--as", a->as, "Your name, for a question: it stands in the audit log");
  sub->add_option("--seconds", a->seconds, "Wait so long for the nodes")->check(CLI::Range(0, 3600));
  sub->callback([a, &rc] { rc = preview(*a); });
  sub = leaf("show", "Hub: an entry with what each municipality said", false);
  id(sub);
  sub->callback([a, &rc] { rc = show(*a); });
  sub = leaf("list", "What is on the list (with --all what has ended, too)", false);
  sub->add_flag("--all", a->all, "What has ended, too");
  sub->callback([a, &rc] { rc = list(*a); });
  sub = leaf("approve", "Hub: the second person's yes, or on to the next stage", true);
  id(sub);
  sub->callback([a, &rc] { rc = with_entry(*a, "/api/blocks/" + encoded(a->id) + "/approve"); });
  sub = leaf("stop", "Hub: withdraw an entry everywhere", true);
  id(sub);
  sub->add_option("--reason", a->reason, "Why")->required();
  sub->callback([a, &rc] {
    std::string body;
    JsonWriter(body).object().member("why", a->reason).end();
    rc = with_entry(*a, "/api/blocks/" + encoded(a->id) + "/stop", body);
  });
  sub = leaf("renew", "Hub: keep an entry longer", true);
  id(sub);
  sub->add_option("--hours", a->hours, "So long from now")->required();
  sub->callback([a, &rc] {
    rc = with_entry(*a, fmt::format("/api/blocks/{}/renew", encoded(a->id)), fmt::format("{{\"hours\":{}}}", a->hours));
  });
  sub = leaf("kill", "Stop all blocking: at a node here, at a hub for one municipality or for everybody", true);
  sub->add_option("--reason", a->reason, "Why")->required();
  sub->add_option("--municipality", a->municipality, "Hub: this one, by its code");
  sub->add_flag("--everything", a->everything, "Hub: everybody");
  sub->add_flag("--revive", a->revive, "End it");
  sub->callback([a, &rc] { rc = kill(*a); });
  sub = leaf("override", "Node: let something through here, block something here, or drop that", true);
  sub->add_option("what", a->what, "allow, deny or drop")->required();
  sub->add_option("kind", a->kind, "As in propose")->required();
  sub->add_option("value", a->value, "As in propose")->required();
  sub->add_option("--reason", a->reason, "Why");
  sub->add_option("--hours", a->hours, "How long");
  sub->callback([a, &rc] { rc = override_(*a); });
  sub = leaf("token", "Node: the token with which a device reads one list", false);
  sub->add_option("--as", a->as, "Your name, to issue or revoke: it stands in the audit log");
  sub->add_option("what", a->what, "issue, list or revoke")
      ->required()
      ->check(CLI::IsMember({"issue", "list", "revoke"}));
  sub->add_option("list", a->list, "The list's name, or the token's number");
  sub->add_option("--device", a->device, "Who reads it");
  sub->callback([a, &rc] { rc = token(*a); });
  sub = leaf("export", "Node: a list as devices read it; without a name: which lists there are", false);
  sub->add_option("list", a->list, "The list's name: rpz.zone, plain.urls, ...");
  sub->add_option("--out", a->out, "Write it there instead of stdout, whole or not at all");
  sub->callback([a, &rc] { rc = export_(*a); });

  sub = blocks->add_subcommand(
      "write", "A list of a file of lines 'kind,value', without a node; what is never blocked is refused");
  sub->add_option("list", a->list, "The list's name, as in export")->required();
  sub->add_option("file", a->file, "Lines: domain,evil.example")->required();
  sub->add_option("--member", a->members, "A domain of a member, never blocked (repeatable)")->allow_extra_args(false);
  sub->add_option("--hours", a->hours, "How long it holds; 24 when not given")->check(CLI::Range(1, 720));
  sub->add_option("--serial", a->serial,
                  "The list's number, for servers that only take what has a higher one; 1 when not given");
  sub->add_option("--out", a->out, "Write it there instead of stdout, whole or not at all");
  sub->callback([a, &rc] { rc = write_list(*a); });
}

}  // namespace bavn::app
