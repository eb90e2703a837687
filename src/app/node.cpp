// `bavn node ...` and `bavn serve`: a node, and hub and node in one process.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/hub_process.hpp"
#include "app/node_process.hpp"
#include "app/process.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"

namespace bavn::app {

namespace {

std::string this_machine() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "node";
}

NodeRun run_of(const NodeCommand& c) {
  NodeRun run;
  run.folder = c.data;
  run.guest = c.guest;
  run.shared_bases = c.shared_bases;
  run.rules = c.rules;
  if (c.guest) run.shared_bases.push_back(c.data + "/../shared");  // of the hub whose guest it is
  run.try_commands = {fmt::format("bavn alerts list --data {}", c.data),
                      fmt::format("bavn node status --data {}", c.data),
                      fmt::format("bavn node left --data {}", c.data)};
  return run;
}

int run_node(const NodeCommand& c) {
  if (!c.user.empty())
    if (const auto done = become(c.user); !done) return failed(done.error());
  StopOnSignal stop;
  Threads runtime;
  Metrics metrics;
  auto node = NodeProcess::open(runtime, metrics, run_of(c));
  if (!node) return failed(node.error());
  tell_systemd("READY=1");
  fmt::print("node: status page {}\n", (*node)->status_link());
  if (const auto* site = (*node)->site()) fmt::print("node: web address {}\n", site->url());
  if (!(*node)->first_link().empty())
    fmt::print("node: nobody administers people here yet; the first one opens {}\n", (*node)->first_link());
  std::fflush(stdout);
  // With --stdin the end of the stream is the end of the node, and the exit code the acknowledgement.
  using Totals = Result<input::sources::stdin_stream::StreamTotals>;
  const auto ended = std::make_shared<Guarded<std::optional<Totals>>>();
  if (!c.stdin_name.empty())
    (*node)->read_stdin(c.stdin_name, c.format,
                        [ended](Totals totals) { ended->with([&](auto& e) { e = std::move(totals); }); });
  while (!stop.token().stop_requested()) {
    if (const auto totals = ended->with([](const auto& e) { return e; })) {
      if (!*totals) return failed(totals->error());
      fmt::print("{} records on disk, {} there before, {} refused{}\n", (*totals)->accepted, (*totals)->duplicates,
                 (*totals)->refused,
                 (*totals)->first_refused.empty() ? "" : " (first: " + (*totals)->first_refused + ")");
      return (*totals)->refused == 0 ? kDone : kPartly;
    }
    (*node)->alive();
    tell_systemd("WATCHDOG=1");
    for (unsigned n = 0; n < 10 && !stop.token().stop_requested(); ++n)
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  tell_systemd("STOPPING=1");
  return kDone;
}

}  // namespace

int node_command(const NodeCommand& c) {
  const Folder folder(c.data);
  if (c.action == "run") return run_node(c);
  if (c.action == "enrol") {
    Threads runtime;
    if (c.again)
      if (const auto done = forget_enrolment(c.data); !done) return failed(done.error());
    const auto done = enrol(runtime, c.data, c.words.front(), c.name.empty() ? this_machine() : c.name);
    if (!done) return failed(done.error());
    fmt::print("enrolled: {}\nNext: bavn node --data {}\n", *done, c.data);
    return kDone;
  }
  if (c.action == "status") {
    const auto got = call_control(folder, net::Method::get, "/status.json");
    if (!got) return failed(got.error());
    if (c.json) {
      fmt::print("{}", *got);
      return kDone;
    }
    const auto document = net::JsonDocument::parse(*got);
    if (!document) return failed(document.error());
    const net::JsonValue v = document->root();
    fmt::print("{}\n", v["title"].text_or("?"));
    for (const net::JsonValue f : v["figures"]) fmt::print("  {:<22}{}\n", f.key(), f.text_or(""));
    for (const net::JsonValue t : v["trouble"]) fmt::print("  ! {}\n", t.text_or(""));
    for (const net::JsonValue b : v["blind"]) fmt::print("  not seen here: {}\n", b["name"].text_or(""));
    for (const net::JsonValue m : v["municipalities"]) {
      fmt::print("  {}, {} open alerts\n", m["state"].text_or(""), m["open_alerts"].integer().value_or(0));
      for (const net::JsonValue s : m["sources"]) {
        fmt::print("    {:<28}{:<10}{:>10} records", s["name"].text_or(""), s["state"].text_or(""),
                   s["records"].integer().value_or(0));
        if (const auto lag = s["lag_seconds"].integer()) fmt::print(", {} late", plain_duration(*lag));
        else if (const auto age = s["newest_age_seconds"].integer())
          fmt::print(", newest {} old", plain_duration(*age));
        if (const auto refused = s["refused"].integer().value_or(0); refused > 0) fmt::print(", {} refused", refused);
        if (const auto text = s["text"].text(); text && !text->empty()) fmt::print("\n      {}", *text);
        fmt::print("\n");
      }
    }
    return kDone;
  }
  if (c.action == "left" || c.action == "inbox") {
    const auto got = call_control(folder, net::Method::get, "/api/" + c.action);
    if (!got) return failed(got.error());
    fmt::print("{}{}", *got, got->ends_with('\n') || got->empty() ? "" : "\n");
    return kDone;
  }
  if (c.action == "token") {
    std::string body;
    JsonWriter w(body);
    w.object().member("source", c.words.front());
    if (!c.format.empty()) w.member("format", c.format);
    w.end();
    const auto got = call_control(folder, net::Method::post, "/api/intake-tokens", body);
    if (!got) return failed(got.error());
    const auto document = net::JsonDocument::parse(*got);
    const std::string token(document ? document->root()["token"].text_or("") : "");
    if (c.json) fmt::print("{}\n", *got);
    else
      fmt::print("{}\nIt is shown this once. A shipper sends it as: Authorization: Bearer {}\n", token,
                 token.substr(0, 12) + "...");
    return kDone;
  }
  if (c.action == "tokens") {
    const auto got = call_control(folder, net::Method::get, "/api/intake-tokens");
    if (!got) return failed(got.error());
    const auto document = net::JsonDocument::parse(*got);
    if (!document) return failed(document.error());
    if (c.json) fmt::print("{}\n", document->root()["items"].to_text());
    else
      for (const net::JsonValue t : document->root()["items"])
        fmt::print("{:>5}  {:<28}{:<16}{}\n", t["id"].text_or(""), t["source"].text_or(""), t["format"].text_or(""),
                   t["revoked_at"].text() ? fmt::format("revoked {}", t["revoked_at"].text_or(""))
                                          : fmt::format("since {}", t["made_at"].text_or("")));
    return kDone;
  }
  if (c.action == "token-revoke" || c.action == "settle-fork") {
    const bool fork = c.action == "settle-fork";
    const auto done = fork ? call_control(folder, net::Method::post, "/api/fork/settle")
                           : call_control(folder, net::Method::del, "/api/intake-tokens/" + c.words.front());
    if (!done) return failed(done.error());
    fmt::print("{}\n", fork ? "this node believes its hub again from here on" : "revoked");
    return kDone;
  }
  if (c.action == "link") {
    const auto control = folder.control();
    if (!control) return failed(control.error());
    fmt::print("{}/open?key={}\n", control->url, control->key);
    return kDone;
  }
  if (c.action == "settings") {
    const auto table = node_settings();
    fmt::print("{}", Settings::defaults(table).explain());
    return kDone;
  }
  return kUsage;
}

int serve(const ServeCommand& c) {
  StopOnSignal stop;
  Threads runtime;
  Metrics metrics;
  const std::string hub_folder = c.data + "/hub", node_folder = c.data + "/node";
  if (!DiskFiles().exists(hub_folder + "/settings.toml")) {
    const auto root = HubProcess::init(runtime, hub_folder, {"this machine", {"127.0.0.1"}, "127.0.0.1", c.port});
    if (!root) return failed(root.error());
  }
  auto hub =
      HubProcess::open(runtime, metrics, hub_folder, false, {fmt::format("bavn alerts list --data {}", node_folder)});
  if (!hub) return failed(hub.error());
  if (!DiskFiles().exists(node_folder + "/keys/enrolment.json")) {
    const auto invited = (*hub)->core().invite(event::Scope::local_owner(), {c.municipality}, "package", "");
    if (!invited) return failed(invited.error());
    const auto done = enrol(runtime, node_folder, invited->code, this_machine());
    if (!done) return failed(done.error());
  }
  NodeCommand n;
  n.data = node_folder;
  n.shared_bases = {hub_folder + "/guests/shared"};
  auto node = NodeProcess::open(runtime, metrics, run_of(n));
  if (!node) return failed(node.error());
  tell_systemd("READY=1");
  fmt::print("hub: {}\nnode: {}\n", (*hub)->status_link(), (*node)->status_link());
  std::fflush(stdout);
  while (!stop.token().stop_requested()) {
    (*hub)->alive();
    (*node)->alive();
    tell_systemd("WATCHDOG=1");
    for (unsigned i = 0; i < 10 && !stop.token().stop_requested(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return kDone;
}

}  // namespace bavn::app
