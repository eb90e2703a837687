// `bavn hub ...`: the hub itself, and what its owner asks of one that runs.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "app/answers.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/hub_process.hpp"
#include "app/node_process.hpp"
#include "app/process.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

int run_guests(const std::string& folder) {
  StopOnSignal stop;
  Threads runtime;
  Guests::Options o;
  o.folder = folder + "/guests";
  o.program = program_path();
  std::filesystem::create_directories(o.folder);
  Guests guests(runtime, o);
  guests.start();
  tell_systemd("READY=1");
  while (!stop.token().stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  return kDone;  // the guests live on: the next supervisor finds them
}

int list_guests(const std::string& folder, bool json) {
  for (const Guest& g : Guests::look(folder + "/guests")) {
    if (json)
      fmt::print(
          "{{\"municipality\":\"{}\",\"state\":\"{}\",\"pid\":{},\"user\":\"{}\",\"private_mb\":{:.1f},\"shared_mb\":{:"
          ".1f}}}\n",
          g.code, to_string(g.state), g.pid, g.user, g.private_mb, g.shared_mb);
    else
      fmt::print("{}  {:<9} {:>8}  {:>6.0f} MB of its own, {:>6.0f} MB shared{}\n", g.code, to_string(g.state), g.pid,
                 g.private_mb, g.shared_mb, g.user.empty() ? "" : "  as " + g.user);
  }
  return kDone;
}

std::string invitation(const std::vector<std::string>& municipalities, std::string_view form, std::string_view by) {
  std::string body;
  JsonWriter w(body);
  w.object().key("municipalities").array();
  for (const std::string& m : municipalities) w.value(m);
  w.end().member("form", form);
  if (!by.empty()) w.member("operator", by);
  w.end();
  return body;
}

/// "0157 Gentofte, 0173 Lyngby-Taarbæk".
std::string towns(net::JsonValue all) {
  std::string out;
  for (const net::JsonValue m : all)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", m["code"].text_or(""), m["name"].text_or(""));
  return out;
}

/// A guest: folder, code, enrolment. The hub must run.
int add_guest(const HubCommand& c) {
  const Folder folder(c.data);
  for (const std::string& which : c.words) {
    const auto invited =
        call_control(folder, net::Method::post, "/api/nodes/invitations", invitation({which}, "guest", ""));
    if (!invited) return failed(invited.error());
    const auto document = net::JsonDocument::parse(*invited);
    if (!document) return failed(document.error());
    const std::string who = towns(document->root()["municipalities"]);
    const std::string number(document->root()["municipalities"].at(0)["code"].text_or(""));
    auto path = Guests::add(folder.at("guests"), number);
    if (!path) return failed(path.error());
    Threads runtime;
    const auto done = enrol(runtime, *path, std::string(document->root()["code"].text_or("")), "guest " + number);
    if (!done) return failed(done.error());
    if (geteuid() == 0 && c.own_user) {
      // Guests are other users: they may pass through, and see nothing on the way.
      std::filesystem::permissions(c.data, std::filesystem::perms(0711));
      std::filesystem::permissions(folder.at("guests"), std::filesystem::perms(0711));
      if (const auto user = make_guest_user("bavn-" + number, *path); !user) return failed(user.error());
    }
    if (c.json) fmt::print("{{\"municipality\":\"{}\",\"folder\":\"{}\"}}\n", number, *path);
    else fmt::print("guest {} is there: {}\n", who, *path);
  }
  return kDone;
}

int guests(const HubCommand& c) {
  const std::string folder = c.data + "/guests";
  if (c.action == "guests run") return run_guests(c.data);
  if (c.action == "guests list") return list_guests(c.data, c.json);
  if (c.action == "guests add") return add_guest(c);
  if (c.action == "guests upgrade") {
    const auto done = Guests::restart_all(folder);
    if (!done) return failed(done.error());
    fmt::print("every guest is started again, one after the other; `bavn hub guests list` shows it\n");
    return kDone;
  }
  for (const std::string& code : c.words)
    if (const auto done = Guests::set_stopped(folder, code, c.action == "guests stop"); !done)
      return failed(done.error());
  return kDone;
}

int run_hub(const HubCommand& c) {
  StopOnSignal stop;
  Threads runtime;
  Metrics metrics;
  auto hub = HubProcess::open(
      runtime, metrics, c.data, c.with_guests,
      {fmt::format("bavn hub status --data {}", c.data), fmt::format("bavn hub test-beacon --data {}", c.data),
       fmt::format("bavn hub guests list --data {}", c.data)});
  if (!hub) return failed(hub.error());
  tell_systemd("READY=1");
  fmt::print("hub: nodes reach it at {}; status page {}\n", (*hub)->nodes_address(), (*hub)->status_link());
  if (const auto* site = (*hub)->site()) fmt::print("hub: web address {}\n", site->url());
  if (!(*hub)->first_link().empty())
    fmt::print("hub: nobody administers people here yet; the first one opens {}\n", (*hub)->first_link());
  std::fflush(stdout);
  while (!stop.token().stop_requested()) {
    (*hub)->alive();
    tell_systemd("WATCHDOG=1");
    for (unsigned n = 0; n < 10 && !stop.token().stop_requested(); ++n)
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  tell_systemd("STOPPING=1");
  return kDone;
}

void tell_status(net::JsonValue v) {
  fmt::print("{}, running since {}\n", v["title"].text_or("?"), v["since"].text_or("?"));
  for (const net::JsonValue f : v["figures"]) fmt::print("  {:<22}{}\n", f.key(), f.text_or(""));
  for (const net::JsonValue t : v["trouble"]) fmt::print("  ! {}\n", t.text_or(""));
  for (const net::JsonValue m : v["municipalities"]) {
    fmt::print("  {} {:<24}{:<11}{:>4} open alerts", m["code"].text_or("?"), m["name"].text_or("?"),
               m["state"].text_or("?"), m["open_alerts"].integer().value_or(0));
    if (const auto mb = m["private_mb"].number()) fmt::print("  {:.0f} MB", *mb);
    fmt::print("\n");
  }
}

/// Waits for answers until `seconds` went by or everybody who is connected answered.
int test_beacon(const HubCommand& c) {
  const Folder folder(c.data);
  std::string body;
  JsonWriter w(body);
  w.object();
  if (!c.words.empty()) w.member("municipality", c.words.front());
  if (!c.observable.empty()) w.member("observable", c.observable);
  w.end();
  const auto lit = call_control(folder, net::Method::post, "/api/test-beacons", body);
  if (!lit) return failed(lit.error());
  const auto document = net::JsonDocument::parse(*lit);
  const std::string id(document ? document->root()["id"].text_or("") : "");
  const auto status = call_control(folder, net::Method::get, "/status.json");
  std::size_t expected = 0;
  if (const auto s = status ? net::JsonDocument::parse(*status) : fail(Code::unavailable, ""); s)
    for (const net::JsonValue m : s->root()["municipalities"])
      expected +=
          m["state"].text_or("") == "connected" && (c.words.empty() || m["code"].text_or("") == c.words.front() ||
                                                    m["name"].text_or("") == c.words.front())
              ? 1
              : 0;
  Result<std::string> got = fail(Code::unavailable, "nobody answered");
  for (unsigned n = 0; n < c.seconds * 10; ++n) {
    got = call_control(folder, net::Method::get, "/api/test-beacons/" + id);
    if (!got) return failed(got.error());
    const auto answers = net::JsonDocument::parse(*got);
    if (answers && expected > 0 && answers->root()["answers"].size() >= expected) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return said(got, c.json, [&](net::JsonValue v) {
    const auto us = [](net::JsonValue t) { return micros(parse_time(t.text_or("")).value_or(Instant{})); };
    const std::int64_t sent = us(v["sent_at"]);
    for (const net::JsonValue a : v["answers"]) {
      fmt::print("  {} answered after {:.0f} ms", a["municipality"]["code"].text_or(""),
                 static_cast<double>(us(a["applied_at"]) - sent) / 1000);
      if (const auto hits = a["hits"].integer()) fmt::print(", {} hits", *hits);
      fmt::print("\n");
    }
    fmt::print("{} of {} connected answered\n", v["answers"].size(), expected);
  });
}

/// Sends it and waits for the node's word: it alone judges the order.
int publish_order(const HubCommand& c) {
  DiskFiles files;
  const Folder folder(c.data);
  const auto text = read_file(files, c.words.front(), 256U << 10U);
  if (!text) return failed(text.error());
  const auto sent = call_control(folder, net::Method::post, "/api/orders", *text);
  if (!sent) return failed(sent.error());
  const auto document = net::JsonDocument::parse(*sent);
  if (!document) return failed(document.error());
  const std::string path = "/api/orders/" + net::percent_encoded(document->root()["id"].text_or(""));
  for (unsigned n = 0; n < c.seconds * 10; ++n) {
    const auto got = call_control(folder, net::Method::get, path);
    if (!got) return failed(got.error());
    const auto answers = net::JsonDocument::parse(*got);
    if (!answers) return failed(answers.error());
    if (answers->root()["answers"].size() > 0) {
      bool done = false;
      for (const net::JsonValue a : answers->root()["answers"]) {
        done = done || a["outcome"].text_or("") == "done";
        if (!c.json) fmt::print("{}: {}: {}\n", a["node"].text_or(""), a["outcome"].text_or(""), a["text"].text_or(""));
      }
      if (c.json) fmt::print("{}\n", *got);
      return done ? kDone : kFailed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return failed(Error{
      Code::unavailable,
      fmt::format("the order is sent; its node did not answer within {} s and gets it when it is there", c.seconds),
      ""});
}

int publish(const HubCommand& c) {
  if (c.action == "publish order") return publish_order(c);
  DiskFiles files;
  for (const std::string& path : c.words) {
    const auto bytes = read_file(files, path, 512U << 20U);
    if (!bytes) return unreadable(bytes.error());
    const std::string name = std::filesystem::path(path).filename().string();
    if (c.action == "publish rules") {
      const auto done = call_control(
          Folder(c.data), net::Method::post,
          "/api/content/rules/" + net::percent_encoded(std::filesystem::path(path).stem().string()), *bytes);
      if (!done) return failed(done.error());
      fmt::print("published {}\n", name);
      continue;
    }
    std::string query = "/api/indicators/lists?name=" + net::percent_encoded(name);
    if (!c.source.empty()) query += "&source=" + net::percent_encoded(c.source);
    if (!c.indicator_action.empty()) query += "&action=" + net::percent_encoded(c.indicator_action);
    const int code =
        said(call_control(Folder(c.data), net::Method::post, query, *bytes), c.json, [&](net::JsonValue v) {
          fmt::print("{}: {} indicators published\n", name, v["indicators"].integer().value_or(0));
          for (const char* list : {"refused", "never_blocked"})
            for (const net::JsonValue r : v[list])
              fmt::print("  refused {}: {} (first: {})\n", r["count"].integer().value_or(0), r["reason"].text_or(""),
                         r["first"].text_or(""));
        });
    if (code != kDone) return code;
  }
  return kDone;
}

}  // namespace

int hub_command(const HubCommand& c) {
  const Folder folder(c.data);
  if (c.action == "run") return run_hub(c);
  if (c.action.starts_with("guests")) return guests(c);
  if (c.action.starts_with("publish")) return publish(c);
  if (c.action == "test-beacon") return test_beacon(c);
  if (c.action == "init") {
    Threads runtime;
    const auto root = HubProcess::init(runtime, c.data, {c.name, c.hosts, c.address, c.port});
    if (!root) return failed(root.error());
    fmt::print(
        "hub made in {}\n\nThe root key is {}.\nIt certifies the hub's own key; nodes trust nothing else. Move it now "
        "to a safe place away from this "
        "machine: it is needed\nonly when the hub's key is replaced.\n\nNext: bavn hub --data {}\n",
        c.data, *root, c.data);
    return kDone;
  }
  if (c.action == "rotate-key") {
    const auto held = folder.hold(false);
    if (!held) return failed(held.error());
    Threads runtime;
    const auto done = tenants::Trust::rotate_hub_key(runtime, folder.at("trust"), c.words.front());
    if (!done) return failed(done.error());
    fmt::print("the hub has a new key; nodes follow by themselves when it runs again. Take the root key away now\n");
    return kDone;
  }
  if (c.action == "status") return said(call_control(folder, net::Method::get, "/status.json"), c.json, tell_status);
  if (c.action == "link") {
    const auto control = folder.control();
    if (!control) return failed(control.error());
    fmt::print("{}/open?key={}\n", control->url, control->key);
    return kDone;
  }
  if (c.action == "municipality add") {
    return said(call_control(folder, net::Method::post, "/api/nodes/invitations", invitation(c.words, c.form, c.by)),
                c.json, [](net::JsonValue v) {
                  fmt::print(
                      "{}: node {}\nEnrolment code, for one use until {}; hand it over by a way you trust:\n\n  {}\n",
                      towns(v["municipalities"]), v["node"].text_or(""), v["expires_at"].text_or(""),
                      v["code"].text_or(""));
                });
  }
  if (c.action == "municipality list")
    return said(call_control(folder, net::Method::get, "/api/municipalities?members=true&limit=500"), c.json,
                [](net::JsonValue v) {
                  for (const net::JsonValue m : v["items"]) {
                    std::string domains;
                    for (const net::JsonValue d : m["domains"]) domains += fmt::format(" {}", d.text_or(""));
                    fmt::print("{} {:<22}{}{}\n", m["code"].text_or(""), m["name"].text_or(""), domains,
                               m["may_be_named"].boolean().value_or(true) ? "" : "  (not to be named)");
                  }
                });
  if (c.action == "municipality domains") {
    std::string body;
    JsonWriter w(body);
    w.object().member("may_be_named", !c.not_named).key("domains").array();
    for (std::size_t i = 1; i < c.words.size(); ++i) w.value(c.words[i]);
    w.end().end();
    const auto done =
        call_control(folder, net::Method::put,
                     fmt::format("/api/municipalities/{}/domains", net::percent_encoded(c.words.front())), body);
    if (!done) return failed(done.error());
    fmt::print("{} mail domains of {} are known; every node is told\n", c.words.size() - 1, c.words.front());
    return kDone;
  }
  if (c.action == "node list")
    return said(call_control(folder, net::Method::get, "/api/nodes?limit=500"), c.json, [](net::JsonValue v) {
      for (const net::JsonValue n : v["items"])
        fmt::print("{:<28}{:<9}{:<10}{}\n", n["id"].text_or(""), n["form"].text_or(""), n["state"].text_or(""),
                   n["certificate_until"].text_or(""));
    });
  if (c.action == "node code")
    return said(
        call_control(folder, net::Method::post, "/api/nodes/" + net::percent_encoded(c.words.front()) + "/code"),
        c.json, [](net::JsonValue v) {
          fmt::print("Enrolment code, for one use until {}:\n\n  {}\n", v["expires_at"].text_or(""),
                     v["code"].text_or(""));
        });
  if (c.action == "node revoke") {
    std::string body;
    JsonWriter(body).object().member("why", c.why).end();
    const auto done = call_control(folder, net::Method::post,
                                   fmt::format("/api/nodes/{}/revoke", net::percent_encoded(c.words.front())), body);
    if (!done) return failed(done.error());
    fmt::print("revoked; its connections were cut\n");
    return kDone;
  }
  if (c.action == "settings") {
    const auto table = hub_settings();
    fmt::print("{}", Settings::defaults(table).explain());
    return kDone;
  }
  return kUsage;
}

}  // namespace bavn::app
