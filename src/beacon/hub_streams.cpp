// The streams down: one SSE connection a node. On connect what the node lacks, urgent first, then bases, then heads of bulk; then live.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "beacon/follower.hpp"
#include "beacon/hub_inner.hpp"

namespace bavn::beacon {

namespace {

constexpr unsigned kRowsAtOnce = 256;

struct PositionRow {
  std::optional<std::int64_t> position;
};
BOOST_DESCRIBE_STRUCT(PositionRow, (), (position))

/// "urgent/all:12,bulk/all:7". What cannot be read is left out: the node gets too much rather than too little.
std::map<std::string, std::uint64_t, std::less<>> read_have(std::string_view text) {
  std::map<std::string, std::uint64_t, std::less<>> have;
  for (const auto part : split(text, ',')) {
    const auto colon = part.rfind(':');
    if (colon == std::string_view::npos || !is_name(part.substr(0, colon), kMaxStream) || have.size() > 1000) continue;
    std::uint64_t seq = 0;
    const auto [end, error] = std::from_chars(part.data() + colon + 1, part.data() + part.size(), seq);
    if (error == std::errc{} && end == part.data() + part.size() && seq < (std::uint64_t{1} << 62U))
      have[std::string(part.substr(0, colon))] = seq;
  }
  return have;
}

HubBeacon::Inner::Row row_of(std::string_view lane, const EntryRow& e) {
  return {std::string(lane),
          e.stream,
          "entry",
          static_cast<std::uint64_t>(e.position),
          static_cast<std::uint64_t>(e.seq),
          to_base64(e.entry.bytes)};
}

}  // namespace

void HubBeacon::Inner::attach(const net::Request& request, std::shared_ptr<net::EventStream> stream) {
  const std::string serial = request.peer.certificate_serial;
  const auto* last = request.headers.find("Last-Event-ID");
  // The read of tenants happens here, on the server's handlers, not on the beacon's one thread.
  auto facts = nodes.by_certificate(serial);
  if (!facts || facts->revoked) {
    log::counted(metrics, log::Level::warn, "beacon_stream_refused",
                 {{"serial", serial}, {"reason", facts ? "the certificate is revoked" : facts.error().what}});
    return stream->close();
  }
  post(queue, [facts = std::move(*facts), serial, stream = std::move(stream),
               have = request.asked("have") ? std::optional(std::string(*request.asked("have"))) : std::nullopt,
               last = last ? *last : std::string{}](Inner& self) mutable {
    const std::uint64_t id = ++self.last_listener;
    Listener& l = self.listeners[id];
    l.stream = std::move(stream);
    l.serial = serial;
    l.node = facts.node;
    l.streams = {"urgent/all", "bulk/all", "base/all"};
    for (const auto m : facts.municipalities) l.streams.insert(fmt::format("urgent/{}", m.value));
    for (const auto& a : facts.audiences) {
      l.streams.insert("bulk/" + a);
      l.streams.insert("base/" + a);
    }
    self.connected.with([&](auto& all) { ++all[facts.node]; });
    self.open = self.listeners.size();
    l.stream->on_close([weak = self.weak_from_this(), id] {
      if (const auto again = weak.lock()) again->post(again->queue, [id](Inner& i) { i.drop(id, "the node is gone"); });
    });
    self.greet(id, have, last);
  });
}

void HubBeacon::Inner::greet(std::uint64_t id, const std::optional<std::string>& have, std::string_view last_event_id) {
  Listener& l = listeners.at(id);
  if (have) l.sent = read_have(*have);
  std::map<std::string, std::uint64_t> tips;
  const auto looked = state.read([&](store::Reader& r) -> Result<void> {
    for (const auto& stream : l.streams) {
      BAVN_TRY(const auto tip,
               r.one<TipRow>("SELECT epoch, seq, hash FROM beacon_stream WHERE name = :n", {{"n", stream}}));
      if (tip) tips[stream] = static_cast<std::uint64_t>(tip->seq);
    }
    if (const auto position = parse_position(last_event_id); !have && position) {
      l.urgent = position->urgent;
      l.bulk = position->bulk;
      return {};
    }
    // What the node has of each stream says from which row of the lane on there may be news; a stream it has nothing of: all rows.
    for (const auto& lane : {std::string_view("urgent"), std::string_view("bulk")}) {
      std::uint64_t& at = lane == "urgent" ? l.urgent : l.bulk;
      std::optional<std::int64_t> least;
      for (const auto& [stream, tip] : tips) {
        if (!stream.starts_with(lane)) continue;
        const auto sent = l.sent.find(stream);
        if (sent != l.sent.end() && sent->second >= tip) continue;
        BAVN_TRY(const auto row,
                 r.one<PositionRow>("SELECT min(position) AS position FROM beacon_entry WHERE stream = :s AND seq > :q",
                                    {{"s", stream}, {"q", sent == l.sent.end() ? 0 : sent->second}}));
        if (row && row->position) least = std::min(least.value_or(*row->position), *row->position);
      }
      BAVN_TRY(const auto last,
               r.number("SELECT coalesce(max(position), 0) FROM beacon_entry WHERE lane = :l", {{"l", lane}}));
      at = static_cast<std::uint64_t>(least ? *least - 1 : last);
    }
    return {};
  });
  if (!looked) return drop(id, looked.error().what);
  std::string hello;
  JsonWriter w(hello);
  w.object().member("v", 1).member("at_us", micros(runtime.now())).key("statements").array();
  for (const auto& s : key.statements) w.value(s);
  w.end().key("streams").object();
  for (const auto& [stream, tip] : tips) w.member(stream, tip);
  w.end().end();
  if (!l.stream->send({"", "hello", std::move(hello)})) return drop(id, "the node is gone");
  send_anchors(l);
  feed(id);
}

/// Where the log was trimmed beyond what the node has, the oldest entry that is left tells it so.
void HubBeacon::Inner::send_anchors(Listener& l) {
  for (const auto& [stream, seq] : std::map(l.sent)) {
    if (!l.streams.contains(stream) || stream.starts_with("base/")) continue;
    const auto oldest = state.read([&](store::Reader& r) {
      return r.one<EntryRow>(
          "SELECT position, stream, seq, entry FROM beacon_entry WHERE stream = :s ORDER BY seq LIMIT 1",
          {{"s", stream}});
    });
    if (!oldest || !*oldest || static_cast<std::uint64_t>((*oldest)->seq) <= seq + 1) continue;
    if (stream.starts_with("bulk/")) {  // a base that covers more makes the anchor needless
      const auto base = state.read([&](store::Reader& r) {
        return r.one<EntryRow>(
            "SELECT position, stream, seq, entry FROM beacon_entry WHERE stream = :s ORDER BY seq DESC LIMIT 1",
            {{"s", "base/" + std::string(audience_of(stream))}});
      });
      if (base && *base) continue;
    }
    const auto position = static_cast<std::uint64_t>((*oldest)->position);
    const bool urgent = stream.starts_with("urgent/");
    l.sent[stream] = static_cast<std::uint64_t>((*oldest)->seq);
    l.stream->send({to_string(urgent ? Position{position, l.bulk} : Position{l.urgent, position}), "anchor",
                    to_base64((*oldest)->entry.bytes)});
  }
}

Result<std::vector<HubBeacon::Inner::Row>> HubBeacon::Inner::rows_behind(std::string_view lane, std::uint64_t position,
                                                                         unsigned limit) const {
  BAVN_TRY(const auto found, state.read([&](store::Reader& r) {
    return r.all<EntryRow>(
        "SELECT position, stream, seq, entry FROM beacon_entry WHERE lane = :l AND position > :p ORDER BY position "
        "LIMIT :n",
        {{"l", lane}, {"p", position}, {"n", limit}});
  }));
  std::vector<Row> rows;
  for (const auto& e : found) rows.push_back(row_of(lane, e));
  return rows;
}

/// False: the stream is over.
bool HubBeacon::Inner::send_rows(Listener& l, const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    std::uint64_t& at = row.lane == "urgent" ? l.urgent : l.bulk;
    if (row.position <= at) continue;
    at = row.position;
    if (!l.streams.contains(row.stream)) continue;
    if (const auto sent = l.sent.find(row.stream); sent != l.sent.end() && row.seq <= sent->second) continue;
    l.sent[row.stream] = row.seq;
    if (!l.stream->send({to_string(Position{l.urgent, l.bulk}), row.event, row.data})) return false;
  }
  return true;
}

void HubBeacon::Inner::send_bases(Listener& l) {
  l.bases_sent = true;
  for (const auto& stream : l.streams) {
    if (!stream.starts_with("base/")) continue;
    const auto newest = state.read([&](store::Reader& r) {
      return r.one<EntryRow>(
          "SELECT position, stream, seq, entry FROM beacon_entry WHERE stream = :s ORDER BY seq DESC LIMIT 1",
          {{"s", stream}});
    });
    if (!newest || !*newest) continue;
    const auto seq = static_cast<std::uint64_t>((*newest)->seq);
    if (const auto sent = l.sent.find(stream); sent != l.sent.end() && sent->second >= seq) continue;
    l.sent[stream] = seq;
    l.stream->send({"", "base", to_base64((*newest)->entry.bytes)});
    // The node goes on behind what the base covers, when that is more than it has.
    const auto entry = decode_entry((*newest)->entry.bytes);
    const auto ref = entry ? decode_base_ref(entry->payload) : fail(Code::corrupt, "");
    if (ref && ref->covers_seq > 0) {
      std::uint64_t& bulk = l.sent["bulk/" + std::string(audience_of(stream))];
      bulk = std::max(bulk, ref->covers_seq);
    }
  }
}

/// Sends what this listener lacks, a slice at a time, so that the others and what is new do not wait for it.
void HubBeacon::Inner::feed(std::uint64_t id) {
  const auto found = listeners.find(id);
  if (found == listeners.end()) return;
  Listener& l = found->second;
  l.busy = false;
  const auto again = [&](Duration after) {
    if (std::exchange(l.busy, true)) return;
    later(after, queue, [id](Inner& self) { self.feed(id); });
  };
  if (l.stream->waiting_bytes() > options.stream_waiting) return again(std::chrono::milliseconds{20});
  for (const auto lane : {std::string_view("urgent"), std::string_view("bulk")}) {
    if (lane == "bulk" && !l.bases_sent) send_bases(l);
    const auto rows = rows_behind(lane, lane == "urgent" ? l.urgent : l.bulk, kRowsAtOnce);
    if (!rows) {
      log::counted(metrics, log::Level::error, "beacon_read_failed", {{"reason", rows.error().what}});
      return again(std::chrono::seconds{1});
    }
    if (!send_rows(l, *rows)) return drop(id, "the node is gone");
    if (!rows->empty()) return again(Duration{0});
  }
  if (!std::exchange(l.live, true)) {
    // The others may still have to hear what this one read for itself: pump() goes on from where they are.
    if (std::none_of(listeners.begin(), listeners.end(),
                     [&](const auto& o) { return o.first != id && o.second.live; })) {
      live_urgent = l.urgent;
      live_bulk = l.bulk;
    }
    if (!l.stream->send({"", "live", ""})) drop(id, "the node is gone");
  }
}

/// New rows, read once, go to everybody who has all before them. Urgent before bulk.
void HubBeacon::Inner::pump() {
  if (listeners.empty()) return;
  std::vector<std::uint64_t> gone;
  for (const auto lane : {std::string_view("urgent"), std::string_view("bulk")}) {
    std::uint64_t& at = lane == "urgent" ? live_urgent : live_bulk;
    while (true) {
      const auto rows = rows_behind(lane, at, kRowsAtOnce);
      if (!rows) {
        log::counted(metrics, log::Level::error, "beacon_read_failed", {{"reason", rows.error().what}});
        return later(std::chrono::seconds{1}, queue, [](Inner& self) { self.pump(); });
      }
      if (rows->empty()) break;
      for (auto& [id, l] : listeners) {
        if (!l.live) continue;
        if ((lane == "urgent" ? l.urgent : l.bulk) < at || l.stream->waiting_bytes() > options.stream_waiting) {
          l.live = false;  // it reads slowly, or for itself: from where it is
          if (!std::exchange(l.busy, true)) later(Duration{0}, queue, [slow = id](Inner& self) { self.feed(slow); });
        } else if (!send_rows(l, *rows)) {
          gone.push_back(id);
        }
      }
      at = rows->back().position;
    }
  }
  const auto bases = rows_behind("base", live_base, kRowsAtOnce);
  if (bases && !bases->empty()) {
    live_base = bases->back().position;
    for (auto& [id, l] : listeners)
      if (l.bases_sent) send_bases(l);
  }
  for (const auto id : gone) drop(id, "the node is gone");
}

void HubBeacon::Inner::drop(std::uint64_t id, std::string_view why) {
  const auto found = listeners.find(id);
  if (found == listeners.end()) return;
  log::debug("beacon_stream_closed", {{"node", found->second.node}, {"reason", why}});
  connected.with([&](auto& all) {
    if (const auto c = all.find(found->second.node); c != all.end() && --c->second == 0) all.erase(c);
  });
  const auto stream = std::move(found->second.stream);
  listeners.erase(found);
  open = listeners.size();
  stream->close();
}

void HubBeacon::Inner::cut(const std::string& serial) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, l] : listeners)
    if (l.serial == serial) ids.push_back(id);
  for (const auto id : ids) drop(id, "the certificate was revoked");
}

void HubBeacon::Inner::tick() {
  std::vector<std::uint64_t> gone;
  for (auto& [id, l] : listeners) {
    const auto facts = nodes.by_certificate(l.serial);
    bool stays = facts && !facts->revoked;
    // What the certificate stands for has changed: the node comes back and gets its new streams.
    if (stays)
      for (const auto m : facts->municipalities) stays = stays && l.streams.contains(fmt::format("urgent/{}", m.value));
    if (stays)
      for (const auto& stream : l.streams) {
        if (stream.starts_with("urgent/") && stream != "urgent/all")
          stays = stays && std::any_of(facts->municipalities.begin(), facts->municipalities.end(),
                                       [&](MunicipalityId m) { return stream == fmt::format("urgent/{}", m.value); });
        else stays = stays && may_hear(*facts, audience_of(stream));
      }
    if (!stays || !l.stream->send({"", "tick", fmt::format("{}", micros(runtime.now()))})) gone.push_back(id);
  }
  for (const auto id : gone) drop(id, "gone or not allowed any more");
  pump();
  if (runtime.steady() >= next_trim) {
    next_trim = runtime.steady() + std::chrono::hours{1};
    trim();
  }
  later(options.tick, queue, [](Inner& self) { self.tick(); });
}

}  // namespace bavn::beacon
