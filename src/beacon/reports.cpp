#include "beacon/reports.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "beacon/head.hpp"
#include "net/json_value.hpp"

namespace bavn::beacon {

namespace {

using net::JsonDocument;
using net::JsonValue;

bool is_id(std::string_view s) {
  return is_name(s, 64);
}

std::unexpected<Error> wrong(std::string where, std::string what) {
  return fail(Code::bad_input, std::move(what), std::move(where));
}

void put(JsonWriter& w, const AuditHead& head) {
  w.object().member("seq", head.seq).member("hash", to_hex(view(head.hash))).end();
}

Result<AuditHead> head_in(JsonValue v, const char* where) {
  const auto seq = v["seq"].natural();
  const auto hash = from_hex(v["hash"].text_or(""));
  if (!seq || *seq >= (std::uint64_t{1} << 62U) || !hash)
    return wrong(where, "not the head of an audit log: {seq, hash}");
  AuditHead head{*seq, {}};
  BAVN_TRY(head.hash, hash_from(*hash));
  return head;
}

void put(JsonWriter& w, const Witness& witness) {
  w.object().key("head");
  put(w, witness.head);
  w.member("at_us", micros(witness.at)).member("signature", to_base64(witness.signature)).end();
}

Result<Witness> witness_in(JsonValue v, const char* where) {
  Witness w;
  BAVN_TRY(w.head, head_in(v["head"], where));
  const auto at = v["at_us"].integer();
  const auto signature = from_base64(v["signature"].text_or(""));
  if (!at || !signature || signature->size() != 64) return wrong(where, "not a witness: {head, at_us, signature}");
  w.at = from_micros(*at);
  w.signature = *signature;
  return w;
}

std::string shortened(std::string_view s, std::size_t most) {
  return repair_utf8(s.substr(0, most));
}

}  // namespace

std::string write_item(const ReportItem& item) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("id", item.id)
      .member("kind", item.kind)
      .member("municipality", static_cast<std::uint64_t>(item.municipality.value))
      .member("tlp", event::to_string(item.tlp))
      .member("at_us", micros(item.at))
      .key("body")
      .raw(item.body)
      .end();
  return out;
}

std::string write_batch(std::string_view id, const std::vector<std::string>& items) {
  std::string out;
  JsonWriter w(out);
  w.object().member("batch", id).key("items").array();
  for (const auto& item : items) w.raw(item);
  w.end().end();
  return out;
}

Result<ReportBatch> read_batch(std::string_view json) {
  BAVN_TRY(const auto document, JsonDocument::parse(json));
  const JsonValue root = document.root();
  ReportBatch batch;
  batch.id = root["batch"].text_or("");
  if (!is_id(batch.id)) return wrong("/batch", "a batch has an id of 1 to 64 characters a-z, 0-9, _ and -");
  const JsonValue items = root["items"];
  if (!items.is_array() || items.size() == 0) return wrong("/items", "a batch has items");
  if (items.size() > kMaxBatchItems)
    return wrong("/items", fmt::format("a batch has at most {} items, this one {}", kMaxBatchItems, items.size()));
  std::size_t n = 0;
  for (const JsonValue v : items) {
    const std::string where = fmt::format("/items/{}", n++);
    ReportItem item;
    item.id = v["id"].text_or("");
    if (!is_id(item.id)) return wrong(where + "/id", "an item has an id of 1 to 64 characters a-z, 0-9, _ and -");
    item.kind = v["kind"].text_or("");
    if (!is_name(item.kind, kMaxKind))
      return wrong(where + "/kind", "an item has a kind of 1 to 32 characters a-z, 0-9, _ and -");
    const auto municipality = v["municipality"].natural();
    if (!municipality || *municipality > 0xFFFF)
      return wrong(where + "/municipality", "an item has the number of its municipality");
    item.municipality = {static_cast<std::uint16_t>(*municipality)};
    const auto tlp = event::parse_tlp(v["tlp"].text_or(""));
    if (!tlp) return wrong(where + "/tlp", "an item has a TLP: clear, green, amber, amber+strict or red");
    item.tlp = *tlp;
    const auto at = v["at_us"].integer();
    if (!at) return wrong(where + "/at_us", "an item has a time in microseconds");
    item.at = from_micros(*at);
    if (!v["body"].is_object()) return wrong(where + "/body", "an item's body is a JSON object");
    item.body = v["body"].to_text();
    if (item.body.size() > kMaxBody) return wrong(where + "/body", "an item's body has at most 256 KiB");
    batch.items.push_back(std::move(item));
  }
  return batch;
}

Result<BatchAnswer> read_answer(std::string_view json) {
  BAVN_TRY(const auto document, JsonDocument::parse(json));
  const JsonValue root = document.root();
  BatchAnswer answer;
  answer.batch = root["batch"].text_or("");
  if (answer.batch.empty() || !root["refused"].is_array()) return wrong("", "not the answer to a batch");
  for (const JsonValue v : root["refused"])
    answer.refused.push_back({std::string(v["id"].text_or("")), shortened(v["reason"].text_or(""), 500)});
  return answer;
}

std::string write_ping(const Ping& ping) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("sent_us", micros(ping.sent))
      .member("round_trip_us", ping.round_trip_us)
      .member("version", ping.version)
      .member("trouble", ping.trouble);
  if (ping.offset_us) w.member("offset_us", *ping.offset_us);
  if (!ping.key.empty()) w.member("key", ping.key);
  if (ping.audit) put(w.key("audit"), *ping.audit);
  if (ping.witness) put(w.key("witness"), *ping.witness);
  w.end();
  return out;
}

Result<Ping> read_ping(std::string_view json) {
  BAVN_TRY(const auto document, JsonDocument::parse(json));
  const JsonValue root = document.root();
  Ping ping;
  const auto sent = root["sent_us"].integer();
  const auto round_trip = root["round_trip_us"].integer();
  if (!sent || !round_trip || *round_trip < 0) return wrong("/sent_us", "a ping has sent_us and round_trip_us");
  ping.sent = from_micros(*sent);
  ping.round_trip_us = *round_trip;
  ping.offset_us = root["offset_us"].integer();
  // The largest that can be negated and halved without overflow.
  constexpr std::int64_t kLargest = std::int64_t{1} << 61U;
  if (*sent < 0 || *sent > kLargest || *round_trip > kLargest ||
      (ping.offset_us && (*ping.offset_us > kLargest || *ping.offset_us < -kLargest)))
    return wrong("/sent_us", "a time that cannot be");
  ping.version = shortened(root["version"].text_or(""), 64);
  ping.trouble = shortened(root["trouble"].text_or(""), 500);
  ping.key = root["key"].text_or("");
  if (!ping.key.empty()) BAVN_CHECK(PublicKey::parse(ping.key));
  if (const auto v = root["audit"]) {
    BAVN_TRY(ping.audit, head_in(v, "/audit"));
  }
  if (const auto v = root["witness"]) {
    BAVN_TRY(ping.witness, witness_in(v, "/witness"));
  }
  return ping;
}

std::string write_pong(const Pong& pong) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("received_us", micros(pong.received))
      .member("sent_us", micros(pong.sent))
      .member("trouble", pong.trouble);
  if (pong.audit) put(w.key("audit"), *pong.audit);
  if (pong.witness) put(w.key("witness"), *pong.witness);
  w.end();
  return out;
}

Result<Pong> read_pong(std::string_view json) {
  BAVN_TRY(const auto document, JsonDocument::parse(json));
  const JsonValue root = document.root();
  const auto received = root["received_us"].integer(), sent = root["sent_us"].integer();
  constexpr std::int64_t kLargest = std::int64_t{1} << 61U;
  if (!received || !sent || *received < 0 || *sent < 0 || *received > kLargest || *sent > kLargest)
    return wrong("", "not the answer to a ping");
  Pong pong{from_micros(*received), from_micros(*sent), shortened(root["trouble"].text_or(""), 500), {}, {}};
  if (const auto v = root["audit"]) {
    BAVN_TRY(pong.audit, head_in(v, "/audit"));
  }
  if (const auto v = root["witness"]) {
    BAVN_TRY(pong.witness, witness_in(v, "/witness"));
  }
  return pong;
}

}  // namespace bavn::beacon
