#include "exchange/misp/outward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/json_writer.hpp"
#include "exchange/misp/render.hpp"
#include "exchange/misp/types.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::misp {

namespace mi = match::indicators;

namespace {

constexpr std::uint64_t kLargestManifest = 256U << 20U;

std::string seconds(Instant t) {
  return std::to_string(micros(t) / 1'000'000);
}

/// Of an attribute, as a feed lists it: parts of a composite value each for itself.
void add_hashes(net::JsonValue event, std::string_view uuid, std::set<std::string>& out) {
  for (const net::JsonValue a : event["Attribute"])
    out.insert(fmt::format("{},{}\n", md5_hex(a["value"].text_or({})), uuid));
}

}  // namespace

std::string_view type_for(const mi::Indicator& i) {
  using event::Kind;
  switch (i.kind) {
    case Kind::domain:
    case Kind::mail_domain: return "domain";
    case Kind::url: return "url";
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr: return "ip-dst";
    case Kind::md5: return "md5";
    case Kind::sha1: return "sha1";
    case Kind::sha256: return "sha256";
    case Kind::email: return "email-src";
    case Kind::message_id: return "email-message-id";
    case Kind::subject: return "email-subject";
    case Kind::file_name: return "filename";
    case Kind::user_agent: return "user-agent";
    case Kind::asn: return "AS";
    case Kind::ja3: return "ja3-fingerprint-md5";
    case Kind::bank_account: return "iban";
    case Kind::phone: return "phone-number";
    case Kind::app_id: return "mobile-application-id";
    case Kind::account: return "text";  // of all types none is an account's name
  }
  return "stix2-pattern";
}

std::string value_for(const mi::Indicator& i) {
  return i.kind == event::Kind::url && i.value.find("://") == std::string::npos ? "http://" + i.value : i.value;
}

std::vector<OutwardEvent> outward_events(std::span<const Known* const> all) {
  std::map<std::tuple<std::string, std::string, event::Tlp, std::vector<std::string>>, OutwardEvent> groups;
  for (const Known* k : all) {
    std::string day = format_time(k->changed).substr(0, 10);
    OutwardEvent& e = groups[{k->indicator.source, day, k->indicator.tlp, k->sectors}];
    if (e.list.empty()) e = {k->indicator.source, std::move(day), k->indicator.tlp, k->sectors, {}, k->changed};
    e.list.push_back(k);
    e.changed = std::max(e.changed, k->changed);
  }
  std::vector<OutwardEvent> out;
  out.reserve(groups.size());
  for (auto& [key, e] : groups) out.push_back(std::move(e));
  return out;
}

void append_event(std::string& out, const Org& own, const OutwardEvent& e, Instant at) {
  std::string id = fmt::format("{}|{}|{}|{}", own.uuid, e.source, e.day, event::to_string(e.tlp));
  for (const std::string& s : e.sectors) id += "|" + s;
  JsonWriter w(out);
  w.object()
      .member("uuid", made_uuid("event " + id))
      .member("info", fmt::format("Indicators of {}, {}", e.source, e.day))
      .member("date", e.day)
      .member("distribution", "1")
      .member("threat_level_id", "3")
      .member("analysis", "2")
      .member("published", true)
      .member("timestamp", seconds(at))
      .member("publish_timestamp", seconds(at));
  w.key("Orgc").object().member("name", e.source);
  w.member("uuid", e.source == own.name ? own.uuid : uuid_of_name(e.source)).end();
  w.key("Tag").array().object().member("name", misp_tag(e.tlp)).end();
  for (const std::string& s : e.sectors) w.object().member("name", fmt::format("misp-galaxy:sector=\"{}\"", s)).end();
  w.end().key("Attribute").array();
  for (const Known* k : e.list) {
    const auto& i = k->indicator;
    const std::string_view type = type_for(i);
    w.object().member("uuid", made_uuid(fmt::format("attribute {}|{}|{}", id,
                                                    i.is_pattern() ? "pattern" : event::to_string(i.kind), i.value)));
    w.member("type", type);
    if (const AttributeType* t = type_of(type)) w.member("category", t->default_category);
    w.member("value", value_for(i)).member("to_ids", true).member("comment", i.comment).member("distribution", "5");
    w.member("timestamp", seconds(at));
    if (micros(i.valid_from) > 0) w.member("first_seen", format_time(i.valid_from));
    w.end();
  }
  w.end().end();
}

ExportView misp_view(Org own) {
  ExportView view{"application/json", "json", {}};
  view.write = [own = std::move(own)](std::span<const Known> all, const ExportAsk& ask) -> Result<std::string> {
    std::vector<const Known*> those;
    for (const Known& k : all)
      if (k.indicator.tlp <= ask.ceiling) those.push_back(&k);
    std::string out = "{\"response\":[";
    bool first = true;
    for (const OutwardEvent& e : outward_events(those)) {
      if (!std::exchange(first, false)) out += ',';
      out += "{\"Event\":";
      append_event(out, own, e, e.changed);
      out += '}';
    }
    return out + "]}\n";
  };
  return view;
}

Result<FeedWritten> write_feed(Files& files, const std::string& folder, std::string_view events) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(events));
  BAVN_CHECK(files.make_dirs(folder));
  const std::string manifest_path = folder + "/manifest.json";
  FeedWritten done;
  std::set<std::string, std::less<>> before, now;
  if (files.exists(manifest_path)) {
    BAVN_TRY(const std::string old, read_file(files, manifest_path, kLargestManifest));
    const auto old_feed = net::JsonDocument::parse(old);
    if (!old_feed || !old_feed->root().is_object())
      return fail(Code::conflict, "the folder has a manifest.json that is none of a feed: choose another folder",
                  folder);
    for (const net::JsonValue m : old_feed->root())
      if (is_uuid(m.key())) before.emplace(m.key());
  }
  std::string manifest = "{";
  std::set<std::string> hashes;
  for (const net::JsonValue each : document.root()["response"]) {
    const net::JsonValue e = each["Event"];
    const std::string uuid(e["uuid"].text_or({}));
    if (!is_uuid(uuid)) return fail(Code::bad_input, "an event without a uuid");
    std::string row, json;
    JsonWriter w(row);
    w.object().key("Orgc").raw(e["Orgc"].to_text()).key("Tag").raw(e["Tag"].to_text());
    w.member("info", e["info"].text_or({})).member("date", e["date"].text_or({}));
    w.member("analysis", number(e["analysis"]).value_or(0));
    w.member("threat_level_id", number(e["threat_level_id"]).value_or(4));
    w.member("timestamp", number(e["timestamp"]).value_or(0)).end();
    BAVN_TRY(const auto row_of, net::JsonDocument::parse(row));
    manifest += fmt::format("{}\"{}\": ", now.empty() ? "" : ", ", uuid);
    python_json(manifest, row_of.root(), -1);
    python_json(json, each, 2);
    BAVN_CHECK(replace_file(files, fmt::format("{}/{}.json", folder, uuid), json));
    add_hashes(e, uuid, hashes);
    now.insert(uuid);
  }
  manifest += "}";
  std::string lines;
  for (const std::string& line : hashes) lines += line;
  BAVN_CHECK(replace_file(files, folder + "/hashes.csv", lines));
  BAVN_CHECK(replace_file(files, manifest_path, manifest));
  for (const std::string& old : before) {
    const std::string path = fmt::format("{}/{}.json", folder, old);
    if (now.contains(old) || !files.exists(path)) continue;
    BAVN_CHECK(files.unlink(path));
    ++done.removed;
  }
  done.events = now.size();
  done.hashes = hashes.size();
  return done;
}

}  // namespace bavn::exchange::misp
