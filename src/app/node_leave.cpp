// Leaving: what the municipality takes along is written and hashed, the hub is told, everything here is erased, and a statement signed
// with the node's own key says what was there. The proof proves what this program did; it cannot prove what a disk forgot.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/node_process.hpp"
#include "app/node_setup.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "beacon/left_us.hpp"
#include "input/sources/microsoft365/consent.hpp"
#include "input/sources/microsoft365/microsoft365.hpp"

namespace bavn::app {

namespace {

namespace fs = std::filesystem;
namespace m365 = input::microsoft365;
using namespace std::chrono_literals;

struct Item {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;
};

Result<std::vector<Item>> items_below(const std::string& folder) {
  std::vector<Item> out;
  DiskFiles files;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator();
       it.increment(ec)) {
    if (!it->is_regular_file(ec) || it->is_symlink(ec)) continue;
    Item item{.path = fs::relative(it->path(), folder, ec).string(), .bytes = it->file_size(ec), .sha256 = {}};
    if (item.bytes > 0) {
      BAVN_TRY(const auto mapped, files.map(it->path().string()));
      item.sha256 = to_hex(sha256(mapped->bytes()));
    } else {
      item.sha256 = to_hex(sha256(""));
    }
    out.push_back(std::move(item));
  }
  if (ec) return fail(Code::unavailable, ec.message(), folder);
  std::sort(out.begin(), out.end(), [](const Item& a, const Item& b) { return a.path < b.path; });
  return out;
}

void write_items(JsonWriter& w, std::string_view name, const std::vector<Item>& items) {
  w.key(name).array();
  for (const auto& i : items)
    w.object().member("path", i.path).member("bytes", i.bytes).member("sha256", i.sha256).end();
  w.end();
}

std::string file_name(std::string_view source) {
  std::string out;
  for (const char c : source)
    out +=
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'
            ? c
            : '_';
  return out + ".log";
}

/// The raw records, a file for each source, as they came.
Result<std::uint64_t> export_history(const std::string& data, const std::string& to) {
  if (!fs::exists(data + "/history")) return 0;
  BAVN_TRY(const auto folder, open_data(data, {}, false));
  std::uint64_t records = 0;
  std::map<std::string, std::ofstream> outs;
  bool written = true;
  BAVN_CHECK(folder->history->for_each_frame(event::Scope::local_owner(), {}, {},
                                             [&](const history::FrameInfo& info, const history::FrameText& text) {
                                               const auto name = file_name(info.source.name);
                                               auto [out, fresh] = outs.try_emplace(name);
                                               if (fresh) out->second.open(to + "/" + name, std::ios::binary);
                                               out->second << text.lines() << '\n';
                                               records += info.count;
                                               return written = out->second.good();
                                             }));
  for (auto& [name, out] : outs) {
    out.flush();
    written &= out.good();
  }
  if (!written) return fail(Code::unavailable, "cannot write the export: is the disk full?", to);
  return records;
}

/// The hub is told while the certificate still holds. Returns whether it said that it has the words.
bool tell_hub(Runtime& runtime, const std::string& data) {
  Metrics metrics;
  NodeRun run;
  run.folder = data;
  auto node = NodeProcess::open(runtime, metrics, run);
  if (!node) {
    fmt::print(stderr, "bavn: the hub could not be told: {}\n", to_string(node.error()));
    return false;
  }
  auto* beacon = (*node)->core().beacon();
  const auto who = (*node)->enrolment().identity();
  if (beacon == nullptr || !who || who->municipalities.empty()) return false;
  const auto told = (*node)->core().state().write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.audit({.who = "owner", .action = "node.leave", .subject = who->name, .detail = "{}"}));
    return beacon->report(
        tx, "notice",
        R"({"notice":"leaving","text":"This municipality leaves. Revoke its certificates: bavn hub node revoke."})",
        who->municipalities.front(), event::Tlp::amber);
  });
  if (!told) return false;
  for (int i = 0; i < 150; ++i) {
    if (const auto items = beacon->left_us().items(event::Scope::local_owner()))
      for (const auto& item : *items)
        if (item.kind == "notice" && item.text.contains("\"leaving\"") && item.acknowledged_us) return true;
    std::this_thread::sleep_for(100ms);
  }
  return false;
}

}  // namespace

int node_leave(const LeaveCommand& c) {
  DiskFiles files;
  std::error_code ec;
  if (!fs::is_directory(c.data, ec)) return failed({Code::not_found, "there is no such folder", c.data});
  if (fs::exists(c.to, ec))
    return failed({Code::conflict, "the export folder exists already; name one that does not", c.to});
  if (fs::weakly_canonical(c.to, ec).string().starts_with(fs::weakly_canonical(c.data, ec).string() + "/"))
    return failed({Code::bad_input, "the export must not lie in the folder that is erased", c.to});
  if (const auto pid = Folder(c.data).holder())
    return failed({Code::conflict, fmt::format("the node runs (process {}); stop it first", *pid), c.data});
  if (!c.yes) {
    fmt::print("Everything in {} will be exported to {} and then erased. Type the word leave: ", c.data, c.to);
    std::fflush(stdout);
    std::string word;
    std::getline(std::cin, word);
    if (word != "leave") {
      fmt::print("Nothing was done.\n");
      return kFailed;
    }
  }
  if (const auto made = files.make_dirs(c.to); !made) return failed(made.error());

  std::string node_name, removal;
  std::vector<MunicipalityId> municipalities;
  std::optional<PublicKey> key;
  std::string payload;
  bool hub_told = false;
  std::uint64_t records = 0;
  const auto done = [&]() -> Result<void> {
    Threads runtime;
    if (files.exists(c.data + "/keys/enrolment.json")) hub_told = tell_hub(runtime, c.data);
    const auto client = net::curl_client(runtime, {});
    BAVN_TRY(const auto enrolment,
             tenants::Enrolment::open(runtime, *client, runtime.queue({.name = "identity"}), c.data + "/keys"));
    if (const auto who = enrolment->identity()) {
      node_name = who->name;
      municipalities = who->municipalities;
    }
    BAVN_TRY(records, export_history(c.data, c.to));
    if (files.exists(c.data + "/state.db")) {
      BAVN_TRY(const auto state,
               store::State::open(runtime, {.path = c.data + "/state.db", .schema = {"core", "node"}}));
      BAVN_CHECK(state->backup(c.to + "/state.db"));
      std::ofstream left(c.to + "/left_us.ndjson", std::ios::binary);
      BAVN_CHECK(beacon::LeftUs(*state).export_ndjson(event::Scope::local_owner(), {}, runtime.now() + 1h,
                                                      [&](std::string_view line) -> Result<void> {
                                                        left << line;
                                                        return {};
                                                      }));
      left.flush();
      if (!left.good()) return fail(Code::unavailable, "cannot write the export: is the disk full?", c.to);
      BAVN_TRY(const auto accounts, m365::stored_accounts(*state, files, c.data));
      for (const auto& account : accounts) {
        BAVN_TRY(removal, m365::removal_script(account.account.tenant, account.account.client, node_name));
        BAVN_CHECK(replace_file(
            files, c.to + "/microsoft365_remove" + (account.label.empty() ? "" : "_" + account.label) + ".ps1",
            removal));
        if (c.consent.empty()) continue;
        net::EgressPolicy policy;
        policy.ports = {};
        if (c.consent.starts_with("http://")) {
          auto host = c.consent.substr(7);
          host = host.substr(0, host.find_first_of(":/"));
          policy.inside.push_back(host);
        }
        const auto shell = net::curl_client(runtime, std::move(policy));
        BAVN_TRY(const auto reply,
                 call(runtime, *shell,
                      {.method = net::Method::post, .url = c.consent, .headers = {}, .body = removal, .tls = {}}));
        if (reply.status != 200)
          return fail(Code::unavailable, fmt::format("the removal script ended with {}", reply.status), c.consent);
      }
    }
    BAVN_TRY(const auto exported, items_below(c.to));
    BAVN_TRY(const auto erased, items_below(c.data));
    JsonWriter w(payload);
    w.object()
        .member("statement", "This node exported and erased its data.")
        .member("node", node_name)
        .key("municipalities")
        .array();
    for (const auto m : municipalities) w.value(std::uint64_t{m.value});
    w.end().member("at", format_time(runtime.now())).member("records_exported", records).member("hub_told", hub_told);
    write_items(w, "exported", exported);
    write_items(w, "erased", erased);
    w.end();
    key = enrolment->sign_key().public_key();
    std::string proof;
    JsonWriter(proof)
        .object()
        .member("payload", payload)
        .member("key", key->text())
        .member("signature", to_base64url(enrolment->sign_key().sign("bavn leave 1", payload)))
        .end();
    return replace_file(files, c.to + "/proof.json", proof + "\n");
  }();
  if (!done) {
    fmt::print(stderr, "bavn: nothing was erased\n");
    return failed(done.error());
  }

  // Keys first: without them the history cannot be read, whatever a disk keeps.
  for (const char* first : {"keys", "m365", "history/keys"}) fs::remove_all(fs::path(c.data) / first, ec);
  fs::remove_all(c.data, ec);
  if (ec || fs::exists(c.data))
    return failed({Code::unavailable, "not everything could be erased: " + ec.message(), c.data});
  if (c.json) {
    fmt::print("{}\n", payload);
  } else {
    fmt::print(
        "Exported: {} records, tables and what left, in {}\nThe hub {}\nErased: {}\nProof: {}/proof.json, signed with "
        "{}\n",
        records, c.to,
        hub_told ? "has the word that this municipality leaves."
                 : "was not reached: call the CERT, it revokes the certificate.",
        c.data, c.to, key->text());
    if (!removal.empty() && c.consent.empty())
      fmt::print("Last: run {}/microsoft365_remove.ps1 in Azure Cloud Shell; it takes the rights back.\n", c.to);
  }
  return kDone;
}

}  // namespace bavn::app
